package starlarkbind

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
)

// The budget limits a whole run of a handler, however its loops are combined, and exceeding it is
// an error. Each handler below would keep the CPU for hours if its loops were limited separately.
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
		if testing.Short() && i%4 != 0 { // each takes seconds on an emulated CPU
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
			if took, most := time.Since(start), 2*time.Second; took > most && !testing.Short() {
				t.Errorf("a run took %v", took)
			} else {
				t.Log(took)
			}
			es, err := d.allErrors(d.reg.allProbes())
			if err != nil {
				t.Fatal(err)
			}
			if len(es) != 1 || es[0].Errno != "E2BIG" || es[0].Count != 1 {
				t.Errorf("errors are %v, want one E2BIG", es)
			}
		})
	}
}

// Helper calls that take long cost accordingly more of the budget: a run that does nothing else
// also ends within a few seconds.
func TestRunBudgetCalls(t *testing.T) {
	bpftest.Need(t, "bpf_loop", "for_each_map_elem")
	// A deeply nested directory and a deep stack.
	dir := t.TempDir()
	t.Chdir(dir)
	for range 55 {
		name := strings.Repeat("d", 60)
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chdir(name); err != nil {
			t.Fatal(err)
		}
	}
	var deep func(n int, fn func()) int
	deep = func(n int, fn func()) int {
		if n == 0 {
			fn()
			return 0
		}
		return deep(n-1, fn) + 1
	}
	for i, c := range []struct{ name, body string }{
		{"path", "n.add(len(path(e.task.fs.pwd)))"},
		{"long path", "n.add(len(path(e.task.fs.pwd, 4096)))"},
		{"kstack", "s.add(by=kstack())"},
		{"kstack of 4", "s.add(by=kstack(4))"},
		{"ustack", "u.add(by=ustack())"},
		{"cgroup_path", "c.add(by=cgroup_path())"},
		{"task", "n.add(e.task.mm.exe_file.f_inode.i_ino)"},
		{"comm", "names.add(by=e.comm)"},
		{"read memory", "n.add(cast(e.args[1], \"u64 *\")[i & 63])"},
		{"buf", "n.add(int(buf(e.args[1], 256) == b\"x\"))"},
		{"str", "n.add(int(str(e.args[1], 256) == \"x\"))"},
		{"str as a key", "names.add(by=str(e.args[1], 256))"},
		{"long str", "n.add(len(str(e.args[1], 8192)))"},
		{"search", "n.add(int(\"needle\" in str(e.args[1], 512)))"},
		{"endswith", "n.add(int(str(e.args[1], 4096).endswith(\"needle\")))"},
		{"str of run time", "n.add(len(str(e.args[1], e.args[2])))"},
		{"now", "n.add(now())"},
		{"strftime", "times.add(by=strftime(\"%H:%M:%S\", now()))"},
		{"rand", "n.add(rand())"},
		{"division", "n.add(i // (e.args[2] + 1))"},
		{"lookup", "n.add(t.get(i, 0))"},
		{"update", "t[i & 1023] = i"},
		{"update of many", "t[i] = i"},
		{"pop", "n.add(t.pop(i, 0))"},
		{"insert and pop", "t[i] = i\n        t.pop(i, 0)"},
		{"histogram", "h.add(i, by=i & 1023)"},
		{"stats", "st.add(i, by=(e.comm, i & 63))"},
		{"print", "print(i, e.comm)"},
		{"emit", "out.emit(a=i, b=e.comm)"},
		{"long emit", "out.emit(a=str(e.args[1], 4096))"},
	} {
		if testing.Short() && i%4 != 0 { // as in TestRunBudget
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			d := newDirect(t, `n = sum()
s = count()
u = count()
c = count()
t = table(max_keys=100000, value=int)
names = count()
times = count()
h = hist()
st = stats()
out = stream()
def handler(e):
    n.add(0)
    for i in range(cast(e.args[0], "long")):
        `+c.body+"\n")
			start := time.Now()
			deep(150, func() { d.run(8_000_000, strings.Repeat("a", 8191), 7) })
			took := time.Since(start)
			if most := 2 * time.Second; took > most && !testing.Short() {
				t.Errorf("a run took %v", took)
			} else {
				t.Log(took)
			}
		})
	}
}

// A run below the budget completes: the number of iterations is exact.
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
		if got := d.names.Globals["total"].(*maps.Aggregation); fmt.Sprint(got) != fmt.Sprint(c.want) {
			v, err := got.Attr("value")
			if err != nil || v.String() != fmt.Sprint(c.want) {
				t.Errorf("%s: %v, %v, want %d", c.body, v, err, c.want)
			}
		}
	}
}
