package repl

import (
	"bytes"
	"io"
	"os"
	"sync/atomic"
)

// Bracketed paste: terminals put these around what is pasted when asked to.
const (
	pasteOn    = "\x1b[?2004h"
	pasteOff   = "\x1b[?2004l"
	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// newlineRune stands for a newline inside a line that is being edited: a pasted or recalled item of several lines is
// edited as one. It is from the private use area, so nobody types it; it is shown as ↵.
const newlineRune = '\ue000'

// A filter stands between the terminal and readline. It drops NUL bytes, which readline takes for the end of input and
// then cannot be closed; and it turns what is pasted into one line, with newlineRune for newlines and blanks for tabs,
// which readline would complete. A newline at the end of a paste enters it.
type filter struct {
	in    *os.File
	paste bool
	held  []byte // the beginning of a marker, or what is pasted so far
	out   bytes.Buffer
	ended atomic.Bool // the input is at its end: the terminal has gone, or we are to leave
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

// Close implements io.Closer; the terminal is not ours to close.
func (f *filter) Close() error { return nil }

var _ io.ReadCloser = (*filter)(nil)

func (f *filter) feed(b []byte) {
	b = append(f.held, bytes.ReplaceAll(b, []byte{0}, nil)...)
	f.held = nil
	for len(b) > 0 {
		marker := pasteStart
		if f.paste {
			marker = pasteEnd
		}
		i := bytes.Index(b, []byte(marker))
		if i < 0 {
			if f.paste { // until its end is here
				f.held = append([]byte{}, b...)
				return
			}
			n := partial(b, marker)
			f.out.Write(b[:len(b)-n])
			f.held = append([]byte{}, b[len(b)-n:]...)
			return
		}
		if f.paste {
			f.pasted(b[:i])
		} else {
			f.out.Write(b[:i])
		}
		f.paste = !f.paste
		b = b[i+len(marker):]
	}
}

// partial is how many bytes at the end may be the beginning of the marker. Up to two bytes are let through: they begin
// every key that sends an escape sequence, and such a key must not wait for the next.
func partial(b []byte, marker string) int {
	for n := min(len(b), len(marker)-1); n > 2; n-- {
		if bytes.HasSuffix(b, []byte(marker[:n])) {
			return n
		}
	}
	return 0
}

func (f *filter) pasted(b []byte) {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	enter := bytes.HasSuffix(b, []byte("\n"))
	b = bytes.TrimRight(b, "\n")
	for _, r := range string(b) {
		switch {
		case r == '\n':
			f.out.WriteRune(newlineRune)
		case r == '\t':
			f.out.WriteString(indent)
		case r >= ' ' && r != 0x7f:
			f.out.WriteRune(r)
		}
	}
	if enter {
		f.out.WriteByte('\r')
	}
}
