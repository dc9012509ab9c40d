package codec

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bpfrepl/bpfrepl/bpf/symbol"
)

// Symbols names addresses of the kernel and of processes.
type Symbols struct {
	report func(error)

	Loaded    atomic.Int64 // programs loaded so far
	symsAt    atomic.Int64 // loaded when the kernel's symbols were last read
	UserAddrs atomic.Bool  // some probe stores user-space addresses

	mu    sync.Mutex // guards usyms
	usyms *symbol.UserSymbols
}

// NewSymbols returns symbols that call report for errors that no name can express.
func NewSymbols(report func(error)) *Symbols { return &Symbols{report: report} }

// name returns the name of an address, such as "vfs_read+16" or "main+4 [prog]", or the address
// itself if no symbol is known.
func (y *Symbols) name(user bool, pid int, addr uint64) string {
	name, off, module, ok := "", uint64(0), "", false
	if user {
		p := y.UserSymbols().Lookup(pid, addr)
		name, off, module, ok = p.Name, p.Off, p.File(), p.Name != ""
		if !ok && module != "" {
			return fmt.Sprintf("0x%x [%s]", addr, module)
		}
	} else {
		sym, o, found, err := symbol.KernelSymbol(addr)
		if err != nil {
			y.report(err)
		}
		name, off, module, ok = sym.Name, o, sym.Module, found
	}
	if !ok {
		return fmt.Sprintf("0x%x [unknown]", addr)
	}
	if off > 0 {
		name += fmt.Sprintf("+%d", off)
	}
	if module != "" {
		name += " [" + module + "]"
	}
	return name
}

func (y *Symbols) UserSymbols() *symbol.UserSymbols {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.usyms == nil {
		y.usyms = symbol.NewUserSymbols()
	}
	return y.usyms
}

// ownPrefixes are prefixes of the kernel functions through which the kernel calls a BPF program.
var ownPrefixes = []string{"bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_trampoline_"}

// ownFrames returns the number of innermost frames that exist only because of the probe. Programs
// loaded after the symbols were read are missing from them: their addresses have no symbol, or
// appear far beyond one of a module or of ftrace. In that case the symbols are read again.
func (y *Symbols) ownFrames(frames []uint64) int {
	for i, a := range frames {
		sym, _, ok, err := symbol.KernelSymbol(a)
		if err == nil && (!ok || sym.Module != "") && y.newPrograms() {
			symbol.InvalidateKernelSymbols()
			sym, _, ok, err = symbol.KernelSymbol(a)
		}
		if err != nil || !ok || !slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(sym.Name, p) }) {
			return i
		}
	}
	return len(frames)
}

// newPrograms reports whether programs were loaded since the last call.
func (y *Symbols) newPrograms() bool {
	now := y.Loaded.Load()
	return y.symsAt.Swap(now) < now
}
