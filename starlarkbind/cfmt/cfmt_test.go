package cfmt

import (
	"testing"

	"go.starlark.net/starlark"
)

// The expected texts were printed by C's printf (glibc 2.36), but for %b and %r.
func TestSprintf(t *testing.T) {
	i := func(n int64) starlark.Value { return starlark.MakeInt64(n) }
	s := func(x string) starlark.Value { return starlark.String(x) }
	f := func(x float64) starlark.Value { return starlark.Float(x) }
	for _, c := range []struct {
		format string
		args   []starlark.Value
		want   string
	}{
		{"%d|%5d|%-5d|%05d|%+d|% d", []starlark.Value{i(42), i(42), i(42), i(42), i(42), i(42)}, "42|   42|42   |00042|+42| 42"},
		{"%d %05d %5.3d|%.0d|", []starlark.Value{i(-7), i(-7), i(-7), i(0)}, "-7 -0007  -007||"},
		{"%x %X %#x %#o %08x", []starlark.Value{i(255), i(255), i(255), i(8), i(255)}, "ff FF 0xff 010 000000ff"},
		{"%lx %llu", []starlark.Value{i(-1), i(-1)}, "ffffffffffffffff 18446744073709551615"},
		{"%s|%10s|%-10s|%.2s|%c", []starlark.Value{s("abc"), s("abc"), s("abc"), s("abc"), i('z')}, "abc|       abc|abc       |ab|z"},
		{"%*d|%-*d|%.*s", []starlark.Value{i(6), i(1), i(4), i(2), i(1), s("xyz")}, "     1|2   |x"},
		{"%f %.2f %8.3f %-8.1f| %e %g %g", []starlark.Value{f(1.5), f(2.345), f(3.14159), f(2.5), f(12345.678), f(0.0001), f(1e20)}, "1.500000 2.35    3.142 2.5     | 1.234568e+04 0.0001 1e+20"},
		{"%f %+.1f %06.2f", []starlark.Value{i(3), f(1), f(-1.5)}, "3.000000 +1.0 -01.50"},
		{"100%% %b %r %d", []starlark.Value{i(5), s("a"), starlark.True}, `100% 101 "a" 1`},
		{"%s", []starlark.Value{starlark.Tuple{i(1), s("a")}}, `(1, "a")`},
	} {
		got, err := Sprintf(c.format, c.args)
		if err != nil || got != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.format, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		format string
		args   []starlark.Value
		want   string
	}{
		{"%d", nil, "printf: the format needs more than 0 arguments"},
		{"x", []starlark.Value{starlark.None}, "printf: the format needs 0 arguments, got 1"},
		{"%d", []starlark.Value{starlark.String("a")}, "printf: %d needs an int, got string (argument 1)"},
		{"%f", []starlark.Value{starlark.None}, "printf: %f needs a number, got NoneType (argument 1)"},
		{"%y", []starlark.Value{starlark.None}, "printf: unknown conversion %y"},
		{"%5", nil, `printf: the format ends in the middle of a conversion: "%5"`},
	} {
		if _, err := Sprintf(c.format, c.args); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %q", c.format, err, c.want)
		}
	}
}
