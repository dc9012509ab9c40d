package kernelfunc

import (
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// each calls fn for each function in the kernel's symbol table. Clone the names to keep a few.
func each(fn func(symbol.Symbol)) error {
	err := symbol.EachKernelSymbol(func(s symbol.Symbol, typ byte) {
		if isFunction(s, typ) {
			fn(s)
		}
	})
	if err != nil {
		return sys.ReadError(symbol.KallsymsFile, err)
	}
	return nil
}

func isFunction(s symbol.Symbol, typ byte) bool {
	switch typ {
	case 't', 'T', 'w', 'W':
		return !notFunction(s.Name)
	}
	return false
}

// notFunction reports whether a symbol is not a function: the padding before one, a part that the
// compiler split off, or a BPF program.
func notFunction(name string) bool {
	if name == "" {
		return true
	}
	switch name[0] {
	case '_':
		return strings.HasPrefix(name, "__pfx_") || strings.HasPrefix(name, "__cfi_")
	case 'b':
		return strings.HasPrefix(name, "bpf_prog_") || strings.HasPrefix(name, "bpf_trampoline_")
	}
	return strings.Contains(name, ".cold")
}

// Named returns the functions with the given names. Several can share one.
func Named(names map[string]bool) ([]symbol.Symbol, error) {
	var out []symbol.Symbol
	err := each(func(s symbol.Symbol) {
		if names[s.Name] {
			out = append(out, symbol.Symbol{Name: strings.Clone(s.Name), Module: strings.Clone(s.Module), Addr: s.Addr})
		}
	})
	return out, err
}

// Size returns the number of bytes from the start of a function to the next symbol, or 0 if the
// kernel hides addresses.
func Size(name string) (uint64, error) {
	var start uint64
	var addrs []uint64
	err := symbol.EachKernelSymbol(func(s symbol.Symbol, typ byte) {
		addrs = append(addrs, s.Addr)
		if start == 0 && s.Name == name && isFunction(s, typ) {
			start = s.Addr
		}
	})
	if err != nil {
		return 0, sys.ReadError(symbol.KallsymsFile, err)
	}
	if start == 0 {
		return 0, nil
	}
	var next uint64
	for _, a := range addrs {
		if a > start && (next == 0 || a < next) {
			next = a
		}
	}
	if next == 0 {
		return 0, nil
	}
	return next - start, nil
}
