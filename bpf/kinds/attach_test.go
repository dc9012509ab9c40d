package kinds

import (
	"errors"
	"sync"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// loaded loads a program that does nothing.
func loaded(t *testing.T, typ ebpf.ProgramType) *bpf.Program {
	t.Helper()
	p, err := bpf.NewProgram(bpf.ProgramSpec{Name: "test", Type: typ, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { expect.NoError(t, p.Close) })
	return p
}

// TestAttachErrors checks the errors for targets to which the kernel refuses to attach.
func TestAttachErrors(t *testing.T) {
	p := loaded(t, ebpf.RawTracepoint)
	none := newTarget("rawtracepoint", "no_such_event")
	none.Driver = &rawTracepointProvider.Driver
	_, err := bpf.Attach(none, p, bpf.AttachOptions{})
	if !errors.Is(err, bpf.ErrNoRawTracepoint) {
		t.Errorf("%#v", err)
	}
	expect.Text(t, "no raw tracepoint", err.Error(), "attach to rawtracepoint:no_such_event: no raw tracepoint of that name")
	_, err = bpf.Attach(newTarget("nix"), p, bpf.AttachOptions{})
	expect.Text(t, "no kind", err.Error(), "attach to nix: no such kind of probe")
}

// TestAttachRefused checks that the kernel accepts 64 programs for a tracepoint and refuses the
// next.
func TestAttachRefused(t *testing.T) {
	ts, err := Resolve("tracepoint:syscalls:sys_enter_getppid")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := 0; ; i++ {
		a, err := bpf.Attach(ts[0], loaded(t, ebpf.TracePoint), bpf.AttachOptions{})
		if err == nil {
			defer wg.Go(func() { expect.NoError(t, a.Close) })
			if i == 70 {
				t.Fatal("70 programs are attached")
			}
			continue
		}
		var ae *bpf.AttachError
		if !errors.As(err, &ae) || !errors.Is(err, unix.E2BIG) {
			t.Errorf("%#v", err)
		}
		expect.Text(t, "refused", err.Error(), "attach to tracepoint:syscalls:sys_enter_getppid: 64 programs are attached there already, which is the kernel's limit")
		return
	}
}
