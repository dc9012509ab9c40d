package bpf

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
)

// TestProgramLimits checks that E2BIG is reported as the limit that the program exceeds, and as the
// verifier's instruction limit only if it exceeds no other. A program exactly at a limit must load.
func TestProgramLimits(t *testing.T) {
	ret := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	withMaps := func(n int) ProgramSpec {
		spec := ProgramSpec{Maps: map[string]*kmap.Map{}}
		for i := range n {
			name := fmt.Sprint("m", i)
			m, err := kmap.New(kmap.Spec{Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			})
			spec.Maps[name] = m
			spec.Instructions = append(spec.Instructions, asm.LoadMapPtr(asm.R1, 0).WithReference(name))
		}
		spec.Instructions = append(spec.Instructions, ret...)
		return spec
	}
	withSubprograms := func(n int) ProgramSpec {
		main, subs := asm.Instructions{}, asm.Instructions{}
		for i := range n {
			name := fmt.Sprint("sub", i)
			main = append(main, asm.Call.Label(name))
			subs = append(subs, asm.Mov.Imm(asm.R0, 0).WithSymbol(name), asm.Return())
		}
		return ProgramSpec{Instructions: append(append(main, ret...), subs...)}
	}
	long := func(n int) ProgramSpec {
		var insns asm.Instructions
		for range n - len(ret) {
			insns = append(insns, asm.Mov.Imm(asm.R0, 0))
		}
		return ProgramSpec{Instructions: append(insns, ret...)}
	}
	endless := func() ProgramSpec { // a loop of two million iterations
		return ProgramSpec{Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Add.Imm(asm.R0, 1).WithSymbol("again"), asm.JLT.Imm(asm.R0, 2_000_000, "again"), asm.Return()}}
	}
	for _, c := range []struct {
		name string
		spec ProgramSpec
		want string
	}{
		{"64 maps", withMaps(64), ""},
		{"65 maps", withMaps(65), "load a RawTracepoint program: it uses 65 maps; a program can use 64"},
		{"255 subprograms", withSubprograms(255), ""},
		{"256 subprograms", withSubprograms(256), "load a RawTracepoint program: it has 256 subprograms; a program can have 255"},
		{"a long program", long(1_000_001), "load a RawTracepoint program: it has 1000001 instructions; a program can have 1000000"},
		{"many steps", endless(), "the handler is too complex for this kernel's verifier, which gave up after a million steps; split it, or test less"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.Name, c.spec.Type = "limits", ebpf.RawTracepoint
			p, err := NewProgram(c.spec)
			got := ""
			if err != nil {
				got = err.Error()
				if !errors.Is(err, unix.E2BIG) {
					t.Errorf("%v is no E2BIG", err)
				}
			} else if err := p.Close(); err != nil {
				t.Error(err)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
