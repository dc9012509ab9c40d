package kinds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

// counting is a program that counts its runs.
type counting struct {
	*bpf.Program
	m *kmap.Map
}

func countRuns(t *testing.T, ts ...bpf.Target) *counting {
	t.Helper()
	return countRunsOf(t, bpf.ProgramSpec{Type: ts[0].ProgramTypes(true)[0], Targets: ts}, false)
}

// countRunsOf loads the program. If plain is set, the program is not loaded for a multi link.
func countRunsOf(t *testing.T, spec bpf.ProgramSpec, plain bool) *counting {
	t.Helper()
	if err := sys.Prepare(); err != nil {
		t.Fatal(err)
	}
	m, err := kmap.New(kmap.Spec{Name: "runs", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { expect.NoError(t, m.Close) })
	spec.Name, spec.Maps = "runs", map[string]*kmap.Map{"runs": m}
	spec.Instructions = asm.Instructions{
		asm.LoadMapValue(asm.R1, 0, 0).WithReference("runs"),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	if plain {
		spec.Targets = nil
	}
	p, err := bpf.LoadForTargets(t.Context(), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { expect.NoError(t, p.Close) })
	return &counting{p, m}
}

func (c *counting) runs(t *testing.T) uint64 {
	t.Helper()
	v, err := c.m.Lookup(make([]byte, 4))
	if err != nil {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint64(v)
}

func resolveOne(t *testing.T, spec string) bpf.Target {
	t.Helper()
	ts, err := Resolve(spec)
	if err != nil || len(ts) != 1 {
		t.Fatalf("%s: %v, %v", spec, ts, err)
	}
	return ts[0]
}

// TestPerfSpecErrors checks the errors for common mistakes in counters, watchpoints and signals.
func TestPerfSpecErrors(t *testing.T) {
	errs := map[string]string{
		"hardware:cycls":          `no probe "hardware:cycls": no hardware event "cycls" (did you mean "hardware:cycles"?)`,
		"hardware:cycles:0":       `probe "hardware:cycles:0": the number must be above 0`,
		"watchpoint:x:8:w":        `probe "watchpoint:x:8:w": "x" is not an address (write it as 0x7ffe00001000)`,
		"watchpoint:0x1000:3:w":   `probe "watchpoint:0x1000:3:w": the length must be 1, 2, 4 or 8 bytes, got 3`,
		"watchpoint:0x1004:8:w":   `probe "watchpoint:0x1004:8:w": 0x1004 is not a multiple of the length 8`,
		"watchpoint:0x1000:8:q":   `probe "watchpoint:0x1000:8:q": "q" is not a mode: use r, w and x, each at most once (w, rw or x)`,
		"watchpoint:0x1000:8:ww":  `probe "watchpoint:0x1000:8:ww": "ww" is not a mode: use r, w and x, each at most once (w, rw or x)`,
		"watchpoint:0x1000:8:rwx": `probe "watchpoint:0x1000:8:rwx": execution cannot be watched together with reading or writing (make two probes)`,
		"watchpoint:0x1000:8":     `probe "watchpoint:0x1000:8" has 3 parts (write watchpoint:ADDRESS:LENGTH:MODE with MODE of r, w and x)`,
		"self:timer:SIGUSR1":      `probe "self:timer:SIGUSR1": probes of bpfrepl itself are signals only (write self:signal:SIGUSR1)`,
		"self:signal:SIGUSR3":     `no probe "self:signal:SIGUSR3": no signal "SIGUSR3" (did you mean "self:signal:SIGUSR1" or "self:signal:SIGUSR2"?)`,
		"self:signal:SIGKILL":     `no probe "self:signal:SIGKILL": SIGKILL is used by bpfrepl itself (use SIGUSR1)`,
	}
	if runtime.GOARCH == "amd64" {
		errs["watchpoint:0x1000:8:r"] = `probe "watchpoint:0x1000:8:r": this processor cannot watch reads alone (write rw)`
		errs["watchpoint:0x1000:4:x"] = `probe "watchpoint:0x1000:4:x": for execution the length must be 8`
	}
	for spec, want := range errs {
		_, err := Resolve(spec)
		if err == nil {
			t.Errorf("%q: no error", spec)
			continue
		}
		expect.Text(t, spec, err.Error(), want)
	}
}

// TestHardware checks the list of processor counters. They attach on a host with a PMU; the errors
// are those of one without.
func TestHardware(t *testing.T) {
	ts, err := List("hardware:*")
	if err != nil || len(ts) != 10 {
		t.Fatal(ts, err)
	}
	if hasPMU() {
		x := resolveOne(t, "hardware:instructions:1000000")
		a, err := bpf.Attach(x, countRuns(t, x).Program, bpf.AttachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		expect.NoError(t, a.Close)
		return
	}
	if all, err := List("*cycles*"); err != nil || slices.ContainsFunc(all, func(t bpf.Target) bool { return t.Kind == "hardware" }) {
		t.Errorf("a pattern for all kinds lists %v, %v", all, err)
	}
	for _, listed := range ts {
		x := resolveOne(t, listed.Name)
		_, err := bpf.Attach(x, countRuns(t, x).Program, bpf.AttachOptions{})
		if err == nil {
			t.Fatal("attached")
		}
		expect.Text(t, "no PMU", err.Error(), "attach to "+x.Name+": no processor counters are available here, as in most virtual machines; use profile:hz:99, or a software: event")
	}
}

// store writes with a single instruction without a lock prefix: an emulated processor (QEMU 7.2)
// reports only some of the locked ones.
//
//go:noinline
func store(p *byte, v int64) { *(*int64)(unsafe.Pointer(p)) = v }

// TestWatchpoint checks that a watchpoint counts each write to its address.
func TestWatchpoint(t *testing.T) {
	page, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer expect.NoError(t, func() error { return unix.Munmap(page) })
	x := resolveOne(t, fmt.Sprintf("watchpoint:%#x:8:w", uintptr(unsafe.Pointer(&page[0]))))
	c := countRuns(t, x)
	if err := Watchpoints(); err != nil { // depends on the host, not on the kernel
		_, err := bpf.Attach(x, c.Program, bpf.AttachOptions{})
		if want := "attach to " + x.Name + ": this machine accepts watchpoints, but they never fire, as in some virtual machines; a uprobe or kprobe on the code that makes the access may be enough"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		return
	}
	for _, pid := range []int{0, os.Getpid()} {
		before := c.runs(t)
		a, err := bpf.Attach(x, c.Program, bpf.AttachOptions{PID: pid})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			store(&page[0], int64(i))
			page[100] = byte(i) // not watched
		}
		if n := c.runs(t) - before; n != 1000 {
			t.Errorf("%d writes seen of 1000, process %d", n, pid)
		}
		expect.NoError(t, a.Close)
	}
}

// TestSignal checks that the handler runs on each signal, and that signals received before the end
// are handled.
func TestSignal(t *testing.T) {
	x := resolveOne(t, "self:signal:usr1")
	c := countRuns(t, x)
	a, err := bpf.Attach(x, c.Program, bpf.AttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(20) {
		if err := unix.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		for c.runs(t) == i { // the kernel would merge a second signal with a pending one
			runtime.Gosched()
		}
	}
	expect.NoError(t, a.Close)
	if n := c.runs(t); n != 20 {
		t.Errorf("%d runs at 20 signals", n)
	}
}

// TestProcessGone checks the error for a perf event that is limited to a process that has ended.
func TestProcessGone(t *testing.T) {
	const gone = 1 << 21 // above the largest PID
	for _, spec := range []string{"software:page-faults:1", "uprobe:/proc/self/exe:runtime.main"} {
		x := resolveOne(t, spec)
		c := countRuns(t, x)
		var err error
		if c.Multi() {
			_, err = bpf.AttachMulti([]bpf.Target{x}, nil, c.Program, bpf.AttachOptions{PID: gone})
		} else {
			_, err = bpf.Attach(x, c.Program, bpf.AttachOptions{PID: gone})
		}
		var ae *bpf.AttachError
		if !errors.As(err, &ae) || !strings.HasSuffix(err.Error(), "the target process has exited") {
			t.Errorf("%s: %v", spec, err)
		}
	}
}
