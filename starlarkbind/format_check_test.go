package starlarkbind

import (
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

func TestConstantFormats(t *testing.T) {
	for src, want := range map[string]string{
		`every(1, lambda: print("%.2f" % 1.5))`: `error: test.star:1:31: Starlark's % has no conversion %.2f: it has no flags, widths or precisions; write sprintf("%.2f", ...), or printf() in a handler
    every(1, lambda: print("%.2f" % 1.5))
                                  ^`,
		"def f(x):\n    print(\"%-5d\" % x)":                     `Starlark's % has no conversion %-5d: it has no flags, widths or precisions; write sprintf("%-5d", ...), or printf() in a handler`,
		`every(1, lambda: print("100%" % 1))`:                    `the format "100%" ends in the middle of a conversion; %% is a percent sign`,
		`every(1, lambda: print("%s %s" % (1,)))`:                `the format "%s %s" needs 2 arguments, got 1`,
		`every(1, lambda: printf("%s %d\n", 1))`:                 `printf: the format needs 2 arguments, got 1`,
		`every(1, lambda: sprintf("%*d %k", 1))`:                 `sprintf: unknown conversion %k`,
		`every(1, lambda: print(sprintf("%d", 1, 2), "%q" % 1))`: `sprintf: the format needs 1 argument, got 2`,
	} {
		l := newLive(t, nil)
		err := l.script(`print("it ran")` + "\n" + src)
		if strings.HasPrefix(want, "error") {
			err = l.script(src)
		}
		if err == nil || !strings.Contains(l.FormatError(err), want) {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
		if got := l.out.String(); got != "" {
			t.Errorf("%s: it ran and printed %q", src, got)
		}
		if err := l.item(src); err == nil || !strings.Contains(l.FormatError(err), strings.TrimPrefix(want, "error: test.star")) {
			t.Errorf("%s at the prompt: got %v, want %s", src, err, want)
		}
	}
	expect(t, `
args = (1, 2)
print("%s %d" % args, "%%|%s" % [1, 2], "%(a)s" % {"a": 1}, "%s" % {"a": 1}, ("%x") % 255)
printf("%s %*d|%-3s|%%\n", *(1, 4, 2, "x"))
printf("%5.1f %c%r\n", 1.25, 65, "x")
`, `1 2 %|[1, 2] 1 {"a": 1} ff`, `1    2|x  |%`, `  1.2 A"x"`)
}

// The formats refused before a script runs are those that Starlark's % fails with, for every
// conversion and number of arguments.
func TestPercentAsStarlark(t *testing.T) {
	l := newLive(t, nil)
	for c := ' '; c <= '~'; c++ {
		for _, format := range []string{"%" + string(c), "a%" + string(c) + "b%s", "%%" + string(c), "%(k)" + string(c)} {
			for _, args := range []string{"(7,)", "(7, 8)", "7", "()"} {
				src := starlark.String(format).String() + " % " + args
				f, err := source.Options.Parse("x.star", src, 0)
				if err != nil {
					t.Fatal(src, err)
				}
				_, err = starlark.EvalOptions(source.Options, &starlark.Thread{}, "x.star", src, nil)
				if refused := source.CheckFormats(f) != nil; refused && err == nil {
					t.Errorf("%s is refused, and gives no error", src)
				} else if !refused && err != nil && !strings.Contains(err.Error(), "requires") {
					t.Errorf("%s is not refused, and fails: %v", src, err)
				}
			}
		}
	}
	if got := l.err.String(); got != "" {
		t.Error(got)
	}
}
