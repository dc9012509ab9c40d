package symbol

import (
	"bufio"
	"cmp"
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

	"github.com/bpfrepl/bpfrepl/bpf/exe"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// UserSymbols symbolizes addresses of running processes: it finds the file mapped at an address,
// and the symbol in that file. It caches what it has read, so that symbols of a process are still
// known after the process ends. It is safe for concurrent use.
type UserSymbols struct {
	mu    sync.Mutex
	procs map[int]*procMaps
	files map[string]*mappedFile // by device, inode and path
	clock int                    // incremented on each use, to find the least recently used entries
}

// The caches are bounded: when they are full, the least recently used entries are dropped. The
// symbols of a running process are read again when needed.
const (
	maxProcs       = 512
	maxFileSymbols = 1 << 20 // of all files together
)

// forget makes room by dropping the least recently used eighth of the entries.
func forget[K comparable, V any](m map[K]V, used func(V) int) {
	keys := slices.Collect(maps.Keys(m))
	slices.SortFunc(keys, func(a, b K) int { return cmp.Compare(used(m[a]), used(m[b])) })
	for _, k := range keys[:(len(keys)+7)/8] {
		delete(m, k)
	}
}

// Known returns the number of processes whose mappings are cached.
func (u *UserSymbols) Known() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.procs)
}

// keepFile caches the symbols of a file.
func (u *UserSymbols) keepFile(key string, e *mappedFile) {
	n := e.Len()
	for _, f := range u.files {
		n += f.Len()
	}
	if n > maxFileSymbols || len(u.files) >= maxProcs {
		forget(u.files, func(e *mappedFile) int { return e.used })
	}
	u.files[key] = e
}

// NewUserSymbols returns an empty cache.
func NewUserSymbols() *UserSymbols {
	return &UserSymbols{procs: map[int]*procMaps{}, files: map[string]*mappedFile{}}
}

// procMaps contains the mappings of a process.
type procMaps struct {
	maps []mapping
	read time.Time
	used int
}

// A mapping is a line of /proc/PID/maps.
type mapping struct {
	start, end, off uint64
	file            string // "dev:inode path", the key in UserSymbols.files
	path            string
}

// mapsAge is how long the cached mappings of a process are considered valid. A process can load
// more files, and its PID can be reused.
const mapsAge = time.Second

// A SymbolizedAddr describes an address of a process.
type SymbolizedAddr struct {
	// Name is the symbol, or "" if it is not known: the process has ended, or the file has no
	// symbol there.
	Name string
	Off  uint64 // in bytes from the start of the symbol

	Path       string // file that is mapped there, or ""
	Start, End uint64 // of the mapping
	FileOff    uint64 // offset in the file of the start of the mapping
	BuildID    string // of the file, or ""
}

// File returns the base name of the file.
func (p SymbolizedAddr) File() string {
	if p.Path == "" {
		return ""
	}
	return filepath.Base(p.Path)
}

// Lookup symbolizes an address of a process.
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
		e = readFile(fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, m.start, m.end), fmt.Sprintf("/proc/%d/root%s", pid, m.path), m.path)
		u.keepFile(m.file, e)
	}
	u.clock++
	p.used, e.used = u.clock, u.clock
	name, off := e.At(addr - m.start + m.off)
	return SymbolizedAddr{Name: name, Off: off, Path: m.path, Start: m.start, End: m.end, FileOff: m.off, BuildID: e.BuildID}
}

// CacheMappings reads the mappings of a process, so that its symbols are known after it has ended.
func (u *UserSymbols) CacheMappings(pid int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cacheMappings(pid)
}

// cacheMappings reads and returns the mappings of a process. If the process has ended, it returns
// the cached ones, or nil if there are none.
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

// parseMapping parses "7f00-7f10 r-xp 00001000 08:01 1234 /usr/lib/libc.so.6". ok is false for
// mappings without a file.
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

// A mappedFile has the symbols of a file that processes have mapped.
type mappedFile struct {
	*exe.Image
	used int
}

// readFile reads the symbols of the first readable path. If there is none, it returns an empty
// table.
func readFile(paths ...string) *mappedFile {
	for _, path := range paths {
		if m, err := exe.ReadImage(path); err == nil {
			return &mappedFile{Image: m}
		}
	}
	return &mappedFile{Image: &exe.Image{}}
}

// PositionIndependentError reports that a symbol of a program has no address before the program
// runs.
type PositionIndependentError struct{ Path string }

func (e *PositionIndependentError) Error() string {
	return e.Path + " is loaded at a different address each time (PIE), so its symbols have no address before it runs"
}

// UserAddr returns the address of a symbol of a program. If pid is not 0, it returns the address in
// the memory of that process, which must have the file mapped. If path is "", it uses the program
// that the process runs. The error is a *NoSymbolError, a *PositionIndependentError, or a read
// error.
func UserAddr(symbol, path string, pid int) (uint64, error) {
	if path == "" {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			return 0, fmt.Errorf("find the program of process %d: %w", pid, err)
		}
		path = target
	}
	e, err := exe.ReadImage(path)
	if err != nil {
		return 0, fmt.Errorf("read the symbols of %s: %w", path, err)
	}
	addr, ok := e.Addr(symbol)
	if !ok {
		return 0, &NoSymbolError{Symbol: symbol, Where: path, Suggestions: suggest.Nearest(symbol, e.Names(), 3)}
	}
	if e.Fixed {
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
	if off, ok := e.Offset(addr); ok {
		for _, m := range mapped {
			if m.path == real && off >= m.off && off < m.off+(m.end-m.start) {
				return m.start + off - m.off, nil
			}
		}
	}
	return 0, fmt.Errorf("process %d has not mapped %s", pid, path)
}
