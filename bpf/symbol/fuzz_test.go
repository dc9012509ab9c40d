package symbol

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzKallsyms tests kernel symbols, among which modules may bring any names. It checks that each
// name and module is part of a line.
func FuzzKallsyms(f *testing.F) {
	f.Add("ffffffff81000000 T _text\nffffffffc0000010 t helper\t[module]\n0000000000000000 A fixed\nffffffffc0000010 t again\t[module]\n")
	f.Add("ffffffff81000000 T \t[]\nffffffff81000000 T \t[\nffffffff81000000 T\n\n\x00\xff\nzzzzzzzzzzzzzzzz T x\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		eachKernelSymbol(text, func(s Symbol, _ byte) {
			n++
			if !strings.Contains(text, s.Name) || strings.ContainsAny(s.Name, "\n\t") {
				t.Errorf("the name %q", s.Name)
			}
			if !strings.Contains(text, s.Module) || strings.Contains(s.Module, "\n") {
				t.Errorf("the module %q", s.Module)
			}
		})
		if n > strings.Count(text, "\n")+1 {
			t.Errorf("%d symbols of %d lines", n, strings.Count(text, "\n"))
		}
	})
}

// FuzzMapping tests mappings of processes: file names may contain blanks, and newlines, which the
// kernel writes as \012.
func FuzzMapping(f *testing.F) {
	f.Add("55d0c0a00000-55d0c0a21000 r-xp 00001000 fd:00 131 /usr/bin/a b (deleted)", uint64(0x55d0c0a00010))
	f.Add("7ffe-7fff ---p 00000000 00:00 0", uint64(0))
	f.Add("-1-0 r-xp zz 0 0 /x", uint64(1))
	f.Fuzz(func(t *testing.T, line string, addr uint64) {
		if m, ok := parseMapping(line); ok && !strings.HasSuffix(strings.TrimSuffix(line, " (deleted)"), m.path) {
			t.Errorf("the file %q of %q", m.path, line)
		}
	})
}

// FuzzSymbols tests the symbols of a file that another user's process runs.
func FuzzSymbols(f *testing.F) {
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(exe[:8192], uint64(0x1000))
	f.Add(exe[:200], uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, off uint64) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		e := readFile(path)
		e.At(off)
		e.Addr("main")
	})
}
