package exe

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// The kernel puts a uprobe wherever it is told, also into the middle of an instruction, where it never fires and may break
// the program. So the instructions are walked from the start of the function to the place that is asked for.

// Boundary says whether an instruction begins at the address. before and after are the instructions around it where none
// does. known is false where that cannot be told: no function is known there, or its code cannot be read.
func (x *File) Boundary(addr uint64) (ok, known bool, before, after uint64) {
	start, size := x.functionAt(addr)
	if size == 0 {
		return false, false, 0, 0
	}
	code, err := x.bytes(start, size+16)
	if err != nil {
		return false, false, 0, 0
	}
	for at := start; at < addr; {
		n := insnLen(x.Arch(), code[at-start:])
		if n == 0 {
			return false, false, 0, 0
		}
		if at+uint64(n) > addr {
			return false, true, at, at + uint64(n)
		}
		at += uint64(n)
	}
	return insnLen(x.Arch(), code[addr-start:]) > 0, true, addr, addr
}

// functionAt gives the start of the function at an address, by symbols or by the tables for unwinding, and how many bytes
// of it lie up to the address.
func (x *File) functionAt(addr uint64) (start, size uint64) {
	if f, ok := x.At(addr); ok {
		return f.Addr, addr - f.Addr + 1
	}
	starts := x.unwindStarts()
	i, found := slices.BinarySearch(starts, addr)
	if !found {
		i--
	}
	if i < 0 || addr-starts[i] > 1<<20 {
		return 0, 0
	}
	return starts[i], addr - starts[i] + 1
}

// unwindStarts gives the starts of all functions from .eh_frame_hdr, sorted. That table is there in stripped files too; its
// form is in the Linux Standard Base, chapter 10.6. Only the encoding that linkers write is read.
func (x *File) unwindStarts() []uint64 {
	if x.starts != nil {
		return *x.starts
	}
	var out []uint64
	x.starts = &out
	s := x.elf.Section(".eh_frame_hdr")
	if s == nil {
		return nil
	}
	b, err := s.Data()
	const sdata4, dataRelative = 0x0b, 0x30
	if err != nil || len(b) < 12 || b[0] != 1 || b[2] != 0x03 || b[3] != sdata4|dataRelative {
		return nil
	}
	n := int(binary.NativeEndian.Uint32(b[8:]))
	for i := range n {
		if 12+8*i+8 > len(b) {
			break
		}
		out = append(out, s.Addr+uint64(int64(int32(binary.NativeEndian.Uint32(b[12+8*i:])))))
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}

// insnLen is the length of the first instruction; 0 where it is none, or not all of it is there.
func insnLen(arch string, code []byte) int {
	n := 4
	if arch == "amd64" {
		n = amd64Len(code)
	}
	if n > len(code) {
		return 0
	}
	return n
}

// GoEntry gives the place where a Go function has room on the stack. One that finds too little there when it begins gets more
// and begins again: a probe on its first instruction would count that call twice. The arguments are still in their registers.
func (x *File) GoEntry(f Symbol) uint64 {
	code, err := x.bytes(f.Addr, min(f.Size, 64))
	if err != nil {
		return f.Addr
	}
	compared := false // with the limit, g.stackguard0, at g+16
	for at, i := 0, 0; at < len(code) && i < 8; i++ {
		n := insnLen(x.Arch(), code[at:])
		if n == 0 {
			break
		}
		insn := code[at : at+n]
		at += n
		compares, branches := goCheck(x.Arch(), insn)
		compared = compared || compares
		if compared && branches {
			return f.Addr + uint64(at)
		}
	}
	return f.Addr
}

// goCheck says whether an instruction reads the limit of the stack, and whether it branches where there is too little
// (cmd/internal/obj/x86 and arm64: stacksplit).
func goCheck(arch string, insn []byte) (compares, branches bool) {
	if arch == "arm64" {
		w := binary.LittleEndian.Uint32(insn)
		return w == 0xf9400b90, w&0xff00001f == 0x54000009 // ldr x16, [x28, 16]; b.ls
	}
	if len(insn) == 4 && insn[1] == 0x3b && insn[2] == 0x66 && insn[3] == 0x10 && (insn[0] == 0x49 || insn[0] == 0x4d) {
		return true, false // cmp 16(r14), rsp or r12
	}
	return false, insn[0] == 0x76 || len(insn) == 6 && insn[0] == 0x0f && insn[1] == 0x86 // jbe
}
