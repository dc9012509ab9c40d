package symbol

import (
	"bufio"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// UserSymbols finds the symbols of running processes: of the address, the file that is mapped there, and the symbol of the
// file. It keeps what it has read, so that the symbols of a process that ends meanwhile are still known. It is safe for
// use by several goroutines.
type UserSymbols struct {
	mu    sync.Mutex
	procs map[int]*procMaps
	files map[string]*elfSymbols // by device, inode and path
	clock int                    // counts the uses, so that what was used last is known
}

// What is kept has bounds: beyond them, what was not used for the longest time goes. The symbols of a running process are read again when
// they are wanted.
const (
	maxProcs       = 512
	maxFileSymbols = 1 << 20 // of all files together
)

// forget makes room for one more: it drops an eighth of what is there, the least recently used first.
func forget[K comparable, V any](m map[K]V, used func(V) int) {
	keys := slices.Collect(maps.Keys(m))
	slices.SortFunc(keys, func(a, b K) int { return cmp.Compare(used(m[a]), used(m[b])) })
	for _, k := range keys[:(len(keys)+7)/8] {
		delete(m, k)
	}
}

// Known returns the number of processes whose mappings are kept.
func (u *UserSymbols) Known() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.procs)
}

// keepFile keeps the symbols of a file.
func (u *UserSymbols) keepFile(key string, e *elfSymbols) {
	n := len(e.syms)
	for _, f := range u.files {
		n += len(f.syms)
	}
	if n > maxFileSymbols || len(u.files) >= maxProcs {
		forget(u.files, func(e *elfSymbols) int { return e.used })
	}
	u.files[key] = e
}

// NewUserSymbols makes an empty one.
func NewUserSymbols() *UserSymbols {
	return &UserSymbols{procs: map[int]*procMaps{}, files: map[string]*elfSymbols{}}
}

// procMaps is what a process has mapped.
type procMaps struct {
	maps []mapping
	read time.Time
	used int
}

// A mapping is a line of /proc/PID/maps.
type mapping struct {
	start, end, off uint64
	file            string // dev:inode path, the key of files
	path            string
}

// mapsAge is how long a reading of a process's mappings is taken to be right: a process can load more, or become another.
const mapsAge = time.Second

// A SymbolizedAddr is where an address of a process lies.
type SymbolizedAddr struct {
	Name string // of the symbol; "" where none is known: the process is gone, or the file has none there
	Off  uint64 // behind the symbol's start

	Path       string // of the file that is mapped there, or ""
	Start, End uint64 // of the mapping
	FileOff    uint64 // of the mapping's start
	BuildID    string // of the file, or ""
}

// File is the name of the file without its folders.
func (p SymbolizedAddr) File() string {
	if p.Path == "" {
		return ""
	}
	return filepath.Base(p.Path)
}

// Lookup finds an address of a process.
func (u *UserSymbols) Lookup(pid int, addr uint64) SymbolizedAddr {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.procs[pid]
	if p == nil || time.Since(p.read) > mapsAge {
		if p = u.cacheMappings(pid); p == nil {
			return SymbolizedAddr{}
		}
	}
	i := sort.Search(len(p.maps), func(i int) bool { return p.maps[i].end > addr })
	if i == len(p.maps) || addr < p.maps[i].start {
		return SymbolizedAddr{}
	}
	m := p.maps[i]
	e := u.files[m.file]
	if e == nil {
		e = readELF(fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, m.start, m.end), fmt.Sprintf("/proc/%d/root%s", pid, m.path), m.path)
		u.keepFile(m.file, e)
	}
	u.clock++
	p.used, e.used = u.clock, u.clock
	name, off := e.at(addr - m.start + m.off)
	return SymbolizedAddr{Name: name, Off: off, Path: m.path, Start: m.start, End: m.end, FileOff: m.off, BuildID: e.buildID}
}

// CacheMappings reads what a process has mapped, so that its symbols are known when it has ended.
func (u *UserSymbols) CacheMappings(pid int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cacheMappings(pid)
}

// cacheMappings gives what is known of a process: what was read before where it is gone; nil where that is nothing.
func (u *UserSymbols) cacheMappings(pid int) *procMaps {
	if mapped, err := readMaps(pid); err == nil && len(mapped) > 0 {
		if u.procs[pid] == nil && len(u.procs) >= maxProcs {
			forget(u.procs, func(p *procMaps) int { return p.used })
		}
		u.clock++
		u.procs[pid] = &procMaps{maps: mapped, used: u.clock}
	}
	p := u.procs[pid]
	if p != nil {
		p.read = time.Now()
	}
	return p
}

func readMaps(pid int) ([]mapping, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	var out []mapping
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if m, ok := parseMapping(sc.Text()); ok {
			out = append(out, m)
		}
	}
	return out, errors.Join(sc.Err(), f.Close())
}

