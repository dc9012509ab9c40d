package kinds

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestComplete checks the completions of partial specs: words that must be among them, and one that
// must not.
func TestComplete(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(exe, filepath.Join(dir, "mine")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	colons := filepath.Join(t.TempDir(), "a:b")
	if err := os.Mkdir(colons, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(exe, filepath.Join(colons, "mine")); err != nil {
		t.Fatal(err)
	}
	method := "github.com/bpfrepl/bpfrepl/bpf.(*Program).Close"
	for _, c := range []struct{ prefix, want, not string }{
		{"", "tracepoint: kprobe: uprobe: begin", "t:"},
		{"tr", "tracepoint:", "kprobe:"},
		{"tracepoint:sc", "tracepoint:sched:", "tracepoint:sched:sched_switch"},
		{"tracepoint:sched:sched_sw", "tracepoint:sched:sched_switch", "tracepoint:sched:sched_wakeup"},
		{"t:sched:sched_sw", "t:sched:sched_switch", "tracepoint:sched:sched_switch"},
		{"kprobe:vfs_rea", "kprobe:vfs_read kprobe:vfs_readv", "kprobe:vfs_write"},
		{"function:vfs_rea", "function:vfs_read", ""},
		{"uprobe:/proc/self/ex", "uprobe:/proc/self/exe:", ""},
		{"uprobe:/proc/self/tas", "uprobe:/proc/self/task/", ""},
		{"uprobe:/proc/self/exe:main.ma", "uprobe:/proc/self/exe:main.main", ""},
		{"uprobe:mine:main.ma", "uprobe:mine:main.main", "uprobe:mine:"},
		{"uprobe:/proc/self/exe:" + strings.TrimSuffix(method, "rogram).Close"), "uprobe:/proc/self/exe:" + method, ""},
		{"uprobe:" + strings.TrimSuffix(colons, "b"), "uprobe:" + colons + "/", ""},
		{"uprobe:" + colons + "/mi", "uprobe:" + colons + "/mine:", ""},
		{"uprobe:" + colons + "/mine:main.ma", "uprobe:" + colons + "/mine:main.main", ""},
		{"nosuch:", "", ""},
		{"tracepoint:[", "", ""},
	} {
		got, from, err := Complete(c.prefix)
		if err != nil {
			t.Errorf("%s: %v", c.prefix, err)
		}
		got = slices.Clone(got)
		for i := range got {
			got[i] = c.prefix[:from] + got[i]
		}
		for _, w := range strings.Fields(c.want) {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %s is not among %d", c.prefix, w, len(got))
			}
		}
		if c.not != "" && slices.Contains(got, c.not) || c.prefix == "nosuch:" && got != nil {
			t.Errorf("%s: %q", c.prefix, got)
		}
		for _, w := range got {
			if !strings.HasPrefix(w, c.prefix) {
				t.Fatalf("%s: %s does not begin with it", c.prefix, w)
			}
		}
	}
}

// TestCompleteSoon checks the time to complete among all functions of this kernel once they have
// been read. The goal is 50 ms; the test allows a wide margin.
func TestCompleteSoon(t *testing.T) {
	for _, kind := range []string{"kprobe:", "fentry:"} {
		before := time.Now()
		first, _, err := Complete(kind + "a")
		if err != nil {
			t.Fatal(err)
		}
		read := time.Since(before)
		before = time.Now()
		all, _, err := Complete(kind)
		took := time.Since(before)
		if err != nil || len(all) < 10000 || len(first) == 0 || len(first) >= len(all) {
			t.Errorf("%s: %d and %d names, %v", kind, len(first), len(all), err)
		}
		if took > 500*time.Millisecond {
			t.Errorf("%s: %d names took %v", kind, len(all), took)
		}
		t.Logf("%s: %d names were read in %v, listed in %v", kind, len(all), read, took)
	}
}

func BenchmarkComplete(b *testing.B) {
	names := make([]string, 100000)
	for i := range names {
		names[i] = fmt.Sprintf("fn%03d_does_%05d", i%1000, i)
	}
	slices.Sort(names)
	list := kprobeProvider.functions
	kprobeProvider.functions = func() ([]string, error) { return names, nil }
	defer func() { kprobeProvider.functions = list }()
	for _, prefix := range []string{"kprobe:", "kprobe:fn1", "kprobe:fn123_does_00123"} {
		b.Run(prefix, func(b *testing.B) {
			for b.Loop() {
				if got, _, err := Complete(prefix); err != nil || len(got) == 0 {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}
