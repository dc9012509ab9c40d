package compiler

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// TestApart compiles the golden handlers for kernels that confuse the registers and the stack of a
// function with those of its caller. A subprogram must not write R6 to R9, and the stack of the
// program must start where that of its subprograms ends.
func TestApart(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.star")
	if err != nil {
		t.Fatal(err)
	}
	subprograms := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		req := parseSource(t, filepath.Base(name), string(text)).request(t)
		req.Features.CallPrecision = false
		p, err := Compile(req)
		if err != nil {
			t.Logf("%s: %v", name, err) // it needs another event
			continue
		}
		functions := map[string]bool{"handler": true}
		for _, ins := range p.Instructions {
			if ins.IsFunctionReference() || ins.IsFunctionCall() {
				functions[ins.Reference()] = true
			}
		}
		top, bottom := -1<<20, 0 // of the program's stack, and of the subprograms'
		in := ""
		for i, ins := range p.Instructions {
			if functions[ins.Symbol()] {
				in = ins.Symbol()
				if in != "handler" {
					subprograms++
				}
			}
			off := 0
			switch class := ins.OpCode.Class(); {
			case class == asm.LdXClass && ins.Src == asm.RFP, class.IsStore() && ins.Dst == asm.RFP:
				off = int(ins.Offset)
			case ins.OpCode == asm.Add.Op(asm.ImmSource) && i > 0 && p.Instructions[i-1].Src == asm.RFP:
				off = int(ins.Constant)
			}
			if in == "handler" {
				if off < 0 {
					top = max(top, off)
				}
				continue
			}
			bottom = min(bottom, off)
			if writes := !ins.OpCode.Class().IsStore() && !ins.OpCode.Class().IsJump(); writes && ins.Dst >= asm.R6 && ins.Dst <= asm.R9 {
				t.Errorf("%s: %s writes a register of its caller: %v", name, in, ins)
			}
		}
		if top >= bottom && bottom < 0 {
			t.Errorf("%s: the program's stack reaches up to %d, that of its subprograms down to %d", name, top, bottom)
		}
	}
	if subprograms < 5 {
		t.Errorf("only %d subprograms", subprograms)
	}
}
