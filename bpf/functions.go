package bpf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// Kernel functions by name. ftrace lists the functions that can be traced
// (available_filter_functions). If that file cannot be read, we use all functions in the kernel's
// symbol table, and attaching shows which of them can be traced.
const (
	kallsymsFile   = "/proc/kallsyms"
	filterFile     = "available_filter_functions"
	filterAddrFile = "available_filter_functions_addrs" // 6.5
	blacklistFile  = "/sys/kernel/debug/kprobes/blacklist"
)

// A ksym is a function symbol of the kernel.
type ksym struct {
	name, module string
	addr         uint64 // 0 if the kernel hides it
}

// eachSymbol calls fn for each function in text, which has the format of kallsyms. name and module
// are valid only during the call.
func eachSymbol(text []byte, fn func(name, module []byte, addr []byte)) {
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		// "ffffffff81000000 T name\t[module]"
		i := bytes.IndexByte(line, ' ')
		if i < 0 || len(line) < i+4 {
			continue
		}
		switch line[i+1] {
		case 't', 'T', 'w', 'W':
		default:
			continue
		}
		name, module, _ := bytes.Cut(line[i+3:], []byte("\t["))
		if notFunction(name) {
			continue
		}
		fn(name, bytes.TrimSuffix(module, []byte("]")), line[:i])
	}
}

// notFunction reports whether a symbol is not a function: the padding before one, a part that the
// compiler split off, or a BPF program.
func notFunction(name []byte) bool {
	if len(name) == 0 {
		return true
	}
	switch name[0] {
	case '_':
		return bytes.HasPrefix(name, []byte("__pfx_")) || bytes.HasPrefix(name, []byte("__cfi_"))
	case 'b':
		return bytes.HasPrefix(name, []byte("bpf_prog_")) || bytes.HasPrefix(name, []byte("bpf_trampoline_"))
	}
	return bytes.Contains(name, []byte(".cold"))
}

func readKallsyms() ([]byte, error) {
	text, err := os.ReadFile(kallsymsFile)
	if err != nil {
		return nil, sys.ReadError(kallsymsFile, err)
	}
	return text, nil
}

// symbolsNamed returns the functions with the given names.
func symbolsNamed(names map[string]bool) ([]ksym, error) {
	text, err := readKallsyms()
	if err != nil {
		return nil, err
	}
	var out []ksym
	eachSymbol(text, func(name, module, addr []byte) {
		if !names[string(name)] {
			return
		}
		a, err := strconv.ParseUint(string(addr), 16, 64)
		if err != nil {
			a = 0
		}
		out = append(out, ksym{string(name), string(module), a})
	})
	return out, nil
}

// functionSize returns the number of bytes from the start of a function to the next symbol, or 0 if
// the kernel hides addresses.
func functionSize(name string) (uint64, error) {
	text, err := readKallsyms()
	if err != nil {
		return 0, err
	}
	var start []byte
	eachSymbol(text, func(n, _, addr []byte) {
		if start == nil && string(n) == name {
			start = addr
		}
	})
	var next []byte // addresses have the same number of digits, so they can be compared as text
	for line := range bytes.Lines(text) {
		addr, _, _ := bytes.Cut(line, []byte(" "))
		if bytes.Compare(addr, start) > 0 && (next == nil || bytes.Compare(addr, next) < 0) {
			next = addr
		}
	}
	if start == nil || next == nil {
		return 0, nil
	}
	from, err := strconv.ParseUint(string(start), 16, 64)
	to, err2 := strconv.ParseUint(string(next), 16, 64)
	return to - from, errors.Join(err, err2)
}

// traceableNames returns the names of all functions that can be traced, sorted and without
// duplicates. Like the other name lists, it is shared and must not be modified.
func traceableNames() ([]string, error) { return traceableList.get() }

// Each of these lists has about a hundred thousand names. It is read once, and again after modules
// have been loaded or unloaded.
var (
	traceableList = &nameList{read: readTraceableNames}
	symbolList    = &nameList{read: readSymbolNames}
	kprobeList    = &nameList{read: readKprobeNames}
	fentryList    = &nameList{read: readFentryNames}
)

// isSymbol reports whether the kernel has a function of that name.
func isSymbol(name string) (bool, error) {
	names, err := symbolList.get()
	if err != nil {
		return false, err
	}
	_, found := slices.BinarySearch(names, name)
	return found, nil
}

func readSymbolNames() ([]string, error) {
	text, err := readKallsyms()
	if err != nil {
		return nil, err
	}
	var names []string
	eachSymbol(text, func(name, _, _ []byte) { names = append(names, string(name)) })
	slices.Sort(names)
	return slices.Compact(names), nil
}

