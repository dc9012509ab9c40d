package exe

import (
	"encoding/binary"
	"slices"
	"strings"
)

// The kernel's return probes replace the return address on the stack. A program that reads its own
// stack, to throw an exception or to switch to another stack, then finds an unknown address and
// crashes. Probes on the return instructions leave the stack alone, but require all exits of a
// function to be known: its return instructions, and jumps to other functions, which return in its
// place.

// Exits describes how a function can be left.
type Exits struct {
	Returns []uint64 // addresses of return instructions
	Jump    uint64   // address of a jump that leaves the function; 0 if none does
	To      string   // function that Jump leads to, or "" if it is not known
	Unread  bool     // the code could not be followed to its end
}

// Exits returns the exits of a function. Parts that the compiler has moved elsewhere (f.cold)
// belong to the function.
func (x *File) Exits(f Symbol) Exits {
	w := exitWalk{x: x, f: f, parts: []Symbol{f}}
	for i := 0; i < len(w.parts); i++ { // a part may lead to other parts
		if !w.part(w.parts[i]) {
			w.out.Unread = true
			break
		}
	}
	slices.Sort(w.out.Returns)
	return w.out
}

type exitWalk struct {
	x     *File
	f     Symbol
	parts []Symbol
	out   Exits
}

// part follows the instructions of one contiguous part of the function. It returns false if the
// code cannot be read.
func (w *exitWalk) part(f Symbol) bool {
	code, err := w.x.bytes(f.Addr, f.Size)
	if err != nil || uint64(len(code)) != f.Size || f.Size == 0 {
		return false
	}
	var before [][]byte // previous instructions, the last one first
	for at := 0; at < len(code); {
		n := insnLen(w.x.Arch(), code[at:])
		if n == 0 {
			return false
		}
		insn, pc := code[at:at+n], f.Addr+uint64(at)
		switch k, target := branch(w.x.Arch(), insn, pc); k {
		case isReturn:
			w.out.Returns = append(w.out.Returns, pc)
		case isJump:
			w.jump(pc, target)
		case isIndirect:
			if !w.table(insn, before) && w.out.Jump == 0 {
				w.out.Jump = pc
			}
		}
		before = append([][]byte{insn}, before[:min(len(before), jumpTableReach)]...)
		at += n
	}
	return true
}

// jump records a jump to an address, unless it stays in the function.
func (w *exitWalk) jump(pc, target uint64) {
	for _, p := range w.parts {
		if target >= p.Addr && target < p.Addr+p.Size {
			return
		}
	}
	to, known := w.x.At(target)
	if known && strings.HasSuffix(to.Name, ".cold") {
		w.parts = append(w.parts, to)
		return
	}
	if w.out.Jump == 0 {
		w.out.Jump = pc
		if known && to.Addr == target {
			w.out.To = to.Full()
		}
	}
}

// A branchKind is the effect of an instruction on control flow, as far as it matters here.
type branchKind uint8

const (
	noBranch   branchKind = iota
	isReturn              // returns to the caller
	isJump                // jumps to a fixed address, possibly conditionally
	isIndirect            // jumps to an address in a register or in memory
)

func branch(arch string, insn []byte, pc uint64) (branchKind, uint64) {
	if arch == "arm64" {
		return branchARM64(binary.LittleEndian.Uint32(insn), pc)
	}
	end := pc + uint64(len(insn))
	op := withoutPrefixes(insn)
	rel8 := end + uint64(int64(int8(insn[len(insn)-1])))
	rel32 := func() uint64 { return end + uint64(int64(int32(binary.LittleEndian.Uint32(insn[len(insn)-4:])))) }
	switch b := op[0]; {
	case b == 0xc2, b == 0xc3, b == 0xca, b == 0xcb:
		return isReturn, 0
	case b == 0xeb, b >= 0x70 && b <= 0x7f, b >= 0xe0 && b <= 0xe3:
		return isJump, rel8
	case b == 0xe9, b == 0x0f && len(op) > 1 && op[1] >= 0x80 && op[1] <= 0x8f:
		return isJump, rel32()
	case b == 0xff && len(op) > 1 && op[1]>>3&7 == 4:
		return isIndirect, 0
	}
	return noBranch, 0
}

// withoutPrefixes returns an amd64 instruction from its opcode on.
func withoutPrefixes(insn []byte) []byte {
	for len(insn) > 1 {
		switch insn[0] {
		case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65:
			insn = insn[1:]
			continue
		}
		break
	}
	if len(insn) > 1 && insn[0]&0xf0 == 0x40 { // REX
		insn = insn[1:]
	}
	return insn
}

