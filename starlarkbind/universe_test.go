package starlarkbind

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/universe"
)

// The builtins that replace Starlark's own return the same results, for short and long sequences,
// and fail with the same errors.
func TestUniverse(t *testing.T) {
	l := newLive(t, func(*Options) {})
	long := fmt.Sprintf("[(7 * i) %% 1009 for i in range(%d)]", 3*universe.LongSequence)
	var exprs []string
	for _, x := range []string{"[]", "[3]", "[3, 1, 2, 1]", "(1, 2)", "{2: 3, 1: 4}", "range(5)", "range(10, 0, -3)", "range(0)", "[(1, 2), (1, 3), (0, 4)]",
		long, "tuple(" + long + ")", "{i: -i for i in " + long + "}", "set(" + long + ")", fmt.Sprintf("range(%d)", 3*universe.LongSequence), "[(i, str(i)) for i in " + long + "]", "5", "None", "'text'", "b'bytes'"} {
		for _, f := range append([]string{"sorted", "repr", "json.encode", "min", "max", "zip"}, universe.Iterating...) {
			exprs = append(exprs, fmt.Sprintf("%s(%s)", f, x))
		}
		exprs = append(exprs, fmt.Sprintf("sorted(%s, reverse=True)", x), fmt.Sprintf("sorted(%s, key=lambda x: 0)", x), fmt.Sprintf("sorted(%s, key=lambda x: -(x %% 10), reverse=True)", x),
			fmt.Sprintf("max(%s, key=lambda x: -(x %% 10))", x), fmt.Sprintf("list(zip(%s, range(3)))", x), fmt.Sprintf("list(enumerate(%s, 5))", x), fmt.Sprintf("dict(%s, a=1)", x))
	}
	exprs = append(exprs, "type(range(3))", "range(3) == range(0, 3)", "range(3) != range(4)", "range(9)[2:7:2]", "range(9)[-1]", "3 in range(5)", "'a' in range(5)", "len(range(2, 9, 3))", "bool(range(0))", "{range(3): 1}", "zip()", "zip([1], 5)", "zip([1], a=2)",
		"range(3) < range(4)", "range()", "range(1, 2, 0)", "range('a')", "sorted()", "sorted(5)", "sorted([1, 'a'])", "sorted([1], foo=2)", "repr()", "[range(3)] == [range(3)]", "[x for x in range(3)] + list(range(2))",
		"[1, [2]].extend(range(3))", "set([1]).union(range(3))", "','.join([str(x) for x in range(4)])", "range", "sorted", "json.encode([range(2)])")
	for _, expr := range exprs {
		eval := func(env starlark.StringDict) string {
			v, err := starlark.EvalOptions(source.Options, &starlark.Thread{Name: "test"}, "test.star", expr, env)
			if err != nil {
				return "error: " + err.Error()
			}
			return v.String()
		}
		ours := starlark.StringDict{}
		for n, v := range l.guards.Builtins() {
			ours[n] = v
		}
		for _, n := range []string{"min", "max"} {
			ours[n] = starlark.NewBuiltin(n, l.guards.Call)
		}
		theirs := starlark.StringDict{"json": json.Module}
		if got, want := eval(ours), eval(theirs); got != want {
			t.Errorf("%.200s\n is %.300s\nnot %.300s", expr, got, want)
		}
	}
}

// Sequences that cannot fit in any memory are refused.
func TestTooManyElements(t *testing.T) {
	l := newLive(t, func(*Options) {})
	for _, f := range append([]string{"sorted"}, universe.Collecting...) {
		err := l.script(f + "(range(1000000000000))")
		if want := f + ": 1000000000000 elements are too many, at most 268435456 fit"; err == nil || err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

// Ctrl-C soon ends any builtin that iterates over millions of elements or over an endless range.
func TestInterruptBuiltins(t *testing.T) {
	n := scale(300000)
	l, s := newSignaller(t)
	if err := l.script(fmt.Sprintf("xs = [(i * 7919) %% 1000003 for i in range(%d)]\nd = {i: i for i in xs}\nps = [(x, x) for x in xs]", n)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	for _, name := range []string{"xs", "d", "ps"} {
		l.names.Predeclared[name] = l.names.Globals[name]
	}
	const endless, long = "range(1000000000000)", "range(20000000)"
	calls := []string{"sum(" + endless + ")", "[x for x in " + endless + " if x < 0]", "max(" + endless + ")", "min(" + endless + ")", "any(range(0, 1)) or all(range(1, 1000000000000))", "[].extend(" + endless + ")", "set().union(" + endless + ")",
		"list(" + long + ")", "sorted(" + long + ")", "dict(zip(" + long + ", " + long + "))", "sorted(xs)", "sorted(ps, key=lambda p: p[1])", "str(xs)", "repr(d)", "json.encode(xs)", "print(xs)", "list(enumerate(xs))", "set(xs)", "dict(ps)", "[x for x in xs]"}
	for _, call := range calls {
		t.Run(call, func(t *testing.T) {
			var took time.Duration
			var err error
			for range tries {
				err = l.script("def f():\n    print(\"now\")\n    while True:\n        " + call + "\nf()\nprint(\"went on\")\n")
				if took = s.pressed(); took <= soon() {
					break
				}
			}
			if took > soon() || !errors.Is(err, runner.ErrInterrupted) {
				t.Errorf("Ctrl-C was heard %v later: %v", took, err)
			}
		})
	}
	if strings.Contains(s.String(), "went on") {
		t.Error("a script went on with half a result")
	}
}