// parseMapping reads "7f00-7f10 r-xp 00001000 08:01 1234    /usr/lib/libc.so.6". Only what has a file matters.
func parseMapping(line string) (m mapping, ok bool) {
	i := strings.IndexByte(line, '/')
	f := strings.Fields(line)
	if i < 0 || len(f) < 6 {
		return m, false
	}
	lo, hi, _ := strings.Cut(f[0], "-")
	var errs [3]error
	m.start, errs[0] = strconv.ParseUint(lo, 16, 64)
	m.end, errs[1] = strconv.ParseUint(hi, 16, 64)
	m.off, errs[2] = strconv.ParseUint(f[2], 16, 64)
	m.path = strings.TrimSuffix(line[i:], " (deleted)")
	m.file = f[3] + ":" + f[4] + " " + m.path
	return m, errors.Join(errs[:]...) == nil
}

// elfSymbols are the functions of a file, sorted by address.
type elfSymbols struct {
	exec    bool // its addresses are those in memory
	loads   []elf.ProgHeader
	syms    []elfSymbol
	buildID string
	used    int
}

type elfSymbol struct {
	addr, size uint64
	name       string
}

// readELF reads the symbols of the first of the paths that can be read; without any it knows none.
func readELF(paths ...string) *elfSymbols {
	for _, path := range paths {
		if e, err := parseELF(path); err == nil {
			return e
		}
	}
	return &elfSymbols{}
}

func parseELF(path string) (e *elfSymbols, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	e = &elfSymbols{exec: f.Type == elf.ET_EXEC, buildID: buildID(f)}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			e.loads = append(e.loads, p.ProgHeader)
		}
	}
	for _, table := range []func() ([]elf.Symbol, error){f.Symbols, f.DynamicSymbols} {
		syms, err := table()
		if err != nil { // it has no such table
			continue
		}
		for _, s := range syms {
			if t := elf.ST_TYPE(s.Info); (t == elf.STT_FUNC || t == elf.STT_OBJECT || t == elf.STT_GNU_IFUNC) && s.Value != 0 && s.Section != elf.SHN_UNDEF {
				e.syms = append(e.syms, elfSymbol{s.Value, s.Size, s.Name})
			}
		}
	}
	slices.SortStableFunc(e.syms, func(a, b elfSymbol) int {
		switch {
		case a.addr < b.addr:
			return -1
		case a.addr > b.addr:
			return 1
		}
		return 0
	})
	return e, nil
}

// at gives the symbol at an offset of the file; "" where it has none there.
func (e *elfSymbols) at(fileOff uint64) (name string, off uint64) {
	for _, p := range e.loads {
		if fileOff < p.Off || fileOff >= p.Off+p.Filesz {
			continue
		}
		addr := fileOff - p.Off + p.Vaddr
		i := sort.Search(len(e.syms), func(i int) bool { return e.syms[i].addr > addr }) - 1
		for ; i >= 0; i-- {
			s := e.syms[i]
			if addr < s.addr+s.size || s.size == 0 && addr == s.addr {
				for i > 0 && e.syms[i-1].addr == s.addr && addr < e.syms[i-1].addr+e.syms[i-1].size {
					i--
				}
				return e.syms[i].name, addr - e.syms[i].addr
			}
			if addr-s.addr > maxSymbol {
				break
			}
		}
	}
	return "", 0
}

// addr gives the address of a symbol as the file has it.
func (e *elfSymbols) addr(name string) (uint64, bool) {
	for _, s := range e.syms {
		if s.name == name {
			return s.addr, true
		}
	}
	return 0, false
}

// PositionIndependentError says that a symbol of a program has no address before the program runs.
type PositionIndependentError struct{ Path string }

func (e *PositionIndependentError) Error() string {
	return e.Path + " is loaded at another address each time (PIE), so its symbols have none before it runs"
}

// UserAddr gives the address of a symbol of a program. With a pid it is that in the memory of the process, which has the
// file mapped. path "" is the program that the process runs. The error is a *NoSymbolError, a *PositionIndependentError,
// or says what could not be read.
func UserAddr(symbol, path string, pid int) (uint64, error) {
	if path == "" {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			return 0, fmt.Errorf("find the program of process %d: %w", pid, err)
		}
		path = target
	}
	e, err := parseELF(path)
	if err != nil {
		return 0, fmt.Errorf("read the symbols of %s: %w", path, err)
	}
	addr, ok := e.addr(symbol)
	if !ok {
		names := make([]string, len(e.syms))
		for i, s := range e.syms {
			names[i] = s.name
		}
		return 0, &NoSymbolError{Symbol: symbol, Where: path, Suggestions: suggest.Nearest(symbol, names, 3)}
	}
	if e.exec {
		return addr, nil
	}
	if pid == 0 {
		return 0, &PositionIndependentError{path}
	}
	mapped, err := readMaps(pid)
	if err != nil {
		return 0, fmt.Errorf("read the mappings of process %d: %w", pid, err)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return 0, err
	}
	for _, p := range e.loads {
		if addr < p.Vaddr || addr >= p.Vaddr+p.Memsz {
			continue
		}
		for _, m := range mapped {
			if off := addr - p.Vaddr + p.Off; m.path == real && off >= m.off && off < m.off+(m.end-m.start) {
				return m.start + off - m.off, nil
			}
		}
	}
	return 0, fmt.Errorf("process %d has not mapped %s", pid, path)
}
