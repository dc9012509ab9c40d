package kinds

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
	"github.com/bpfrepl/bpfrepl/internal/testkit/testprog"
)

//go:noinline
func probedOne(n int) int {
	if n%2 == 0 {
		return n + 1
	}
	return n - 1
}

//go:noinline
func probedTwo(n int) int { return probedOne(n) * 2 }

// attachTo attaches the program to all targets, with a multi link or one by one, as the program was
// loaded.
func attachTo(t *testing.T, c *counting, ts []bpf.Target, o bpf.AttachOptions) (detach func()) {
	t.Helper()
	var as []*bpf.Attachment
	add := func(a *bpf.Attachment, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, a)
	}
	if c.Multi() {
		add(bpf.AttachMulti(ts, nil, c.Program, o))
	} else {
		for _, x := range ts {
			add(bpf.Attach(x, c.Program, o))
		}
	}
	return func() {
		t.Helper()
		for _, a := range as {
			expect.NoError(t, a.Close)
		}
	}
}

// TestUprobeCounts checks that each call and each return of functions in this program counts once:
// with multi links, if the kernel has them, and with perf events; for all processes, and for this
// one only.
func TestUprobeCounts(t *testing.T) {
	k, err := sys.Running()
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []bool{false, true} {
		for _, pid := range []int{0, os.Getpid()} {
			for spec, want := range map[string]uint64{
				"uprobe:/proc/self/exe:*/kinds.probedOne":    2000,
				"uprobe:/proc/self/exe:*/kinds.probed*":      3000,
				"uretprobe:/proc/self/exe:*/kinds.probedOne": 2000,
				"uretprobe:/proc/self/exe:*/kinds.probed*":   3000,
			} {
				ts, err := Resolve(spec)
				if err != nil {
					t.Fatal(err)
				}
				c := countRunsOf(t, bpf.ProgramSpec{Type: ebpf.Kprobe, Targets: ts, PID: pid}, plain)
				if c.Multi() != (!plain && k.HaveUprobeMulti(pid != 0)) {
					t.Errorf("multi link: %v on %s", c.Multi(), k.Release)
				}
				detach := attachTo(t, c, ts, bpf.AttachOptions{PID: pid})
				sum := 0
				for i := range 1000 {
					sum += probedOne(i) + probedTwo(i)
				}
				detach()
				sum += probedTwo(sum)
				if n := c.runs(t); n != want || sum == 0 {
					t.Errorf("%s: %d runs, want %d (plain %v, process %d)", spec, n, want, plain, pid)
				}
			}
		}
	}
}

// TestSemaphore checks that the semaphore of a static probe is nonzero while a program is attached,
// with both kinds of link.
func TestSemaphore(t *testing.T) {
	bin, err := testprog.Build("gated")
	if err != nil {
		t.Fatal(err)
	}
	run := func() int {
		cmd := exec.Command(bin)
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode()
	}
	for _, plain := range []bool{false, true} {
		x := resolveOne(t, "usdt:"+bin+":gated")
		c := countRunsOf(t, bpf.ProgramSpec{Type: ebpf.Kprobe, Targets: []bpf.Target{x}}, plain)
		detach := attachTo(t, c, []bpf.Target{x}, bpf.AttachOptions{})
		if n := run(); n != 100 {
			t.Errorf("the program looked %d times, plain %v", n, plain)
		}
		detach()
		if n := run(); n != 0 || c.runs(t) != 100 {
			t.Errorf("the program looked %d times after the end; %d runs, plain %v", n, c.runs(t), plain)
		}
	}
}

// TestUnreadableProgram checks the error for a user who may not read the program.
func TestUnreadableProgram(t *testing.T) {
	expect.Text(t, "not root", task(t, "program", &syscall.SysProcAttr{Credential: nobody}),
		`probe "uprobe:/proc/1/exe:main": /proc/1/exe: user 65534 may not read it (run bpfrepl with sudo)`)
}

// TestPathsOfSpecs checks paths in specs that contain colons, or lead into the root of a process.
func TestPathsOfSpecs(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a:b")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(exe, filepath.Join(dir, "c:d")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "c:d"), fmt.Sprintf("/proc/%d/root%s", os.Getpid(), exe)} {
		for _, fn := range []string{"main.main", "github.com/bpfrepl/bpfrepl/bpf.(*Program).Close"} {
			ts, err := Resolve("uprobe:" + path + ":" + fn)
			if err != nil || len(ts) != 1 || ts[0].Func != fn || payload[userSites](ts[0]).file != path {
				t.Errorf("%s of %s: %v, %v", fn, path, ts, err)
			}
		}
		if ts, err := List("uprobe:" + path + ":main.mai*"); err != nil || len(ts) != 1 || ts[0].Name != "uprobe:"+path+":main.main" {
			t.Errorf("%s: %v, %v", path, ts, err)
		}
	}
	_, err = Resolve("uprobe:" + dir + "/none:main.main")
	expect.Text(t, "no file", fmt.Sprint(err), fmt.Sprintf("no probe %q: no file %s (is the path right?)", "uprobe:"+dir+"/none:main.main", strings.TrimSuffix(dir, ":b")))
}
