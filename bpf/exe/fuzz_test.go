package exe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// smallELF returns a shared library with one function, f, whose code contains a static probe.
func smallELF(f *testing.F) []byte {
	f.Helper()
	const base = 0x1000
	code := []byte{0x55, 0x48, 0x89, 0xe5, 0x90, 0xe8, 0, 0, 0, 0, 0x5d, 0xc3} // push, mov, nop, call, pop, ret
	var note bytes.Buffer
	put := func(w *bytes.Buffer, v any) {
		if err := binary.Write(w, binary.LittleEndian, v); err != nil {
			f.Fatal(err)
		}
	}
	args := "prov\x00name\x008@%rdi -4@8(%rbp) 4@$-3 8@f+16(%rip) -1@(%rax,%rbx,4)\x00"
	put(&note, []uint32{8, uint32(24 + len(args)), 3})
	note.WriteString("stapsdt\x00")
	put(&note, []uint64{base + 4, 0, base + 0x20}) // its address, .stapsdt.base, the semaphore
	note.WriteString(args)
	for note.Len()%4 != 0 {
		note.WriteByte(0)
	}
	strtab := "\x00f\x00"
	names := "\x00.text\x00.note.stapsdt\x00.symtab\x00.strtab\x00.shstrtab\x00.probes\x00"
	var sym bytes.Buffer
	put(&sym, elf.Sym64{})
	put(&sym, elf.Sym64{Name: 1, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1, Value: base, Size: uint64(len(code))})
	var body bytes.Buffer
	type place struct{ off, size uint64 }
	add := func(b []byte) place {
		p := place{uint64(64 + 56 + body.Len()), uint64(len(b))}
		body.Write(b)
		return p
	}
	text, notes, syms, strs, shstr, probes := add(code), add(note.Bytes()), add(sym.Bytes()), add([]byte(strtab)), add([]byte(names)), add(make([]byte, 16))
	machine := machines[runtime.GOARCH]
	var out bytes.Buffer
	put(&out, elf.Header64{Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_DYN), Machine: uint16(machine), Version: 1,
		Phoff: 64, Shoff: uint64(64 + 56 + body.Len()), Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64, Shnum: 7, Shstrndx: 5})
	put(&out, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: 7, Off: text.off, Vaddr: base, Filesz: uint64(body.Len()), Memsz: uint64(body.Len())})
	out.Write(body.Bytes())
	section := func(name string, typ elf.SectionType, p place, addr uint64, link uint32, entry uint64) {
		put(&out, elf.Section64{Name: uint32(bytes.Index([]byte(names), []byte("\x00"+name+"\x00")) + 1), Type: uint32(typ), Addr: addr, Off: p.off, Size: p.size, Link: link, Entsize: entry, Flags: uint64(elf.SHF_ALLOC)})
	}
	put(&out, elf.Section64{})
	section(".text", elf.SHT_PROGBITS, text, base, 0, 0)
	section(".note.stapsdt", elf.SHT_NOTE, notes, 0, 0, 0)
	section(".symtab", elf.SHT_SYMTAB, syms, 0, 4, 24)
	section(".strtab", elf.SHT_STRTAB, strs, 0, 0, 0)
	section(".shstrtab", elf.SHT_STRTAB, shstr, 0, 0, 0)
	section(".probes", elf.SHT_PROGBITS, probes, base+0x20, 0, 0)
	return out.Bytes()
}

// readAll does everything that a probe spec can require of a file, and returns the number of
// functions and static probes.
func readAll(path string) (funcs, probes int, err error) {
	x, err := Open(path)
	if err != nil {
		return 0, 0, err
	}
	fs, _, err := x.Functions()
	if err == nil {
		funcs = len(fs)
	}
	for _, f := range fs[:min(len(fs), 100)] {
		x.Exits(f)
		x.GoEntry(f)
		x.Boundary(f.Addr + 1)
		x.At(f.Addr + f.Size/2)
		x.Offset(f.Addr)
		f.Full()
	}
	ps, perr := x.StaticProbes()
	for _, p := range ps {
		x.Operands(p)
		x.Offset(p.Addr)
		x.SemaphoreOffset(p.Semaphore)
	}
	if _, err := x.Imports("f"); err != nil {
		perr = err
	}
	if cerr := x.Close(); cerr != nil {
		return funcs, len(ps), cerr
	}
	if err == nil {
		err = perr
	}
	return funcs, len(ps), err
}

// FuzzELF checks that reading a file always ends, with a result or an error, whatever the file
// contains. Files come from others: a probe's path may lead to a malicious one.
func FuzzELF(f *testing.F) {
	small := smallELF(f)
	f.Add(small)
	path := filepath.Join(f.TempDir(), "small")
	if err := os.WriteFile(path, small, 0o600); err != nil {
		f.Fatal(err)
	}
	if funcs, probes, err := readAll(path); funcs != 1 || probes != 1 || err != nil {
		f.Fatalf("the small file has %d functions and %d probes: %v", funcs, probes, err)
	}
	for _, cut := range []int{0, 1, 63, 64, 100, len(small) / 2, len(small) - 1} {
		f.Add(small[:cut])
	}
	for i := 16; i < len(small); i += 7 { // the largest value of a field
		bad := bytes.Clone(small)
		for j := i; j < min(i+8, len(bad)); j++ {
			bad[j] = 0xff
		}
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		readAll(path)
		runtime.ReadMemStats(&after)
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
			t.Errorf("it took %d MiB for a file of %d bytes", n>>20, len(b))
		}
	})
}

// FuzzNotes tests notes, and the descriptions of arguments in them, without a file.
func FuzzNotes(f *testing.F) {
	f.Add([]byte("\x08\x00\x00\x00\x20\x00\x00\x00\x03\x00\x00\x00stapsdt\x00........base....sema....p\x00n\x008@x\x00"), "8@%rdi -4@8(%rbp) 4@$-3 8@f+16(%rip) -1@(%rax,%rbx,4)")
	f.Add([]byte{}, "8@[sp, 8] -4@w0 8@x1 4@[x29, -4]")
	f.Add([]byte{}, "8@,(),,@@%$ -@ 9@%rax 99999999999999999999@$99999999999999999999")
	f.Fuzz(func(t *testing.T, b []byte, args string) {
		n := 0
		eachNote(b, binary.LittleEndian, func(_ string, _ uint32, desc []byte) {
			parseNote(desc, binary.LittleEndian)
			n++
		})
		if n > len(b)/12 {
			t.Errorf("%d notes in %d bytes", n, len(b))
		}
		x := &File{elf: &elf.File{}}
		for _, o := range x.Operands(StaticProbe{Args: args}) {
			if o.Size < 0 || o.Size > 8 {
				t.Errorf("%q: an operand of %d bytes", args, o.Size)
			}
		}
	})
}