func branchARM64(w uint32, pc uint64) (branchKind, uint64) {
	rel := func(bits, shift uint) uint64 { // a signed distance in instructions
		v := int64(int32(w<<(32-bits-shift))) >> (32 - bits)
		return pc + uint64(v*4)
	}
	switch {
	case w == 0xd65f03c0, w == 0xd65f0bff, w == 0xd65f0fff, w&0xfffffc1f == 0xd65f0000: // ret, retaa, retab, ret xN
		return isReturn, 0
	case w>>26 == 5: // b
		return isJump, rel(26, 0)
	case w>>25 == 0x2a, w>>25&0x3f == 0x1a: // b.cond, cbz, cbnz
		return isJump, rel(19, 5)
	case w>>25&0x3f == 0x1b: // tbz, tbnz
		return isJump, rel(14, 5)
	case w&0xfefff800 == 0xd61f0800, w&0xfffffc1f == 0xd61f0000: // braa and its like, br
		return isIndirect, 0
	}
	return noBranch, 0
}

// jumpTableReach is the number of instructions before an indirect jump in which its target is
// computed from a jump table.
const jumpTableReach = 10

// table reports whether an indirect jump uses a jump table, as compilers generate for a switch, and
// so stays in the function. If the code does not show this, the jump counts as an exit, because
// otherwise returns could be missed.
func (w *exitWalk) table(insn []byte, before [][]byte) bool {
	if w.x.Arch() == "arm64" {
		return w.tableARM64(binary.LittleEndian.Uint32(insn), before)
	}
	for _, b := range insn {
		// notrack: compilers emit it for jump tables only.
		if b == 0x3e {
			return true
		}
		if b&0xf0 == 0x40 || b == 0xff {
			break
		}
	}
	op := withoutPrefixes(insn)
	rex := rexOf(insn)
	mod, rm := op[1]>>6, op[1]&7
	if mod == 3 {
		return addedFromTable(rm|rex&1<<3, before)
	}
	if rm != 4 || op[2]>>3&7 == 4 && rex&2 == 0 {
		return false // no index
	}
	if mod == 0 && op[2]&7 == 5 { // a table at a fixed address
		first, err := w.x.bytes(uint64(int64(int32(binary.LittleEndian.Uint32(op[3:])))), 8)
		if err != nil || len(first) < 8 {
			return false
		}
		to := binary.LittleEndian.Uint64(first)
		return to >= w.f.Addr && to < w.f.Addr+w.f.Size
	}
	return w.f.Go // in C, calls through a table of functions look the same; Go has none
}

// rexOf returns the REX prefix of an instruction, or 0.
func rexOf(insn []byte) byte {
	for _, b := range insn {
		switch {
		case b&0xf0 == 0x40:
			return b
		case b == 0x66, b == 0x67, b == 0xf0, b == 0xf2, b == 0xf3, b == 0x2e, b == 0x36, b == 0x3e, b == 0x26, b == 0x64, b == 0x65:
			continue
		}
		break
	}
	return 0
}

// addedFromTable reports whether a register is the sum of a base and the result of an indexed
// four-byte load, as in movslq (%rdx,%rax,4),%rax; add %rdx,%rax.
func addedFromTable(reg byte, before [][]byte) bool {
	added := false
	for i, insn := range before {
		op, rex := withoutPrefixes(insn), rexOf(insn)
		if len(op) < 2 {
			continue
		}
		dst := op[1]>>3&7 | rex&4<<1
		if op[0] == 0x01 {
			dst = op[1]&7 | rex&1<<3
		}
		switch {
		case i < 4 && (op[0] == 0x01 && op[1]>>6 == 3 || op[0] == 0x03) && dst == reg:
			added = true
		case added && (op[0] == 0x63 || op[0] == 0x8b) && op[1]>>6 != 3 && op[1]&7 == 4 && len(op) > 2 && (op[2]>>3&7 != 4 || rex&2 != 0):
			return true
		}
	}
	return false
}

func (w *exitWalk) tableARM64(insn uint32, before [][]byte) bool {
	reg := insn >> 5 & 31
	if w.f.Go && reg == 27 { // ldr x27, [table, index, lsl 3]; br x27
		return true
	}
	for i, b := range before {
		v := binary.LittleEndian.Uint32(b)
		if i < 4 && v&31 == reg && (v&0xff200000 == 0x8b200000 || v&0xff200000 == 0x8b000000) { // add, with an extended or shifted register
			return true
		}
	}
	return false
}
