package items

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

func parse(name string, src []byte) (*syntax.File, error) {
	return (&syntax.FileOptions{While: true, TopLevelControl: true, GlobalReassign: true, Set: true}).Parse(name, src, 0)
}

// sequences are sequences of items, separated by lines of ---, with the value of the last
// expression of each. A value that starts with "!" is part of an error message. Globals behave as
// at Python's prompt.
var sequences = []struct{ name, items, want string }{
	{"an expression", "1 + 1", "2"},
	{"a statement has no value", "x = 1", ""},
	{"a value across items", "x = 1\n---\nx", "1"},
	{"augmented assignment across items", "x = 1\n---\nx += 1\n---\nx", "2"},
	{"augmented assignment twice in an item", "x = 1\n---\nx += 1\nx += 1\n---\nx", "3"},
	{"a list grows in place", "l = [1]\n---\nl += [2]\n---\nl.append(3)\n---\nl", "[1, 2, 3]"},
	{"an alias of a list that grows", "l = [1]\nm = l\n---\nl += [2]\n---\nm", "[1, 2]"},
	{"a loop that reads what it binds", "total = 0\n---\nfor i in range(4): total = total + i\n---\ntotal", "6"},
	{"a loop with augmented assignment", "total = 0\n---\nfor i in range(4):\n    total += i\n---\ntotal", "6"},
	{"the loop's variable stays", "for i in range(3): pass\n---\ni", "2"},
	{"while", "n = 3\n---\nwhile n > 0:\n    n -= 1\n---\nn", "0"},
	{"if at top level", "x = 1\n---\nif x == 1:\n    x = 5\n---\nx", "5"},
	{"if that binds a new name", "if True:\n    y = 7\n---\ny", "7"},
	{"a function sees the present value of a global", "x = 1\n---\ndef f(): return x\n---\nx = 2\n---\nf()", "2"},
	{"also after an augmented assignment", "x = 1\n---\ndef f(): return x\n---\nx += 10\n---\nf()", "11"},
	{"a lambda too", "x = 1\n---\nf = lambda: x\n---\nx = 2\n---\nf()", "2"},
	{"a global that comes later", "def f(): return later\n---\nlater = 3\n---\nf()", "3"},
	{"a global that never comes", "def f(): return later\n---\nf()", "!name later is not defined"},
	{"a redefined helper is seen by its callers", "def g(): return 1\n---\ndef f(): return g()\n---\ndef g(): return 2\n---\nf()", "2"},
	{"def and call in one item", "def f(): return 4\nf()\n---\nf()", "4"},
	{"two defs in one item, the first calls the second", "def f(): return g()\ndef g(): return 5\n---\nf()", "5"},
	{"a def that replaces and calls the old one", "def f(): return 1\n---\nold = f\n---\ndef f(): return old() + 1\n---\nf()", "2"},
	{"a function that is also rebound", "def f(): return 1\n---\nf = f() + 1\n---\nf", "2"},
	{"several targets", "a, b = 1, 2\n---\na, b = b, a\n---\n(a, b)", "(2, 1)"},
	{"an element of a dict", "d = {}\n---\nd[1] = 2\n---\nd[1] += 3\n---\nd", "{1: 5}"},
	{"an undefined name", "nix", "!undefined: nix"},
	{"an undefined name in a statement", "x = nix", "!undefined: nix"},
	{"a typo of a name is told", "counter = 1\n---\ncountr", "!undefined: countr"},
	{"what was bound before a failure stays", "x = 5\ny = 1 // 0\n---\nx", "5"},
	{"a failure leaves the old value", "x = 5\n---\nx = 1 // 0\n---\nx", "5"},
	{"a failure in a loop keeps what it did", "x = 0\n---\nfor i in [1, 2, 0]: x += 6 // i\n---\nx", "9"},
	{"_ is the last value", "6 * 7\n---\n_ + 1", "43"},
	{"_ skips None", "5\n---\nNone\n---\n_", "5"},
	{"a comprehension reads globals", "n = 3\n---\n[n * i for i in range(3)]", "[0, 3, 6]"},
	{"a comprehension in an assignment of the same name", "n = 3\n---\nn = [n * i for i in range(3)]\n---\nn", "[0, 3, 6]"},
	{"a default argument takes the value of its time", "x = 1\n---\ndef f(a=x): return a\n---\nx = 2\n---\nf()", "1"},
	{"a closure", "def make(n):\n    def inner(): return n + k\n    return inner\n---\nk = 10\n---\nf = make(1)\n---\nk = 20\n---\nf()", "21"},
	{"sets", "s = set([1, 2])\n---\ns |= set([3])\n---\nlen(s)", "3"},
	{"a builtin can be shadowed", "len([1])\n---\nlen = 5\n---\nlen", "5"},
	{"a predeclared name can be shadowed and read", "host\n---\nhost = host + 1\n---\nhost", "101"},
	{"a syntax error", "x = = 1", "!got '=', want primary expression"},
	{"an item goes on after a syntax error", "x = 1\n---\ny = = 2\n---\nx", "1"},
	{"recursion is off", "def f(n): return f(n)\n---\nf(1)", "!function f called recursively"},
	{"a docstring is an expression", "\"text\"", "\"text\""},
	{"multi-line call", "max(\n  1,\n  2)", "2"},
	{"a handler with a default lambda", "fs = [lambda x: x + i for i in [1]]\n---\nfs[0](1)", "2"},
	{"a name in a lambda that is bound in the same item", "f = lambda: z\nz = 8\nf()\n---\nf()", "8"},
	{"nested functions see later globals", "def f():\n    def g(): return w\n    return g()\n---\nw = 1\n---\nf()", "1"},
	{"a string with a newline", "s = '''a\nb'''\n---\nlen(s)", "3"},
	{"conditional rebinding from itself", "x = 3\n---\nx = x + 1 if x > 2 else x - 1\n---\nx", "4"},
	{"a loop over the name it rebinds", "x = [1, 2]\n---\nfor x in x: pass\n---\nx", "2"},
}

