package exe

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// The kernel puts a uprobe at any requested address, even in the middle of an instruction, where it
// never fires and may break the program. We therefore decode the instructions from the start of the
// function to the requested address.

// Boundary reports whether an instruction begins at addr. If not, before and after are the
// addresses of the nearest instructions. known is false if this cannot be determined: no function
// is known at addr, or its code cannot be read.
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

// functionAt returns the start of the function at an address, from symbols or unwind tables, and
// the number of its bytes up to and including the address.
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

// unwindStarts returns the starts of all functions from .eh_frame_hdr, sorted. Stripped files have
// that table too. Its format is described in the Linux Standard Base, chapter 10.6. Only the
// encoding that linkers emit is supported.
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

// insnLen returns the length of the first instruction, or 0 if it is invalid or incomplete.
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

// GoEntry returns the address in a Go function after the check for stack space. If there is too
// little, the function grows the stack and starts over, so a probe on its first instruction would
// count that call twice. At the returned address, the arguments are still in their registers.
func (x *File) GoEntry(f Symbol) uint64 {
	code, err := x.bytes(f.Addr, min(f.Size, 64))
	if err != nil {
		return f.Addr
	}
	compared := false // with the stack limit, g.stackguard0, at g+16
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

// goCheck reports whether an instruction reads the stack limit, and whether it branches if there is
// too little space (cmd/internal/obj/x86 and arm64: stacksplit).
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
