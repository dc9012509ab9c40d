package compiler

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/testkit/cputime"
)

// growing lists handlers of arbitrary length: source returns one with n elements of some kind.
var growing = []struct {
	name   string
	n      int
	source func(n int) string
}{
	{"statements", 1000, func(n int) string { return longHandler(n / 5) }},
	{"strings captured", 4096, func(n int) string {
		return "c = count()\nbig = [" + listOf(n, func(i int) string { return fmt.Sprintf("%q", fmt.Sprintf("name%d", i)) }) + "]\ndef h(e):\n    if e.comm in big:\n        c.add()\n"
	}},
	{"long strings captured", 2000, func(n int) string {
		return "c = count()\nbig = [" + listOf(n, func(i int) string { return fmt.Sprintf("%q", fmt.Sprintf("/usr/share/%d/a name", i)) }) + "]\ndef h(e):\n    if str(e.args.filename, 64) in big:\n        c.add()\n"
	}},
	{"numbers captured", 4096, func(n int) string {
		return "c = count()\nbig = [" + listOf(n, func(i int) string { return fmt.Sprint(i * 7) }) + "]\ndef h(e):\n    if e.pid in big:\n        c.add()\n"
	}},
	{"dict captured", 4096, func(n int) string {
		return "c = count()\nbig = {" + listOf(n, func(i int) string { return fmt.Sprintf("%q: %d", fmt.Sprintf("name%d", i), i) }) + "}\ndef h(e):\n    c.add(by=big.get(e.comm, 3))\n"
	}},
	{"terms", 8000, func(n int) string {
		return "c = sum()\ndef h(e):\n    x = e.args.i64\n    c.add(x" + strings.Repeat(" + x * 3", n) + ")\n"
	}},
	{"different terms", 1600, func(n int) string {
		return "c = sum()\ndef h(e):\n    c.add(" + strings.ReplaceAll(listOf(n, func(i int) string { return fmt.Sprintf("e.args.i64 // (e.args.u32 + %d)", i+1) }), ", ", " + ") + ")\n"
	}},
	{"comparisons", 8000, func(n int) string {
		return "c = count()\ndef h(e):\n    if " + strings.ReplaceAll(listOf(n, func(i int) string { return fmt.Sprintf("e.pid == %d", i) }), ", ", " or ") + ":\n        c.add()\n"
	}},
	{"branches", 4000, func(n int) string {
		s := "c = count()\ndef h(e):\n    x = e.pid\n"
		for i := range n {
			s += fmt.Sprintf("    if x > %d:\n        x += 1\n", i)
		}
		return s + "    c.add(by=x)\n"
	}},
	{"string reads", 500, func(n int) string {
		s := "c = count()\ndef h(e):\n"
		for i := range n {
			s += fmt.Sprintf("    s = str(e.args.filename, 32)\n    if e.pid == %d:\n        c.add(by=s)\n", i)
		}
		return s
	}},
	{"names", 1000, func(n int) string {
		s := "t = table()\ndef h(e):\n"
		for i := range n {
			s += fmt.Sprintf("    if e.pid == %d:\n        t[e.comm] = %d\n", i, i)
		}
		return s
	}},
	{"calls of functions", 1000, func(n int) string {
		s := "c = count()\ndef f(a, b):\n    if a > b:\n        return a\n    return b * 3\ndef h(e):\n    x = e.pid\n"
		for i := range n {
			s += fmt.Sprintf("    x = f(x, %d)\n", i)
		}
		return s + "    c.add(by=x)\n"
	}},
	{"elements of a loop", 256, func(n int) string {
		return "c = count()\nbig = [" + listOf(n, func(i int) string { return fmt.Sprint(i) }) + "]\ndef h(e):\n    for x in big:\n        if e.pid == x:\n            c.add(by=x)\n        if e.tid > x:\n            c.add(by=x + 1)\n"
	}},
	{"live variables", 500, func(n int) string {
		s := "c = count()\ndef h(e):\n"
		for i := range n {
			s += fmt.Sprintf("    x%d = e.args.i64 * %d\n", i, 3+2*i)
		}
		s += "    c.add(by=e.pid)\n"
		for i := range n {
			s += fmt.Sprintf("    c.add(by=x%d)\n", i)
		}
		return s
	}},
	{"lookups with a test", 1000, func(n int) string {
		s := "c = count()\nt = table()\ndef h(e):\n    t[0] = 0\n"
		for i := range n {
			s += fmt.Sprintf("    if t.get(e.pid + %d) != None:\n        c.add(by=%d)\n", i, i)
		}
		return s
	}},
	{"lookups", 1000, func(n int) string {
		s := "c = sum()\nt = table()\ndef h(e):\n    x = 0\n    t[0] = 0\n"
		for i := range n {
			s += fmt.Sprintf("    x += t.get(e.pid + %d, 0)\n", i)
		}
		return s + "    c.add(x)\n"
	}},
	{"terms in one expression", 30000, func(n int) string {
		return "c = sum()\ndef h(e):\n    x = e.args.i64\n    c.add(x" + strings.Repeat(" + x", n) + ")\n"
	}},
	{"nested blocks", 200, func(n int) string {
		s := "c = count()\ndef h(e):\n"
		for i := range n {
			s += strings.Repeat("    ", i+1) + fmt.Sprintf("if e.pid > %d:\n", i)
		}
		return s + strings.Repeat("    ", n+1) + "c.add()\n"
	}},
}

func listOf(n int, element func(i int) string) string {
	var out []string
	for i := range n {
		out = append(out, element(i))
	}
	return strings.Join(out, ", ")
}

// Compiling twice the source takes less than three times as long, for each kind of source. The test
// measures CPU time and passes if one of several tries does, because the host may be busy. With
// -short, for emulated CPUs whose times mean nothing, each kind is compiled once.
func TestCompileLinear(t *testing.T) {
	for _, g := range growing {
		t.Run(g.name, func(t *testing.T) {
			if testing.Short() {
				compileTime(t, g.source(g.n/8))
				return
			}
			const tries = 8
			ratio, small, large := 0.0, time.Duration(0), time.Duration(0)
			for range tries {
				small, large = compileTime(t, g.source(g.n/4)), compileTime(t, g.source(g.n/2))
				if ratio = float64(large) / float64(small); ratio < 3 {
					return
				}
			}
			t.Errorf("%d: %v, %d: %v, %.1f times", g.n/4, small, g.n/2, large, ratio)
		})
	}
}

// compileTime returns the CPU time of one compilation.
func compileTime(t *testing.T, text string) time.Duration {
	req := parseSource(t, "long.star", text).request(t)
	req.Pass = nil // the checks between passes take longer than the passes
	runtime.GC()
	before := cputime.Used()
	if _, err := Compile(req); err != nil {
		t.Log(strings.SplitN(err.Error(), "\n", 2)[0])
	}
	return cputime.Used() - before
}

// A canceled compilation ends soon, no matter which phase it is in.
func TestCompileCanceled(t *testing.T) {
	for _, g := range growing {
		req := parseSource(t, "long.star", g.source(g.n/8)).request(t)
		for after := range 3 {
			asked := 0
			req.Pass = nil
			req.Canceled = func() bool { asked++; return asked > after }
			if _, err := Compile(req); !errors.Is(err, ErrCanceled) {
				t.Errorf("%s: got %v, want ErrCanceled", g.name, err)
			}
		}
	}
}
