// Package exe reads executables and libraries (ELF files). For probes in user space it finds their
// functions and where these are in the file, instruction boundaries, and static probes (USDT). For
// names of addresses it reads the symbols of mapped files. It deals with files only, not with
// processes or the kernel.
//
//	file.go       opening files, with a reason for each file that cannot be traced
//	find.go       short names of programs and libraries
//	symbol.go     functions by name, from symbol tables or Go's function table
//	image.go      symbols by address, of files of any architecture
//	notes.go      notes, and the build ID among them
//	insn.go       instruction boundaries
//	x86.go        lengths of amd64 instructions
//	steppable.go  instructions on which the kernel can put a uprobe
//	return.go     return instructions, and jumps to other functions
//	usdt.go       static probes
//	operand.go    the arguments of static probes
//	goroutine.go  the number of the running goroutine
package exe

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// A File is an open executable or library.
type File struct {
	Path string
	// GoVersion is the version of the Go compiler that built the file, such as "go1.26.0", or "" if
	// it is not a Go program.
	GoVersion string

	f       *os.File
	elf     *elf.File
	symbols *symbols // read on first use
	// starts holds the function starts from .eh_frame_hdr, read on first use.
	starts *[]uint64
}

// A FileError reports why a file cannot be traced.
type FileError struct {
	Path   string
	Reason string
	Hint   string // what to do instead, or ""
	Err    error
}

func (e *FileError) Error() string {
	s := e.Path + ": " + e.Reason
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *FileError) Unwrap() error { return e.Err }

// machines maps the architectures that bpfrepl runs on to their ELF numbers.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// Open opens a file of this host's architecture. The error is a *FileError.
func Open(path string) (*File, error) {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		return nil, &FileError{Path: path, Reason: "it is not a file but a " + kindOf(st.Mode())}
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, &FileError{Path: path, Reason: "no such file", Err: err}
	case errors.Is(err, os.ErrPermission):
		return nil, &FileError{Path: path, Reason: fmt.Sprintf("user %d may not read it", os.Geteuid()), Hint: "run bpfrepl with sudo", Err: err}
	case err != nil:
		return nil, &FileError{Path: path, Reason: err.Error(), Err: err}
	}
	x := &File{Path: path, f: f}
	if err := x.read(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return x, nil
}

func kindOf(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&os.ModeDevice != 0:
		return "device"
	}
	return "pipe or socket"
}

func (x *File) read() error {
	var head [20]byte
	n, err := x.f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return &FileError{Path: x.Path, Reason: err.Error(), Err: err}
	}
	if n < len(head) || string(head[:4]) != elf.ELFMAG {
		return x.notELF()
	}
	// debug/elf rejects foreign files, so check the two relevant facts first.
	if elf.Class(head[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return &FileError{Path: x.Path, Reason: "it is a 32-bit program", Hint: "bpfrepl traces functions of 64-bit programs only"}
	}
	if m := elf.Machine(binary.LittleEndian.Uint16(head[18:])); m != machines[runtime.GOARCH] {
		return &FileError{Path: x.Path, Reason: fmt.Sprintf("it is for another architecture (%s)", strings.TrimPrefix(m.String(), "EM_"))}
	}
	if x.elf, err = elf.NewFile(x.f); err != nil {
		return &FileError{Path: x.Path, Reason: "its ELF headers are damaged: " + err.Error(), Err: err}
	}
	if info, err := buildinfo.Read(x.f); err == nil {
		x.GoVersion = info.GoVersion
	}
	return nil
}

// notELF returns an error that describes what the file is instead.
func (x *File) notELF() error {
	e := &FileError{Path: x.Path, Reason: "it is neither a program nor a library (not an ELF file)"}
	line := make([]byte, 128)
	n, err := x.f.ReadAt(line, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return &FileError{Path: x.Path, Reason: err.Error(), Err: err}
	}
	first, _, _ := strings.Cut(string(line[:n]), "\n")
	if words := strings.Fields(strings.TrimPrefix(first, "#!")); strings.HasPrefix(first, "#!") && len(words) > 0 {
		name := words[0]
		if filepath.Base(name) == "env" && len(words) > 1 {
			name = words[1]
		}
		e.Reason, e.Hint = "it is a script", "trace its interpreter: "+name
	}
	return e
}

// Close closes the file.
func (x *File) Close() error { return x.f.Close() }

// Offset returns the file offset of a code address, as the kernel expects it for uprobes. ok is
// false if the address is not in the code.
func (x *File) Offset(addr uint64) (off uint64, ok bool) {
	for _, p := range x.elf.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}

// dataOffset is like Offset, but also accepts addresses of data.
func (x *File) dataOffset(addr uint64) (off uint64, ok bool) {
	for _, p := range x.elf.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}

// bytes returns n bytes at an address, or fewer if the segment ends before.
func (x *File) bytes(addr, n uint64) ([]byte, error) {
	for _, p := range x.elf.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			b := make([]byte, min(n, p.Filesz-(addr-p.Vaddr)))
			_, err := x.f.ReadAt(b, int64(addr-p.Vaddr+p.Off))
			return b, err
		}
	}
	return nil, fmt.Errorf("%s: address %#x is not in it", x.Path, addr)
}

// Arch returns the architecture of the file as a GOARCH value.
func (x *File) Arch() string { return runtime.GOARCH }

// symbols contains the symbol tables of a file.
type symbols struct {
	// funcs is sorted by address. Each name appears once per address.
	funcs    []Symbol
	objects  map[string]uint64 // addresses of data by name
	imported map[string]bool   // functions called in other libraries
	stripped bool              // only what the dynamic linker needs is left
}

// A Symbol is a function in a file.
type Symbol struct {
	Name   string // as in the symbol table
	Addr   uint64
	Size   uint64 // up to the next function if the table does not give a size
	Global bool   // other files can call it
	Ifunc  bool   // not the function itself, but a resolver that chooses it at load time
	Go     bool   // compiled by Go: it uses Go's calling convention, and its stack can move
}
