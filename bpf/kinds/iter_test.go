package kinds

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

// TestIter checks that iterators visit every item once or, if limited to a process (6.1), every
// item of that process.
func TestIter(t *testing.T) {
	k, err := sys.Running()
	if err != nil {
		t.Fatal(err)
	}
	entries := func(dir string) int {
		t.Helper()
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	maps := func() int {
		t.Helper()
		text, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(strings.ReplaceAll(string(text), "[vsyscall]\n", ""), "\n")
	}
	for name, want := range map[string]func() int{
		"task":      func() int { return entries("/proc/self/task") },
		"task_file": func() int { return entries("/proc/self/fd") },
		"task_vma":  maps,
	} {
		ts, err := Resolve("iter:" + name)
		if name == "task_vma" && !k.AtLeast(5, 12) {
			if err == nil {
				t.Fatal("there is no task_vma before 5.12")
			}
			expect.Text(t, "before 5.12", err.Error(), fmt.Sprintf(`no probe "iter:task_vma": the iterator task_vma needs Linux 5.12; this is %s (use iter:task)`, k.Release))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c := countRunsOf(t, bpf.ProgramSpec{Type: ebpf.Tracing, Targets: ts}, false)
		count := func(o bpf.AttachOptions) int {
			t.Helper()
			before := c.runs(t)
			a, err := bpf.Attach(ts[0], c.Program, o)
			if err != nil {
				t.Fatal(err)
			}
			expect.NoError(t, a.Close)
			return int(c.runs(t) - before)
		}
		if all := count(bpf.AttachOptions{}); all < want() {
			t.Errorf("%s: %d things, this process alone has %d", name, all, want())
		}
		if !k.AtLeast(6, 1) {
			continue
		}
		// The program also runs once at the end of the iteration. A few more runs are allowed for
		// items of this process that come and go in the meantime: threads of the Go runtime, and
		// the descriptors of the iterator.
		if one := count(bpf.AttachOptions{PID: os.Getpid()}); one < want() || one > want()+12 {
			t.Errorf("%s: %d things of this process, it has %d", name, one, want())
		}
	}
}
