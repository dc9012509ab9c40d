package exe

import (
	"cmp"
	"debug/elf"
	"debug/gosym"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ianlancetaylor/demangle"
)

// Full returns the name, demangled if it is a C++ or Rust name: "ns::Widget::draw(int)".
func (s Symbol) Full() string {
	if !mangled(s.Name) {
		return s.Name
	}
	return demangle.Filter(s.Name)
}

// Short returns Full without the parameters: "ns::Widget::draw".
func (s Symbol) Short() string {
	if !mangled(s.Name) {
		return s.Name
	}
	return demangle.Filter(s.Name, demangle.NoParams)
}

func mangled(name string) bool {
	return strings.HasPrefix(name, "_Z") || strings.HasPrefix(name, "_R")
}

// Functions returns the functions of the file, sorted by address. stripped reports that only the
// names that other files call are left.
func (x *File) Functions() (funcs []Symbol, stripped bool, err error) {
	s, err := x.tables()
	if err != nil {
		return nil, false, err
	}
	return s.funcs, s.stripped, nil
}

// Imports returns the libraries that the file loads if the file calls a function of that name in a
// library, and nil otherwise.
func (x *File) Imports(name string) (libraries []string, err error) {
	s, err := x.tables()
	if err != nil || !s.imported[name] {
		return nil, err
	}
	return x.elf.ImportedLibraries()
}

func (x *File) tables() (*symbols, error) {
	if x.symbols != nil {
		return x.symbols, nil
	}
	s := &symbols{objects: map[string]uint64{}, imported: map[string]bool{}}
	static, err := x.elf.Symbols()
	if err == nil {
		s.add(static)
	} else if !errors.Is(err, elf.ErrNoSymbols) {
		return nil, &FileError{Path: x.Path, Reason: "its symbol table is damaged: " + err.Error(), Err: err}
	}
	dynamic, err := x.elf.DynamicSymbols()
	if err == nil {
		s.add(dynamic)
	} else if !errors.Is(err, elf.ErrNoSymbols) {
		return nil, &FileError{Path: x.Path, Reason: "its dynamic symbol table is damaged: " + err.Error(), Err: err}
	}
	s.stripped = len(static) == 0
	if s.stripped {
		if extra := x.debugSymbols(); extra != nil {
			s.add(extra)
			s.stripped = false
		}
	}
	if x.GoVersion != "" {
		s.addGo(goFunctions(x.elf))
	}
	slices.SortStableFunc(s.funcs, func(a, b Symbol) int { return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Name, b.Name)) })
	s.funcs = slices.CompactFunc(s.funcs, func(a, b Symbol) bool { return a.Addr == b.Addr && a.Name == b.Name })
	x.fillSizes(s.funcs)
	x.symbols = s
	return s, nil
}

func (s *symbols) add(table []elf.Symbol) {
	for _, e := range table {
		switch typ := elf.ST_TYPE(e.Info); {
		case e.Section == elf.SHN_UNDEF:
			if typ == elf.STT_FUNC || typ == elf.STT_GNU_IFUNC || typ == elf.STT_NOTYPE {
				s.imported[e.Name] = true
			}
		case typ == elf.STT_FUNC, typ == elf.STT_GNU_IFUNC:
			s.funcs = append(s.funcs, Symbol{Name: e.Name, Addr: e.Value, Size: e.Size, Global: elf.ST_BIND(e.Info) != elf.STB_LOCAL, Ifunc: typ == elf.STT_GNU_IFUNC})
		case typ == elf.STT_OBJECT, typ == elf.STT_NOTYPE:
			s.objects[e.Name] = e.Value
		}
	}
}

// addGo marks the Go functions, and adds those that are missing from the symbol tables.
func (s *symbols) addGo(funcs []Symbol) {
	known := map[uint64]bool{}
	isGo := map[uint64]bool{}
	for _, f := range funcs {
		isGo[f.Addr] = true
	}
	for i := range s.funcs {
		known[s.funcs[i].Addr] = true
		s.funcs[i].Go = isGo[s.funcs[i].Addr]
	}
	for _, f := range funcs {
		if !known[f.Addr] {
			s.funcs = append(s.funcs, f)
			s.stripped = false
		}
	}
}

// goFunctions reads Go's function table, which stripping does not remove. Other files have none.
func goFunctions(f *elf.File) []Symbol {
	tab := f.Section(".gopclntab")
	text := f.Section(".text")
	if tab == nil || text == nil {
		return nil
	}
	data, err := tab.Data()
	if err != nil {
		return nil
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return nil
	}
	var out []Symbol
	for _, f := range table.Funcs {
		out = append(out, Symbol{Name: f.Name, Addr: f.Entry, Size: f.End - f.Entry, Go: true})
	}
	return out
}

// debugSymbols reads the symbol table of the separate debug file that a distribution provides,
// which is found by build ID.
func (x *File) debugSymbols() []elf.Symbol {
	id := buildID(x.elf)
	if len(id) < 4 {
		return nil
	}
	f, err := elf.Open(filepath.Join("/usr/lib/debug/.build-id", id[:2], id[2:]+".debug"))
	if err != nil {
		return nil
	}
	syms, err := f.Symbols()
	if cerr := f.Close(); err != nil || cerr != nil {
		return nil
	}
	return syms
}

// fillSizes sets the size of each function without one, so that it extends to the next function or
// to the end of its section.
func (x *File) fillSizes(funcs []Symbol) {
	for i := range funcs {
		f := &funcs[i]
		if f.Size != 0 {
			continue
		}
		for _, s := range x.elf.Sections {
			if s.Flags&elf.SHF_EXECINSTR != 0 && f.Addr >= s.Addr && f.Addr < s.Addr+s.Size {
				f.Size = s.Addr + s.Size - f.Addr
			}
		}
		for _, g := range funcs[i+1:] {
			if g.Addr > f.Addr {
				f.Size = min(f.Size, g.Addr-f.Addr)
				break
			}
		}
	}
}

// At returns the function that contains an address.
func (x *File) At(addr uint64) (Symbol, bool) {
	s, err := x.tables()
	if err != nil {
		return Symbol{}, false
	}
	i, found := slices.BinarySearchFunc(s.funcs, addr, func(f Symbol, a uint64) int { return cmp.Compare(f.Addr, a) })
	if found {
		return s.funcs[i], true
	}
	for i--; i >= 0; i-- {
		if f := s.funcs[i]; addr < f.Addr+f.Size {
			return f, true
		} else if addr-f.Addr > 1<<24 {
			break
		}
	}
	return Symbol{}, false
}
