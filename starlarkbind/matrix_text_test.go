package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// textPlaces are statements that use a value, X.
var textPlaces = []struct{ name, text string }{
	{"print", `print("print", X, (X, 1))`},
	{"printf", `printf("printf %s|%8s\n", X, X)`},
	{"emit", `out.emit(v=X)`},
	{"by", `c.add(by=X)`},
	{"pair", `d.add(by=(X, n > 0))`},
	{"key", `t[X] = n; print("key", X in t, t.get(X))`},
	{"value", `u[n] = X; print("value", u[n])`},
	{"local", `x = X; print("local", x, x)`},
	{"return", `print("return", returned(e, n, w))`},
	{"pass", `print("pass", passed(X))`},
	{"choice", `print("choice", X if n > 0 else X)`},
	{"struct", `print("struct", struct(a=X, b=n))`},
	{"text", `print("text", sprintf("<%s>", X), "%s!" % (X,))`},
	{"string", `print("string", X == "one" or X != "a")`},
	{"number", `print("number", X == 1 or X > 4)`},
	{"truth", `print("truth", 1 if X else 0)`},
	{"search", `print("search", X in ["a", "one"])`},
	{"loop", `for v in X: print("loop", v)`},
}

// noValue lists the places of a value, which a collection or a struct of collections is not.
const noValue = "print printf emit by pair key value local return pass choice struct text string number search"

// textForms are values, made of n, a number from -2 to 2, and its name w. The use in a place in not
// is an error that says what to write instead.
var textForms = []struct {
	not   string
	forms []string
}{
	{"string number search loop", []string{
		`sprintf("%s:%3d", w, n)`, `sprintf("<%x>", n)`, `"%s!" % w`, `w + "!"`, `"x" + e.comm`,
		`join([w, "b"], ",")`, `",".join([w, "z"])`, `n in [1, 2]`, `n in (1, 2)`, `n in {1: 2}`,
		`w in ["one", "two"]`, `n not in [1, 2]`, `w in rows[n & 1]`, `n in squares[n]`,
		`n in [k for k in [1, 2] if k > 1]`, `names == ["zero"]`, `n in nested[n]`, `errno_name(n)`,
		`pairs[n & 1]`, `(w, n)`, `struct(a=n, b=w)`, `struct(a=n, b=struct(c=w))`, `recs[n & 1]`,
		`recs[1]`, `recs[n & 1] if n else recs[2]`, `cfg.inner`,
	}},
	{"string number truth search loop", []string{
		`"%d" % n`, `"%s" % w`, `labels.get(n, n)`, `pairs[n & 1][n & 1]`, `mixed[n & 1]`,
		`w if n > 0 else n`, `"a" if n > 0 else 7`, `errno_name(n) if n > 0 else n`,
		`{0: 1, 1: "x"}[n & 1]`, `w + "!" if n > 0 else n`, `mixed[n % 3]`,
	}},
	{"key string number search loop", []string{
		`"%s-%s" % (w, n)`, `"x" + w + e.comm`, `join((w, e.comm))`,
	}},
	{"key string number truth search loop", []string{
		`join([w, e.comm, w], "")`,
	}},
	{"number loop", []string{
		`w`, `"plain"`, `names[n & 1]`, `labels[n]`, `labels.get(n, "other")`, `pairs[n & 1][0]`,
		`"a" if n > 0 else "b"`, `w or "none"`, `rows[n & 1][0]`, `rows[n & 1][n & 1]`, `rows[1][n & 1]`,
		`rows[n & 1][-1]`, `uneven[n & 1][0]`, `uneven[n][-1]`, `by_n[n][0]`, `by_n[n][n & 1]`,
		`by_n.get(n, ["none", "x"])[0]`, `nested[n][n]`, `nested[n].get(n, "d")`,
		`nested.get(n + 1, {}).get(n, "d")`, `recs[n & 1].name`, `recs[1].name`, `by_id[n & 1].u`,
		`by_id.get(n, by_id[0]).u`, `cfg.label`, `cfg.names[n & 1]`, `cfg.names[1]`,
		`{0: ["a", "b"], 1: ["c", "d"]}[n & 1][n & 1]`, `[["a", "b"], ["c", "d"]][n & 1][0]`,
		`[s + "!" for s in names][n & 1]`, `{k: v for v, k in [("a", 0), ("b", 1)]}[n & 1]`,
		`(names + ["z"])[n]`, `names[1:][n & 1]`, `(rows[0] if n > 0 else rows[1])[n & 1]`, `"-".join(uneven[n])`,
		`labels.get(n + 1)`, `None if n > 0 else w`, `{0: "a"}.get(n)`,
	}},
	{"string search loop", []string{
		`squares[n & 1][1]`, `squares[n & 1][n & 1]`, `recs[n & 1].n`, `cfg.limit`, `cfg.inner.x`,
		`len(rows[n & 1])`, `len(uneven[n])`, `len([1, 2])`, `len({1: 2})`,
		`len([s for s in names if s != "one"])`, `{"one": 1, "two": 2}.get(w, 0)`,
		`[k * k for k in range(3)][n]`,
	}},
	{"string number search", []string{
		`(1, 2)`,
	}},
	{noValue + " loop", []string{
		`cfg`,
	}},
	{noValue, []string{
		`rows[n & 1]`, `uneven[n & 1]`, `[1, 2, 3]`, `names`, `[s + "x" for s in names]`, `names[:2]`,
		`by_n[n]`, `nested[n]`, `{1: 2}`, `{k: 1 for k in [1, 2]}`,
	}},
	{noValue + " truth loop", []string{
		`[n, w]`, `{n: w}`, `{0: w}`,
	}},
}

