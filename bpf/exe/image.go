package exe

import (
	"cmp"
	"debug/elf"
	"errors"
	"slices"
	"sort"
)

// An Image is what names the addresses of a file that a process has mapped: its segments, its
// functions and its data. Unlike a File, it can be of any architecture, and nothing is kept open.
type Image struct {
	Fixed   bool   // addresses in the file are memory addresses (ET_EXEC)
	BuildID string // in hexadecimal, or ""

	loads []elf.ProgHeader
	syms  []imageSymbol // sorted by address
}

type imageSymbol struct {
	addr, size uint64
	name       string
}

// ReadImage reads a file.
func ReadImage(path string) (m *Image, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	m = &Image{Fixed: f.Type == elf.ET_EXEC, BuildID: buildID(f)}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			m.loads = append(m.loads, p.ProgHeader)
		}
	}
	for _, table := range []func() ([]elf.Symbol, error){f.Symbols, f.DynamicSymbols} {
		syms, err := table()
		if err != nil { // no such table
			continue
		}
		for _, s := range syms {
			if t := elf.ST_TYPE(s.Info); (t == elf.STT_FUNC || t == elf.STT_OBJECT || t == elf.STT_GNU_IFUNC) && s.Value != 0 && s.Section != elf.SHN_UNDEF {
				m.syms = append(m.syms, imageSymbol{s.Value, s.Size, s.Name})
			}
		}
	}
	if _, err := f.Symbols(); errors.Is(err, elf.ErrNoSymbols) {
		for _, fn := range goFunctions(f) {
			m.syms = append(m.syms, imageSymbol{fn.Addr, fn.Size, fn.Name})
		}
	}
	slices.SortStableFunc(m.syms, func(a, b imageSymbol) int { return cmp.Compare(a.addr, b.addr) })
	return m, nil
}

// Len returns the number of symbols.
func (m *Image) Len() int { return len(m.syms) }

// Names returns the names of the symbols, sorted by address.
func (m *Image) Names() []string {
	names := make([]string, len(m.syms))
	for i, s := range m.syms {
		names[i] = s.name
	}
	return names
}

// maxImageSymbol is the maximum distance in bytes from the start of a symbol to an address in it.
const maxImageSymbol = 1 << 20

// At returns the symbol at an offset in the file and the distance from its start, or "" if there is
// none.
func (m *Image) At(fileOff uint64) (name string, off uint64) {
	for _, p := range m.loads {
		if fileOff < p.Off || fileOff >= p.Off+p.Filesz {
			continue
		}
		addr := fileOff - p.Off + p.Vaddr
		i := sort.Search(len(m.syms), func(i int) bool { return m.syms[i].addr > addr }) - 1
		for ; i >= 0; i-- {
			s := m.syms[i]
			if addr < s.addr+s.size || s.size == 0 && addr == s.addr {
				for i > 0 && m.syms[i-1].addr == s.addr && addr < m.syms[i-1].addr+m.syms[i-1].size {
					i--
				}
				return m.syms[i].name, addr - m.syms[i].addr
			}
			if addr-s.addr > maxImageSymbol {
				break
			}
		}
	}
	return "", 0
}

// Addr returns the address of a symbol, as given in the file.
func (m *Image) Addr(name string) (uint64, bool) {
	for _, s := range m.syms {
		if s.name == name {
			return s.addr, true
		}
	}
	return 0, false
}

// Offset returns the place of an address in the file as the kernel maps it. ok is false if the
// address is in no segment.
func (m *Image) Offset(addr uint64) (off uint64, ok bool) {
	for _, p := range m.loads {
		if addr >= p.Vaddr && addr-p.Vaddr < p.Memsz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}
