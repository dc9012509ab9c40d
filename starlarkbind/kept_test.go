package starlarkbind

import (
	"fmt"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// TestKeptAcrossCalls checks values that a handler has before a loop in a callback, or before a
// call of a function that became a subprogram, and on which it branches after it. The verifier of
// kernels from 6.1 to 6.3 can take such a branch for decided and remove one side of it: to find the
// numbers on which a branch depends, it follows a register of a function through the instructions
// of a subprogram or callback, too, and loses it if that writes a register of the same number.
func TestKeptAcrossCalls(t *testing.T) {
	bpftest.Need(t, "bpf_loop", "for_each_map_elem")
	// Each sets what it keeps in different ways on several paths, and adds want(x) to out.
	kept := []struct{ name, before, after string }{
		{"constants", `
    a, b, c, d = 0, 0, 0, 0
    if x == 1:
        other.add(1)
    elif x == 2:
        other.add(2)
        a = 0
    elif x == 3:
        a, b = 1, 1
    elif x == 4:
        b, c = 1, 1
    elif x == 5:
        c, d = 1, 1
`, `
    if a:
        out.add(1)
    if b:
        out.add(10)
    if c:
        out.add(100)
    if d:
        out.add(1000)
`},
		{"bounds", `
    if x > 4:
        other.add(1)
    elif x > 2:
        other.add(2)
    elif x > 0:
        other.add(3)
`, `
    out.add(1 if x > 3 else 2)
    if x == 1:
        out.add(10)
    if x < 5:
        out.add(100)
`},
		{"strings", `
    s = "the first of three strings"
    if x == 1:
        other.add(1)
    elif x == 3:
        s = "the second of the strings"
    elif x == 4:
        s = "the third of these"
`, `
    if s == "the second of the strings":
        out.add(1)
    if s.startswith("the third"):
        out.add(10)
`},
		{"tuples", `
    p = (x, 1)
    if x == 2:
        other.add(1)
    elif x == 3:
        p = (x, 2)
    elif x > 3:
        p = (3, 3)
`, `
    if p[1] == 2:
        out.add(1)
    if p == (3, 3):
        out.add(10)
`},
		{"None", `
    o = None
    if x == 1:
        other.add(1)
    elif x == 3:
        o = 7
    elif x == 4:
        o = 0
`, `
    if o != None:
        out.add(1 + o)
`},
	}
	barriers := []struct{ name, text string }{
		{"range", `
    for i in range(n):
        for j in range(100):
            total.add(1)
`},
		{"while", `
    m = n
    while m > 0:
        m -= 1
        for j in range(100):
            total.add(1)
`},
		{"items", `
    for k in keys:
        for j in range(100):
            total.add(1)
`},
		{"return from a loop", `
    total.add(first(n))
`},
		{"subprogram", `
    work(n)
    work(n + 1)
`},
		{"counted errors", `
    total.add(len(str(e.args[0], 8)))
    total.add(len(str(e.args[0], 16)))
`},
	}
	for _, k := range kept {
		for _, b := range barriers {
			t.Run(k.name+" across "+b.name, func(t *testing.T) {
				d := newDirect(t, `total, out, other = sum(), sum(), sum()
keys = table(max_keys=100)
def work(n):
    for j in range(100):
        total.add(n)
def first(n):
    for i in range(n):
        for j in range(100):
            total.add(1)
        if i == 0:
            return i
    return n
def fill():
    keys[1], keys[2] = 1, 2
def handler(e):
    n = cast(e.args[0], "long")
    x = cast(e.args[1], "long")
    if n == 0:
        keys[n] = n
        return
`+strings.Trim(k.before, "\n")+b.text+strings.Trim(k.after, "\n"))
				d.run(0, 0)
				d.call("fill")
				got := 0
				for x := range 7 {
					for _, n := range []int{1, 3} {
						d.run(n, x)
						v, err := d.ExecItem(t.Context(), "out.snapshot()")
						if err != nil {
							t.Fatal(err)
						}
						now, err := starlark.AsInt32(v)
						if err != nil {
							t.Fatal(err)
						}
						if want := keptWant(k.name, x); now-got != want {
							t.Errorf("x = %d, n = %d: added %d, want %d", x, n, now-got, want)
						}
						got = now
					}
				}
			})
		}
	}
}

// keptWant returns what the cases of TestKeptAcrossCalls add for x.
func keptWant(name string, x int) int {
	switch name {
	case "constants":
		return []int{0, 0, 0, 11, 110, 1100, 0}[x]
	case "bounds":
		return []int{102, 112, 102, 102, 101, 1, 1}[x]
	case "strings":
		return []int{0, 0, 0, 1, 10, 0, 0}[x]
	case "tuples":
		return []int{0, 0, 0, 1, 10, 10, 10}[x]
	case "None":
		return []int{0, 0, 0, 8, 1, 0, 0}[x]
	}
	panic(fmt.Sprintf("no case %q", name))
}
