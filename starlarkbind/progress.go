package starlarkbind

import (
	"fmt"
	"io"
	"time"
)

// How long an operation may take before its progress is shown, and how often it is shown from then
// on. On a terminal the line is rewritten, elsewhere each report is a new line.
const (
	progressAfter  = 500 * time.Millisecond
	progressTTY    = 100 * time.Millisecond
	progressNotTTY = 2 * time.Second
)

// progress returns a function that shows the progress of an operation on stderr, such as "attached:
// 312 of 1000".
func (s *Session) progress(verb string) func(done, total int) {
	start := time.Now()
	var shown time.Time
	tty := isTerminal(s.out.errw)
	every := progressNotTTY
	if tty {
		every = progressTTY
	}
	return func(done, total int) {
		now := time.Now()
		last := done == total && tty && !shown.IsZero()
		if !last && (now.Sub(start) < progressAfter || now.Sub(shown) < every) {
			return
		}
		shown = now
		text := fmt.Sprintf("%s: %d of %d", verb, done, total)
		switch {
		case last:
			s.out.write(s.out.errw, "\r\x1b[K")
		case tty:
			s.out.write(s.out.errw, "\r\x1b[K"+text)
		default:
			s.out.write(s.out.errw, text+"\n")
		}
	}
}

func isTerminal(w io.Writer) bool {
	t, ok := w.(interface{ Terminal() bool })
	return ok && t.Terminal()
}
