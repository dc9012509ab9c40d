package repl

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
)

// Bracketed paste: if enabled, terminals send these sequences around pasted text.
const (
	pasteOn    = "\x1b[?2004h"
	pasteOff   = "\x1b[?2004l"
	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// EndPaste disables bracketed paste: the terminal then sends pasted text as if it were typed.
func EndPaste(w io.Writer) error {
	_, err := io.WriteString(w, pasteOff)
	return err
}

// sequences translates keys that readline does not know or misinterprets. Each pair is what a
// terminal sends and its replacement.
var sequences = strings.NewReplacer(
	"\x1b[3~", string(deleteRune), "\x1b\r", string(newlineRune), "\x1b\n", string(newlineRune), // Delete; Alt-Enter
	"\x1b[1~", "\x01", "\x1b[7~", "\x01", "\x1b[4~", "\x05", "\x1b[8~", "\x05", // Home and End of some terminals
	"\x1b[1;5D", "\x1bb", "\x1b[1;3D", "\x1bb", "\x1b[1;5C", "\x1bf", "\x1b[1;3C", "\x1bf", // word by word
	"\x00", "", // readline takes it for the end of the input and then cannot be closed
	string(newlineRune), string(unusedRune), string(deleteRune), string(unusedRune), string(pasteRune), string(unusedRune), string(literalRune), string(unusedRune))

// A filter sits between the terminal and readline. It translates keys and separates pasted text:
// readline receives pasteRune in its place. A newline at the end of a paste is passed on as Enter.
type filter struct {
	in    *os.File
	paste bool
	held  []byte // the start of a marker, or the text pasted so far
	out   bytes.Buffer
	ended atomic.Bool // the input has ended: the terminal is gone, or HangUp was called

	mu     sync.Mutex
	pastes [][]rune // pastes not taken yet
}

// Read implements io.Reader.
func (f *filter) Read(p []byte) (int, error) {
	for f.out.Len() == 0 {
		buf := make([]byte, 4096)
		n, err := f.in.Read(buf)
		if n > 0 {
			f.feed(buf[:n])
		}
		if err != nil && f.out.Len() == 0 {
			f.ended.Store(true)
			return 0, err
		}
	}
	return f.out.Read(p)
}

// Close implements io.Closer. It does not close the terminal, which the filter does not own.
func (f *filter) Close() error { return nil }

var _ io.ReadCloser = (*filter)(nil)

func (f *filter) feed(b []byte) {
	b = append(f.held, b...)
	f.held = nil
	for len(b) > 0 {
		marker := pasteStart
		if f.paste {
			marker = pasteEnd
		}
		i := bytes.Index(b, []byte(marker))
		if i < 0 {
			if f.paste { // wait for the end of the paste
				f.held = append([]byte{}, b...)
				return
			}
			n := partial(b, marker)
			f.typed(b[:len(b)-n])
			f.held = append([]byte{}, b[len(b)-n:]...)
			return
		}
		if f.paste {
			f.take(b[:i])
		} else {
			f.typed(b[:i])
		}
		f.paste = !f.paste
		b = b[i+len(marker):]
	}
}

// partial returns how many bytes at the end of b may be the start of the marker. Up to two such
// bytes are passed on anyway: every key that sends an escape sequence begins with them, and such a
// key must not wait for the next one.
func partial(b []byte, marker string) int {
	for n := min(len(b), len(marker)-1); n > 2; n-- {
		if bytes.HasSuffix(b, []byte(marker[:n])) {
			return n
		}
	}
	return 0
}

// indented matches a line that begins with white space.
var indented = lazyregexp.Regexp("[\r\n][ \t]")

// typed passes keys on. Lines that arrive at once with their own indentation were not typed by
// hand, so they get no automatic indentation.
func (f *filter) typed(b []byte) {
	text := sequences.Replace(string(b))
	for indented().MatchString(text) {
		i := strings.IndexAny(text, "\r\n")
		if i < 0 || i == len(text)-1 {
			break
		}
		f.out.WriteString(text[:i+1] + string(literalRune))
		text = text[i+1:]
	}
	f.out.WriteString(text)
}

// take converts pasted text to text that can be edited: it replaces newlines with newlineRune and
// tabs with spaces, and drops control characters.
func (f *filter) take(b []byte) {
	text := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\r", "\n")
	enter := strings.HasSuffix(text, "\n")
	text = strings.TrimRight(text, "\n")
	f.mu.Lock()
	f.pastes = append(f.pastes, encodeNewlines(strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) && !unicode.In(r, unicode.Mn, unicode.Cf) {
			return -1
		}
		return r
	}, text)))
	f.mu.Unlock()
	f.out.WriteRune(pasteRune)
	if enter {
		f.out.WriteByte('\r')
	}
}

// pasted returns the text of the next pasteRune.
func (f *filter) pasted() []rune {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := f.pastes[0]
	f.pastes = f.pastes[1:]
	return text
}