func run(t *testing.T, n *Namespace, items string) string {
	t.Helper()
	last := ""
	for _, item := range strings.Split(items, "\n---\n") {
		v, err := n.Exec(&starlark.Thread{Name: "test"}, item)
		switch {
		case err != nil:
			last = "!" + message(err)
		case v == nil || v == starlark.None:
			last = ""
		default:
			last = v.String()
		}
	}
	return last
}

func message(err error) string {
	var ee *starlark.EvalError
	if errors.As(err, &ee) {
		return ee.Msg
	}
	return err.Error()
}

func TestSequences(t *testing.T) {
	for _, c := range sequences {
		n := New(parse, starlark.StringDict{"host": starlark.MakeInt(100)})
		got := run(t, n, c.items)
		ok := got == c.want
		if strings.HasPrefix(c.want, "!") {
			ok = strings.HasPrefix(got, "!") && strings.Contains(got, c.want[1:])
		}
		if !ok {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// Each item has a file name of its own, so that positions distinguish items.
func TestPlaces(t *testing.T) {
	n := New(parse, nil)
	run(t, n, "1\n---\ndef f():\n    return 1 // 0")
	_, err := n.Exec(&starlark.Thread{}, "f()")
	var ee *starlark.EvalError
	if !errors.As(err, &ee) || !strings.Contains(ee.Backtrace(), "In[2]:2:14: in f") || !strings.Contains(ee.Backtrace(), "In[3]:1:2") {
		t.Errorf("%v", err)
	}
}

// Complete reports whether the text is a whole item.
func TestComplete(t *testing.T) {
	for _, c := range []struct {
		text string
		want bool
	}{
		{"1 + 1", true},
		{"x = (1,", false},
		{"def f():", false},
		{"def f():\n    return 1", false},
		{"def f():\n    return 1\n", true},
		{"if x:\n    y = 1\nelse:", false},
		{"for i in x:\n    print(i)\n", true},
		{"x = = 1", true}, // wrong, and more input would not fix it
		{"'''a", false},
		{"f(1,\n  2)", true},
		{"x = 1 \\", false},
		{"def f():\n    a = [", false},
		{"def f():\n    a = [\n  1, # )]\n", false},
		{"def f():\n    a = g(']', \"\"\"\n]\"\"\", '\\']',", false},
		{"def f():\n    a = [1]]", true},
		{"def f():\n    a = 'x[", true},
	} {
		if got := Complete(parse, c.text); got != c.want {
			t.Errorf("Complete(%q) = %v", c.text, got)
		}
	}
}

func ExampleNamespace() {
	n := New(parse, nil)
	for _, item := range []string{"x = 1", "def f(): return x", "x += 1", "f()"} {
		v, err := n.Exec(&starlark.Thread{}, item)
		if err != nil {
			fmt.Println(err)
		}
		if v != nil && v != starlark.None {
			fmt.Println(v)
		}
	}
	// Output: 2
}
