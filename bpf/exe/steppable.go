package exe

import (
	"fmt"
)

// The kernel runs the instruction under a uprobe out of line, in a single step, or emulates it. It
// refuses instructions for which it can do neither, but checks this only when the file's page is
// mapped: a probe in a library that is loaded later is accepted and never fires. We therefore make
// the same check in advance.

// Steppable reports whether the kernel can put a uprobe on the instruction at an address. text is
// the instruction in hexadecimal, and next the address of the following instruction. An instruction
// that cannot be read counts as steppable, and the kernel decides.
func (x *File) Steppable(addr uint64) (ok bool, text string, next uint64) {
	code, err := x.bytes(addr, 16)
	if err != nil || x.Arch() != "amd64" {
		return true, "", 0
	}
	n := insnLen(x.Arch(), code)
	if n == 0 {
		return true, "", 0
	}
	return amd64Steppable(code[:n]), fmt.Sprintf("% x", code[:n]), addr + uint64(n)
}

// amd64NotStepped is the set of opcodes that the kernel refuses in 64-bit mode: those that do not
// exist there, and those that need the kernel or affect single-stepping (arch/x86/kernel/uprobes.c:
// good_insns_64). The kernel looks up the last opcode byte of instructions with a VEX or EVEX
// prefix in the same table, so vmovd (6e) is refused, but vaddps (58) is not.
var amd64NotStepped = func() (t [256]bool) {
	for _, op := range []byte{0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62, 0x6c, 0x6d, 0x6e, 0x6f, 0x82, 0x9a,
		0xcc, 0xcd, 0xce, 0xcf, 0xd4, 0xd5, 0xd6, 0xe4, 0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xed, 0xee, 0xef, 0xf1, 0xf4, 0xfa, 0xfb} {
		t[op] = true
	}
	return t
}()

func amd64Steppable(insn []byte) bool {
	data16 := false
	i := 0
prefixes:
	for ; i < len(insn)-1; i++ {
		switch insn[i] {
		case 0xf0, 0x2e, 0x36, 0x3e, 0x26: // lock, and segments other than fs and gs (is_prefix_bad)
			return false
		case 0x66:
			data16 = true
		case 0x67, 0xf2, 0xf3, 0x64, 0x65:
		default:
			break prefixes
		}
	}
	if insn[i]&0xf0 == 0x40 && i+1 < len(insn) { // REX
		i++
	}
	op := insn[i:]
	vex := map[byte]int{0xc5: 2, 0xc4: 3, 0x62: 4}[op[0]]
	if vex > 0 && vex < len(op) {
		return !amd64NotStepped[op[vex]]
	}
	switch {
	case op[0] == 0x8e && len(op) > 1 && op[1]>>3&7 == 2: // mov to ss suppresses exceptions for one instruction
		return false
	case data16 && (op[0] == 0xe8 || op[0] == 0xe9 || op[0] == 0xeb || op[0] >= 0x70 && op[0] <= 0x7f ||
		op[0] == 0x0f && len(op) > 1 && op[1] >= 0x80 && op[1] <= 0x8f): // branches with a prefix that Intel and AMD interpret differently
		return false
	}
	return !amd64NotStepped[op[0]]
}

// AMD64Steppable reports whether the kernel can put a uprobe on an amd64 instruction. known is
// false if the bytes are not an instruction that this package can decode.
func AMD64Steppable(code []byte) (ok, known bool) {
	n := amd64Len(code)
	if n == 0 || n > len(code) {
		return false, false
	}
	return amd64Steppable(code[:n]), true
}
