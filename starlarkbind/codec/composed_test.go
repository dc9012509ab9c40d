package codec

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// A text that the host has made can be taken apart into arguments that make it again. Where the
// format is said to tell its arguments apart, different ones make different texts.
func TestTextsBothWays(t *testing.T) {
	report := func(err error) { t.Error(err) }
	c := New(NewProbeNames(), NewSymbols(report), &StackMaps{}, report)
	rnd := rand.New(rand.NewPCG(1, 2))
	conversions := map[string][]*types.Type{
		"%d": {types.TInt, types.TUint, types.TBool}, "%5d": {types.TInt}, "%-5d": {types.TInt}, "%08d": {types.TInt}, "%+d": {types.TInt}, "%x": {types.TInt, types.TUint}, "%#x": {types.TUint}, "%X": {types.TInt}, "%o": {types.TInt}, "%b": {types.TUint},
		"%s": {types.TInt, types.TNULStr(7), types.TNULStr(15), types.TBool, types.TErrno, types.TOpt(types.TInt), types.TOpt(types.TNULStr(7)), types.Either(types.TErrno, types.TInt)},
		"%r": {types.TBool, types.TInt}, "%6s": {types.TNULStr(7)}, "%-6s": {types.TNULStr(15)}, "%.2s": {types.TNULStr(7)},
	}
	var verbs []string
	for v := range conversions {
		verbs = append(verbs, v)
	}
	words := []string{"", "a", "ab", " a ", "a:b", ":", "-1", "7", "\xff", "ü", "None", "True", "EPERM", "5%", "x", "1234567"}
	numbers := []int64{0, 1, -1, 7, 12, 1234567, -40, 1 << 40, -1 << 63}
	literals := []string{"", "", ":", " ", "-", "7", "a", "%%", "x", "0", ", "}
	unique, runs := 0, 0
	for range 3000 {
		format := literals[rnd.IntN(len(literals))]
		var parts []*types.Type
		for range 1 + rnd.IntN(3) {
			v := verbs[rnd.IntN(len(verbs))]
			format += v + literals[rnd.IntN(len(literals))]
			parts = append(parts, conversions[v][rnd.IntN(len(conversions[v]))])
		}
		tt := types.TText(types.Sprintf, format, parts)
		if !tt.SameText() {
			unique++
		}
		seen := map[string]string{}
		for range 30 {
			var put func(b []byte, p *types.Type)
			put = func(b []byte, p *types.Type) {
				switch {
				case p.IsEither():
					i := rnd.IntN(len(p.Elem.Elems))
					for j, e := range p.Elem.Elems {
						if i == j {
							binary.NativeEndian.PutUint64(b, 1)
							put(b[8:], e.Elem)
						}
						b = b[e.Size():]
					}
				case p.Kind == types.Opt:
					if rnd.IntN(3) > 0 {
						binary.NativeEndian.PutUint64(b, 1)
						put(b[8:], p.Elem)
					}
				case p.Kind == types.Str:
					w := words[rnd.IntN(len(words))]
					copy(b[:p.Cap-1], w)
				case p.Kind == types.Bool:
					b[0] = byte(rnd.IntN(2))
				case p.Equal(types.TErrno):
					b[0] = byte(1 + rnd.IntN(30))
				default:
					binary.NativeEndian.PutUint64(b, uint64(numbers[rnd.IntN(len(numbers))]))
				}
			}
			b := make([]byte, tt.Size())
			at := b
			for _, p := range parts {
				put(at, p)
				at = at[p.Size():]
			}
			text := c.Decode(tt, b)
			back := make([]byte, tt.Size())
			if err := c.Encode(tt, text, back); err != nil {
				t.Fatalf("%q %v: %s: %v", format, parts, text, err)
			}
			if again := c.Decode(tt, back); again != text {
				t.Fatalf("%q %v: %s becomes %s", format, parts, text, again)
			}
			if before, ok := seen[text.String()]; ok && before != string(b) && !tt.SameText() {
				t.Fatalf("%q %v: %s is made of %x and of %x", format, parts, text, before, b)
			}
			if !tt.SameText() && string(back) != string(b) {
				t.Fatalf("%q %v: %s is made of %x, and taken apart %x", format, parts, text, b, back)
			}
			seen[text.String()] = string(b)
			runs++
		}
	}
	if unique < 100 {
		t.Errorf("only %d of the formats tell their arguments apart", unique)
	}
	t.Logf("%d texts, %d formats that tell their arguments apart", runs, unique)
}

// A value that is not of the type is an error that says what is wanted.
func TestNotComposed(t *testing.T) {
	report := func(err error) { t.Error(err) }
	c := New(NewProbeNames(), NewSymbols(report), &StackMaps{}, report)
	text := types.TText(types.Sprintf, "%d:%s", []*types.Type{types.TInt, types.TNULStr(7)})
	st := types.TStruct([]string{"a", "b"}, []*types.Type{types.TInt, types.TNULStr(7)})
	for _, x := range []struct {
		t    *types.Type
		v    string
		want string
	}{
		{text, `"x"`, `"x" is not a text in the format "%d:%s"`},
		{text, `"1:longer than seven"`, `"1:longer than seven" is not a text in the format "%d:%s"`},
		{text, `1`, "got int, want formatted text"},
		{st, `struct(a=1)`, "got a struct with a, want one with a, b"},
		{st, `struct(a=1, c=2)`, "got a struct with a, c, want one with a, b"},
		{st, `struct(a="x", b="y")`, "field a: got string, want int"},
		{st, `(1, 2)`, "got tuple, want struct (a, b)"},
		{types.Either(types.TErrno, types.TInt), `"none"`, "got string, want error name or int"},
		{types.Either(types.TErrno, types.TInt), `None`, "got NoneType, want error name or int"},
	} {
		v, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "x", x.v, starlark.StringDict{"struct": starlark.NewBuiltin("struct", structs.Make)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Encode(x.t, v, make([]byte, x.t.Size())); fmt.Sprint(err) != x.want {
			t.Errorf("%s as %s: %v, want %s", x.v, x.t, err, x.want)
		}
	}
}
