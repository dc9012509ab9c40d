package structs

import (
	"math/rand/v2"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

func eval(src string) (starlark.Value, error) {
	return starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x", src, starlark.StringDict{"struct": starlark.NewBuiltin("struct", Make)})
}

func TestOrder(t *testing.T) {
	for src, want := range map[string]string{
		`struct(comm="sh", calls=2, bytes=1)`:                      `struct(comm = "sh", calls = 2, bytes = 1)`,
		`struct()`:                                                 `struct()`,
		`struct(z=1, a=2) + struct(m=3, z=4)`:                      `struct(z = 4, a = 2, m = 3)`,
		`struct(z=1, a=2) == struct(a=2, z=1)`:                     `True`,
		`struct(z=1, a=2) != struct(a=2, z=1)`:                     `False`,
		`struct(z=1) == struct(z=1, a=2)`:                          `False`,
		`struct(z=1, b=2) == struct(z=1, a=2)`:                     `False`,
		`{struct(z=1, a=2): "same"}[struct(a=2, z=1)]`:             `"same"`,
		`dir(struct(z=1, a=2))`:                                    `["a", "z"]`,
		`[getattr(struct(z=1, a=2), "z"), hasattr(struct(), "z")]`: `[1, False]`,
	} {
		v, err := eval(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
		} else if v.String() != want {
			t.Errorf("%s gives %s, want %s", src, v, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for src, want := range map[string]string{
		`struct(1)`:                 "struct: fields have names, as in struct(x=1, y=2); got a positional argument",
		`struct(x=1) < struct(x=1)`: "structs have no order: compare a field",
		`struct(count=1).cuont`:     "struct has no .cuont field or method (did you mean .count?)",
		`{struct(x=[]): 1}`:         "unhashable type: list",
		`struct(x=1) + 1`:           "unknown binary op: struct + int",
	} {
		if v, err := eval(src); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s gives %v, %v, want the error %q", src, v, err, want)
		}
	}
	if _, err := New("stats").Binary(syntax.PLUS, New(Default), starlark.Left); err == nil || err.Error() != "cannot add structs of different kinds: stats + struct" {
		t.Errorf("different kinds: %v", err)
	}
}

// Except for the order of fields, structs behave like starlarkstruct's.
func TestAsStarlarkstruct(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c"}
	type both struct {
		ours *Struct
		its  *starlarkstruct.Struct
	}
	var all []both
	for range 60 {
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		var fields []Field
		d := starlark.StringDict{}
		for _, n := range names[:random.IntN(4)] {
			var v starlark.Value = starlark.MakeInt(random.IntN(2))
			if random.IntN(8) == 0 {
				v = starlark.NewList(nil)
			}
			fields = append(fields, Field{n, v})
			d[n] = v
		}
		all = append(all, both{New(Default, fields...), starlarkstruct.FromStringDict(starlarkstruct.Default, d)})
	}
	equal := 0
	for _, x := range all {
		_, err := x.ours.Hash()
		if _, want := x.its.Hash(); (err == nil) != (want == nil) {
			t.Errorf("%s: hash: %v, starlarkstruct: %v", x.ours, err, want)
		}
		for _, n := range names {
			got, _ := starlark.Value(x.ours).(starlark.HasAttrs).Attr(n)
			if want, _ := x.its.Attr(n); got != want {
				t.Errorf("%s.%s is %v, starlarkstruct's %v", x.ours, n, got, want)
			}
		}
		for _, y := range all {
			got, err := starlark.Equal(x.ours, y.ours)
			want, werr := starlark.Equal(x.its, y.its)
			if got != want || err != nil || werr != nil {
				t.Errorf("%s == %s: %v, %v; starlarkstruct: %v, %v", x.ours, y.ours, got, err, want, werr)
			}
			if got {
				equal++
				h, err := x.ours.Hash()
				if k, kerr := y.ours.Hash(); h != k || (err == nil) != (kerr == nil) {
					t.Errorf("%s and %s are equal, and their hashes %d and %d", x.ours, y.ours, h, k)
				}
			}
			sum, err := starlark.Binary(syntax.PLUS, x.ours, y.ours)
			if err != nil {
				t.Fatal(err)
			}
			its, err := starlark.Binary(syntax.PLUS, x.its, y.its)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				got, _ := sum.(*Struct).Attr(n)
				if want, _ := its.(*starlarkstruct.Struct).Attr(n); got != want {
					t.Errorf("(%s + %s).%s is %v, starlarkstruct's %v", x.ours, y.ours, n, got, want)
				}
			}
		}
	}
	if equal <= len(all) {
		t.Errorf("only %d pairs are equal: the test compares too little", equal)
	}
}
