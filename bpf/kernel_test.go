package bpf

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

func program(t *testing.T, typ ebpf.ProgramType, insns ...asm.Instruction) (*Program, error) {
	t.Helper()
	p, err := NewProgram(ProgramSpec{Name: "test", Type: typ, Instructions: insns})
	if err == nil {
		t.Cleanup(func() { expect.NoError(t, p.Close) })
	}
	return p, err
}

func TestTestRun(t *testing.T) {
	p, err := program(t, ebpf.RawTracepoint, asm.LoadMem(asm.R0, asm.R1, 8, asm.DWord), asm.Return())
	if err != nil {
		t.Fatal(err)
	}
	if ret, err := p.TestRun([]uint64{1, 42}); err != nil || ret != 42 {
		t.Errorf("got %d, %v", ret, err)
	}
}

// TestVerifierRefusal checks that a refusal contains the verifier's reason, the source line and,
// with %+v, the whole log.
func TestVerifierRefusal(t *testing.T) {
	_, err := program(t, ebpf.RawTracepoint,
		asm.Mov.Imm(asm.R0, 0).WithSource(asm.Comment("x.star:1:1: def handler(e):")).WithSymbol("handler"),
		asm.LoadMem(asm.R2, asm.R3, 0, asm.DWord).WithSource(asm.Comment("x.star:2:5: bad()")), asm.Return())
	var r *VerifierError
	if !errors.As(err, &r) {
		t.Fatalf("%#v", err)
	}
	expect.Text(t, "refusal", r.Error(), "the kernel's verifier refuses the program: R3 !read_ok (at x.star:2:5: bad())")
	if full := fmt.Sprintf("%+v", r); !strings.HasPrefix(full, r.Error()+"\n") || !strings.Contains(full, "r2 = *(u64 *)(r3 +0)") {
		t.Errorf("the whole log: %s", full)
	}
}

func TestLoadError(t *testing.T) {
	_, err := program(t, ebpf.ProgramType(250), asm.Mov.Imm(asm.R0, 0), asm.Return())
	var le *LoadError
	if !errors.As(err, &le) {
		t.Fatalf("%#v", err)
	}
	expect.Text(t, "unknown type", le.Error(), "load a ProgramType(250) program: this kernel does not support programs of this type or form")
}