const textGlobals = `
names = ["zero", "one", "two"]
labels = {0: "zero", 1: "one", 2: "two", -1: "m", -2: "mm"}
rows = [["a", "b"], ["c", "d"], ["e", "f"]]
uneven = [["a"], ["b", "c"], ["d", "e", "f"]]
squares = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
pairs = [("a", 1), ("b", 2), ("c", 3)]
by_n = {0: ["x", "y"], 1: ["z", "w"], 2: ["q", "r"], -1: ["m", "n"], -2: ["k", "l"]}
nested = {0: {0: "x"}, 1: {1: "y"}, 2: {2: "z"}, -1: {-1: "o"}, -2: {-2: "p"}}
recs = [struct(name="a", n=1), struct(name="b", n=2), struct(name="c", n=3)]
by_id = {0: struct(u="g", v=1), 1: struct(u="h", v=2)}
cfg = struct(limit=1, label="one", names=["p", "q", "r"], inner=struct(x=4))
mixed = ["a", 5, None]
out, c, d, t, u = stream(), count(), count(), table(), table()
def passed(v):
    return v
def word(n):
    return {-2: "minus", -1: "minus", 0: "zero", 1: "one", 2: "two"}[n]
def returned(e, n, w):
    if n > 1:
        return FORM
    return FORM
def show():
    for m in [c, d, t, u]:
        print(sorted([(repr(k), v) for k, v in m.items()]))
        m.clear()
    for r in out.take(100, timeout=0):
        print(r.v)
`

// textFunction returns a function that uses a form in places.
func textFunction(name, form string, places []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "def %s(e):\n    n = cast(e.args[0], \"long\")\n    w = word(n)\n", name)
	for _, p := range places {
		for s := range strings.SplitSeq(strings.ReplaceAll(p, "X", "("+form+")"), "; ") {
			fmt.Fprintf(&b, "    %s\n", s)
		}
	}
	return b.String()
}

// refused compiles a form in each place, and returns the errors.
func refused(t *testing.T, k *kernelRun, globals, form string) map[string]diag.List {
	t.Helper()
	src := globals
	for _, p := range textPlaces {
		src += textFunction("in_"+p.name, form, []string{p.text})
	}
	if err := k.ExecFile(context.Background(), "text.star", []byte(src)); err != nil {
		t.Fatal(k.FormatError(err))
	}
	out := map[string]diag.List{}
	for _, p := range textPlaces {
		h, err := k.names.Function(k.names.Globals["in_"+p.name].(*starlark.Function))
		if err != nil {
			t.Fatal(err)
		}
		_, err = compiler.Compile(k.request("text", h, &compiler.Event{Probe: "text", Event: abi.Event{RawArgs: true}}))
		var errs diag.List
		if errors.As(err, &errs) {
			out[p.name] = errs
		} else if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
	return out
}

// Each form is used in each place. What compiles does the same in the kernel and on the host; what
// does not is an error that says what to write.
func TestTextMatrix(t *testing.T) {
	k, err := newKernelRun()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, group := range textForms {
		for i, form := range group.forms {
			if testing.Short() && i%5 != 0 { // each takes seconds on an emulated CPU
				continue
			}
			t.Run(form, func(t *testing.T) {
				globals := strings.ReplaceAll(textGlobals, "FORM", form)
				errs := refused(t, k, globals, form)
				var accepted []string
				for _, p := range textPlaces {
					not := slices.Contains(strings.Fields(group.not), p.name)
					list := errs[p.name]
					if list == nil {
						accepted = append(accepted, p.text)
					}
					if (list != nil) != not {
						t.Errorf("%s: refused: %v, want %v: %v", p.name, list != nil, not, list)
					}
					for _, d := range list {
						if d.Hint == "" && !saysWhat.MatchString(d.Msg) {
							t.Errorf("%s: an error that does not say what to write: %s", p.name, d.Msg)
						}
					}
				}
				if len(accepted) > 0 {
					sameText(t, globals+textFunction("handler", form, accepted))
				}
			})
		}
	}
}

// sameText runs a handler in the kernel and on the host, and compares the output.
func sameText(t *testing.T, script string) {
	t.Helper()
	runtime.LockOSThread() // e.comm is that of this thread
	defer runtime.UnlockOSThread()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/comm", unix.Gettid()))
	if err != nil {
		t.Fatal(err)
	}
	d := newDirect(t, script+fmt.Sprintf(`
def host():
    for n in range(-2, 3):
        handler(event(comm=%q, args=[n]))
`, strings.TrimSpace(string(comm))))
	var got [2]string
	for side := range got {
		before := len(d.out.String())
		d.onSide(side)
		d.call("show")
		got[side] = d.out.String()[before:]
	}
	if got[0] != got[1] {
		t.Errorf("in the kernel\n%s\non the host\n%s", got[0], got[1])
	}
	if strings.Count(got[0], "\n") < 9 {
		t.Errorf("only %q", got[0])
	}
}
