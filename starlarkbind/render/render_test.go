package render

import (
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

func eval(t *testing.T, src string) starlark.Value {
	t.Helper()
	v, err := starlark.EvalOptions(&syntax.FileOptions{Set: true}, &starlark.Thread{}, "x", src, starlark.StringDict{"struct": starlark.NewBuiltin("struct", starlarkstruct.Make)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestText(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`"a\x1b[31mb"`, `a\x1b[31mb`},
		{`{"sh": 10, "bash": 2}`, "bash   2\nsh    10"},
		{`{("sh", 1): 10, ("a", 22): 3}`, "a   22   3\nsh   1  10"},
		{`[("sh", 10), ("bash", 2)]`, "sh    10\nbash   2"},
		{`[1, 2]`, "[1, 2]"},
		{`{}`, "{}"},
		{`[struct(a=1, b="x"), struct(a=22, b="yy")]`, " a  b\n 1  x\n22  yy"},
		{`{"k": struct(count=2, sum=6, avg=3, min=1, max=5)}`, "   count  sum  avg  min  max\nk      2    6    3    1    5"},
		{`None`, "None"},
		{`{"日本": 1, "x": 22}`, "日本   1\nx     22"},
	} {
		if got := Text(eval(t, c.src)); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`{"a": 1, "b": [True, None, 1.5]}`, `{"a":1,"b":[true,null,1.5]}`},
		{`{(1, "x"): 2}`, `[{"key":[1,"x"],"value":2}]`},
		{`struct(a=1, b=(2, 3))`, `{"a":1,"b":[2,3]}`},
		{`1 << 64`, `18446744073709551616`},
		{`b"\xff"`, `"/w=="`},
	} {
		got, err := JSON(eval(t, c.src))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.src, got, err, c.want)
		}
	}
}
