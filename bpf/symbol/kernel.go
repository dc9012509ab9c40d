package symbol

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// kernelSymbols contains the symbols of /proc/kallsyms, sorted by address.
type kernelSymbols struct {
	syms []Symbol
	err  error
}

// NoSymbolError reports that a symbol does not exist.
type NoSymbolError struct {
	Symbol, Where string // Where is "the kernel" or a path
	Suggestions   []string
}

func (e *NoSymbolError) Error() string { return fmt.Sprintf("%s has no symbol %q", e.Where, e.Symbol) }

// ErrHiddenSymbols is returned if the kernel lists its symbols without addresses.
var ErrHiddenSymbols = errors.New("the kernel hides the addresses of its symbols (sysctl kernel.kptr_restrict); as root: sysctl kernel.kptr_restrict=1")

// ksymsCache caches the symbols. They are read on first use, which takes tens of milliseconds.
var ksymsCache struct {
	mu   sync.Mutex
	read func() kernelSymbols
}

func ksyms() kernelSymbols {
	ksymsCache.mu.Lock()
	if ksymsCache.read == nil {
		ksymsCache.read = sync.OnceValue(readKernelSymbols)
	}
	read := ksymsCache.read
	ksymsCache.mu.Unlock()
	return read()
}

// InvalidateKernelSymbols makes the next lookup read the symbols again. It is needed when programs
// or modules have been loaded or unloaded.
func InvalidateKernelSymbols() {
	ksymsCache.mu.Lock()
	ksymsCache.read = nil
	ksymsCache.mu.Unlock()
}

func readKernelSymbols() kernelSymbols {
	var syms []Symbol
	err := EachKernelSymbol(func(s Symbol, typ byte) {
		if typ != 'a' && typ != 'A' { // an absolute symbol is not an address
			syms = append(syms, s)
		}
	})
	if err != nil {
		return kernelSymbols{err: fmt.Errorf("read the kernel's symbols: %w", err)}
	}
	slices.SortStableFunc(syms, byAddress)
	if len(syms) == 0 || syms[len(syms)-1].Addr == 0 {
		return kernelSymbols{err: ErrHiddenSymbols}
	}
	return kernelSymbols{syms: syms}
}

func byAddress(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) }

// KernelSymbol returns the symbol that contains a kernel address, and the offset of the address in
// bytes from the start of the symbol. If several symbols start at the same address, it returns the
// first. ok is false if no symbol is known.
func KernelSymbol(addr uint64) (sym Symbol, off uint64, ok bool, err error) {
	k := ksyms()
	if k.err != nil {
		return Symbol{}, 0, false, k.err
	}
	i := sort.Search(len(k.syms), func(i int) bool { return k.syms[i].Addr > addr }) - 1
	if i < 0 || addr-k.syms[i].Addr > maxSymbol {
		return Symbol{}, 0, false, nil
	}
	for i > 0 && k.syms[i-1].Addr == k.syms[i].Addr {
		i--
	}
	return k.syms[i], addr - k.syms[i].Addr, true, nil
}

// maxSymbol is the maximum distance in bytes from the start of a symbol at which an address is
// still attributed to it.
const maxSymbol = 1 << 20

// KernelAddr returns the address of a kernel symbol. The error is a *NoSymbolError or
// ErrHiddenSymbols.
func KernelAddr(name string) (uint64, error) {
	k := ksyms()
	if k.err != nil {
		return 0, k.err
	}
	for _, s := range k.syms {
		if s.Name == name {
			return s.Addr, nil
		}
	}
	names := make([]string, len(k.syms))
	for i, s := range k.syms {
		names[i] = s.Name
	}
	return 0, &NoSymbolError{Symbol: name, Where: "the kernel", Suggestions: suggest.Nearest(name, names, 3)}
}
