package exe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// A StaticProbe is one site of a USDT probe. A probe has one site per copy of its code that the
// compiler made. The notes are those of SystemTap's sys/sdt.h
// (https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation).
type StaticProbe struct {
	Provider, Name string
	Addr           uint64 // of the nop that the kernel replaces
	// Semaphore is the address of a counter that the program checks before it computes the
	// arguments; 0: none.
	Semaphore uint64
	Args      string // as in the note: "-4@%edi 8@-16(%rbp)"
}

// StaticProbes returns the USDT probes of the file in the order of the notes.
func (x *File) StaticProbes() ([]StaticProbe, error) {
	s := x.elf.Section(".note.stapsdt")
	if s == nil {
		return nil, nil
	}
	data, err := s.Data()
	if err != nil {
		return nil, &FileError{Path: x.Path, Reason: "its static probe notes are damaged: " + err.Error(), Err: err}
	}
	// prelink(8) moves libraries without updating the addresses in the notes. The base section
	// shows by how much.
	var moved uint64
	base := x.elf.Section(".stapsdt.base")
	var out []StaticProbe
	bad := 0
	eachNote(data, x.elf.ByteOrder, func(owner string, typ uint32, desc []byte) {
		if owner != "stapsdt" || typ != 3 {
			return
		}
		p, noted, ok := parseNote(desc, x.elf.ByteOrder)
		if !ok {
			bad++
			return
		}
		if base != nil && noted != 0 {
			moved = base.Addr - noted
		}
		p.Addr += moved
		if p.Semaphore != 0 {
			p.Semaphore += moved
		}
		out = append(out, p)
	})
	if bad > 0 {
		return nil, &FileError{Path: x.Path, Reason: fmt.Sprintf("%d of its static probe notes are damaged", bad)}
	}
	return out, nil
}

// parseNote parses the body of a note. base is the address of .stapsdt.base at link time.
func parseNote(desc []byte, order binary.ByteOrder) (p StaticProbe, base uint64, ok bool) {
	if len(desc) < 24 {
		return p, 0, false
	}
	p.Addr, base, p.Semaphore = order.Uint64(desc), order.Uint64(desc[8:]), order.Uint64(desc[16:])
	parts := bytes.SplitN(desc[24:], []byte{0}, 4)
	if len(parts) < 3 {
		return p, 0, false
	}
	p.Provider, p.Name, p.Args = string(parts[0]), string(parts[1]), string(parts[2])
	return p, base, true
}

// SemaphoreOffset returns the file offset of a semaphore, which the kernel increments while a probe
// is attached.
func (x *File) SemaphoreOffset(addr uint64) (uint64, bool) {
	if off, ok := x.dataOffset(addr); ok {
		return off, true
	}
	// A semaphore is in .probes, which linkers place among the initialized data. One in .bss has no
	// place in the file.
	return 0, false
}

// object returns the address of a data symbol or a function by name.
func (x *File) object(name string) (uint64, bool) {
	s, err := x.tables()
	if err != nil {
		return 0, false
	}
	if a, ok := s.objects[name]; ok {
		return a, true
	}
	for _, f := range s.funcs {
		if f.Name == name {
			return f.Addr, true
		}
	}
	return 0, false
}

// relocatable reports whether the file can be loaded at any address, so that its addresses are not
// those of the process.
func (x *File) relocatable() bool { return x.elf.Type == elf.ET_DYN }
