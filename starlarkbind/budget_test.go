package starlarkbind

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// A run of a handler is bounded as a whole, however its loops are put together, and what goes beyond is an error. Each handler below would
// keep the CPU for hours if each of its loops were bounded by itself.
func TestRunBudget(t *testing.T) {
	bpftest.Need(t, "bpf_loop", "for_each_map_elem")
	const n = 7_000_000
	for i, c := range []struct{ name, body, err string }{
		{"for in for", `
    for i in range(n):
        for j in range(n):
            total.add(1)
`, "4:5"},
		{"while in while", `
    while n > 0:
        m = n
        while m > 0:
            m -= 1
`, ""},
		{"while True in a constant range", `
    for i in range(100):
        k = n
        while k > 0:
            k -= 1
`, ""},
		{"one after the other", `
    for i in range(n):
        total.add(1)
    for i in range(n):
        total.add(1)
    for i in range(n):
        total.add(1)
`, ""},
		{"three deep, with continue and break", `
    for i in range(n):
        for j in range(n):
            if j & 1:
                continue
            for k in range(n):
                if k > i:
                    break
                total.add(1)
`, ""},
		{"a function called in a loop", `
    for i in range(n):
        total.add(count_to(n))
`, ""},
		{"a function called often", `
    a = count_to(n) + count_to(n + 1) + count_to(n + 2)
    b = count_to(a) + count_to(b_of(a))
    total.add(a + b)
`, ""},
		{"a subprogram that does much", `
    total.add(heavy(n) + heavy(n + 1))
    for i in range(n):
        for j in range(n):
            total.add(heavy(n + j))
`, ""},
		{"maps in maps", `
    for a in keys:
        for b in keys:
            for c in keys:
                for d in keys:
                    total.add(1)
`, ""},
		{"a loop over a map in a loop", `
    for i in range(n):
        for a in keys:
            total.add(1)
`, ""},
		{"a loop in a loop over a map", `
    for a in keys:
        for i in range(n):
            total.add(1)
`, ""},
		{"long strings", `
    for i in range(n):
        s = str(e.args[1], 4096)
        if "needle" in s:
            total.add(len(s))
`, ""},
		{"a long constant loop in a round", `
    for i in range(n):
        for j in range(100):
            total.add(1)
`, ""},
		{"many calls in a round", `
    for i in range(n):
        for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10):
            keys[k] = keys.get((k + i) & 0xffffff, 0) + 1
`, ""},
	} {
		if testing.Short() && i%4 != 0 { // each takes an emulated CPU seconds
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			d := newDirect(t, `total = sum()
keys = table(max_keys=1000)
def count_to(n):
    i = 0
    while i < n:
        i += 1
    return i
def heavy(n):
    x = 0
    for i in range(60):
        x += keys.get(n + i, 0) + keys.get(n * i, 0)
    return x
def b_of(a):
    return a * 2
def fill():
    for i in range(1000):
        keys[i] = i
def handler(e):
    n = cast(e.args[0], "long")
    if n == 0:
        keys[n] = n
        total.add(1)
        return`+c.body)
			d.run(0)
			d.call("fill")
			start := time.Now()
			d.run(n, strings.Repeat("a", 4095))
			if took, most := time.Since(start), 5*time.Second; took > most && !testing.Short() {
				t.Errorf("a run took %v", took)
			} else {
				t.Log(took)
			}
			es, err := d.allErrors(d.allProbes())
			if err != nil {
				t.Fatal(err)
			}
			if len(es) != 1 || es[0].errno != "E2BIG" || es[0].count != 1 {
				t.Errorf("errors are %v, want one E2BIG", es)
			}
		})
	}
}

// What stays below the budget runs to its end: the count of rounds is exact.
func TestBelowBudget(t *testing.T) {
	bpftest.Need(t, "bpf_loop")
	for _, c := range []struct {
		body string
		want int
	}{
		{"    for i in range(n):\n        total.add(1)\n", 1_000_000},
		{"    for i in range(1000):\n        for j in range(1000):\n            total.add(1)\n", 1_000_000},
		{"    for i in range(n):\n        total.add(1)\n    for i in range(n):\n        total.add(1)\n", 2_000_000},
		{"    while n > 0:\n        n -= 1\n        total.add(1)\n", 1_000_000},
	} {
		d := newDirect(t, "total = sum()\ndef handler(e):\n    n = cast(e.args[0], \"long\")\n"+c.body)
		d.run(1_000_000)
		d.wantErrors()
		if got := d.globals["total"].(*Aggregation); fmt.Sprint(got) != fmt.Sprint(c.want) {
			v, err := got.Attr("value")
			if err != nil || v.String() != fmt.Sprint(c.want) {
				t.Errorf("%s: %v, %v, want %d", c.body, v, err, c.want)
			}
		}
	}
}
