package symbol

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
)

// KallsymsFile is the kernel's symbol table.
const KallsymsFile = "/proc/kallsyms"

// EachKernelSymbol calls fn for each line of the kernel's symbol table. typ is the type of the
// symbol as in nm(1). Addresses are 0 if the kernel hides them. Names are parts of long strings:
// clone them to keep a few.
func EachKernelSymbol(fn func(s Symbol, typ byte)) (err error) {
	f, err := os.Open(KallsymsFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The table has several megabytes, of which most callers keep little.
	block := make([]byte, 128<<10)
	for n := 0; ; {
		m, err := f.Read(block[n:])
		n += m
		end := bytes.LastIndexByte(block[:n], '\n') + 1
		if err != nil || end == 0 && n == len(block) {
			end = n
		}
		if err != nil || n > len(block)-4096 {
			eachKernelSymbol(string(block[:end]), fn)
			n = copy(block, block[end:n])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// eachKernelSymbol parses lines of the form "ffffffff81000000 T name\t[module]". It skips others.
func eachKernelSymbol(text string, fn func(s Symbol, typ byte)) {
	for len(text) > 0 {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		if len(line) < 20 || line[16] != ' ' || line[18] != ' ' {
			continue
		}
		addr, ok := parseHex(line[:16])
		if !ok {
			continue
		}
		s := Symbol{Name: line[19:], Addr: addr}
		if i := strings.IndexByte(s.Name, '\t'); i >= 0 {
			s.Name, s.Module = s.Name[:i], s.Name[i+1:]
			if m := s.Module; len(m) > 2 && m[0] == '[' {
				s.Module = m[1 : len(m)-1]
			}
		}
		fn(s, line[17])
	}
}

// parseHex is strconv.ParseUint for the addresses of a hundred thousand symbols.
func parseHex(s string) (n uint64, ok bool) {
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// Symbol is a kernel symbol.
type Symbol struct {
	Name, Module string // Module is "" for the kernel itself
	Addr         uint64
}