func readTraceableNames() ([]string, error) {
	text, err := filterFunctions(filterFile)
	if err != nil {
		return nil, err
	}
	var names []string
	if text != nil {
		names = make([]string, 0, bytes.Count(text, []byte("\n")))
		for line := range strings.Lines(string(text)) {
			name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if !strings.HasPrefix(name, "__ftrace_invalid_address") && !notFunction([]byte(name)) {
				names = append(names, name)
			}
		}
	} else {
		f, err := os.Open(kallsymsFile)
		if err != nil {
			return nil, sys.ReadError(kallsymsFile, err)
		}
		lines := bufio.NewScanner(f) // the whole text has several megabytes
		for lines.Scan() {
			eachSymbol(lines.Bytes(), func(name, _, _ []byte) { names = append(names, string(name)) })
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return nil, sys.ReadError(kallsymsFile, err)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// filterFunctions reads one of ftrace's function lists. It returns nil if the kernel does not have
// the file or does not permit reading it.
func filterFunctions(name string) ([]byte, error) {
	dir, err := sys.Tracefs()
	if err != nil {
		var me *sys.MountError
		if errors.As(err, &me) {
			return nil, nil // kallsyms is used instead
		}
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission), errors.Is(err, unix.ENODEV):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("list the functions that can be traced: %w", err)
	}
	return text, nil
}

// filterAddresses returns the addresses of those named functions that ftrace can trace and, for
// each address, the index of its name. It returns nil if the kernel does not list the addresses.
// ftrace lists the address of a function's call to ftrace, some bytes after the start of the
// function, but the kernel looks up cookies by the start.
func filterAddresses(names []string) (addrs []uint64, of []int, err error) {
	text, err := filterFunctions(filterAddrFile)
	if err != nil || text == nil {
		return nil, nil, err
	}
	index, wanted := make(map[string]int, len(names)), make(map[string]bool, len(names))
	for i, n := range names {
		index[n], wanted[n] = i, true
	}
	syms, err := symbolsNamed(wanted)
	if err != nil {
		return nil, nil, err
	}
	starts := make(map[string][]uint64, len(names))
	for _, s := range syms {
		starts[s.name] = append(starts[s.name], s.addr)
	}
	const furthest = 32 // from the start of a function to its call to ftrace
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		i, ok := index[string(f[1])]
		if !ok {
			continue
		}
		call, err := strconv.ParseUint(string(f[0]), 16, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: bad address %q", filterAddrFile, f[0])
		}
		for _, start := range starts[names[i]] {
			if start != 0 && start <= call && call-start < furthest {
				addrs, of = append(addrs, start), append(of, i)
				break
			}
		}
	}
	return addrs, of, nil
}

// blacklist returns the functions that cannot have kprobes, or nil if debugfs does not list them.
func blacklist() map[string]bool {
	text, err := os.ReadFile(blacklistFile)
	if err != nil {
		return nil // attaching will report it
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		// "0xffffffff81001000-0xffffffff81001020\tname"
		if f := strings.Fields(line); len(f) == 2 {
			out[f[1]] = true
		}
	}
	return out
}

// matchNames returns the names that match a pattern.
func matchNames(pattern string, names []string) []string {
	if pattern == "*" {
		return names
	}
	var out []string
	prefix := pattern[:strings.IndexAny(pattern+"*", "*?[\\")]
	for _, n := range names {
		if strings.HasPrefix(n, prefix) && match(pattern, n) {
			out = append(out, n)
		}
	}
	return out
}

// listFunctions returns the targets of a kind that match the pattern, for a kind with one target
// per name.
func listFunctions(kind, pattern string, names func() ([]string, error)) ([]Target, error) {
	k, rest, ok := strings.Cut(pattern, ":")
	whole := !ok || !match(k, kind) // a pattern such as *vfs* may span the colon
	if whole && ok && !strings.Contains(k, "*") {
		return nil, nil
	}
	all, err := names()
	if err != nil {
		return nil, err
	}
	if !whole {
		all = matchNames(rest, all)
	}
	out := make([]Target, 0, len(all))
	for _, n := range all {
		if t := functionTarget(kind, kind, n); !whole || match(pattern, t.Name) {
			out = append(out, t)
		}
	}
	return out, nil
}

// functionTarget returns a target of the given kind at a function. name is the kind that the spec
// used, which differs for function: and return:.
func functionTarget(name, kind, fn string) Target {
	return Target{Name: name + ":" + fn, Kind: kind, Parts: []string{fn}, Func: fn}
}

// noKernelFunction returns the error for a function that the kernel does not have.
func noKernelFunction(s Spec, fn string, names []string) error {
	e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("the kernel has no function %q, or the compiler has inlined it", fn)}
	var variants []string
	for _, n := range names {
		if strings.HasPrefix(n, fn+".") {
			variants = append(variants, n)
		}
	}
	if len(variants) > 0 {
		e.Reason = fmt.Sprintf("the compiler emitted %s for the function %q", strings.Join(variants, ", "), fn)
	} else {
		variants = suggest.Nearest(fn, names, 3)
	}
	for _, n := range variants {
		e.Suggestions = append(e.Suggestions, s.Kind+":"+n)
	}
	return e
}

// lockdown returns the kernel's lockdown mode: "none", "integrity" or "confidentiality", or "" if
// it cannot be read.
func lockdown() string {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return ""
	}
	_, mode, _ := strings.Cut(string(text), "[")
	mode, _, _ = strings.Cut(mode, "]")
	return mode
}

// kprobePMU returns the perf event type of kprobes. It is read once, because it cannot change while
// the kernel runs.
var kprobePMU = sync.OnceValues(func() (uint32, error) {
	text, err := os.ReadFile("/sys/bus/event_source/devices/kprobe/type")
	if errors.Is(err, os.ErrNotExist) {
		return 0, errNoKprobes
	}
	if err != nil {
		return 0, fmt.Errorf("read the type of kprobes: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	return uint32(n), err
})

var errNoKprobes = errors.New("this kernel has no kprobes: it is built without CONFIG_KPROBE_EVENTS")
