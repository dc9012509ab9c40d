package terminal

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

// Progress returns a function that shows the progress of an operation on stderr, such as "attached:
// 312 of 1000".
func (o *Output) Progress(verb string) func(done, total int) {
	start := time.Now()
	var shown time.Time
	tty := isTerminal(o.errw)
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
			o.write(o.errw, "\r\x1b[K")
		case tty:
			o.write(o.errw, "\r\x1b[K"+text)
		default:
			o.write(o.errw, text+"\n")
		}
	}
}

func isTerminal(w io.Writer) bool {
	t, ok := w.(interface{ Terminal() bool })
	return ok && t.Terminal()
}
