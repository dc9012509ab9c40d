// Package stall writes to pipes and terminals whose readers may stop reading. A write that waits
// for such a reader can be abandoned.
package stall

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ErrStalled is the error of a write that was abandoned because the reader did not read.
var ErrStalled = errors.New("the reader of the output has stopped reading")

// piece is the largest number of bytes that are written at a time. A slow reader that takes a piece
// now and then has not stalled.
const piece = 64 << 10

// A Writer writes to a file. Only one goroutine may call Write at a time; the other methods may be
// called concurrently.
type Writer struct {
	f        *os.File
	deadline bool         // f was opened by New and has deadlines, so writes to it can be abandoned
	tty      bool         // f is a terminal
	since    atomic.Int64 // when the current write began, in nanoseconds after start; 0 if none is under way

	mu       sync.Mutex
	givesUp  bool
	patience time.Duration
}

var start = time.Now()

// New returns a Writer to f. If f is a pipe or a terminal, New opens it again in nonblocking mode,
// because other processes may share the flag O_NONBLOCK of f itself. A file that cannot be opened
// again, such as a socket, is used as it is, and writes to it are never abandoned.
func New(f *os.File) *Writer {
	st, err := f.Stat()
	if err != nil || st.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) == 0 {
		return &Writer{f: f}
	}
	tty := term.IsTerminal(int(f.Fd()))
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return &Writer{f: f, tty: tty}
	}
	if again.SetWriteDeadline(time.Time{}) != nil { // /dev/null has no deadlines and needs none
		again.Close() // nothing was written, so the error does not matter
		return &Writer{f: f, tty: tty}
	}
	return &Writer{f: again, tty: tty, deadline: true}
}

// Write implements io.Writer. After GiveUp, the error is ErrStalled if the reader does not read.
func (w *Writer) Write(p []byte) (n int, err error) {
	defer w.since.Store(0)
	for n < len(p) && err == nil {
		if err = w.begin(); err != nil {
			break
		}
		var m int
		m, err = w.f.Write(p[n:min(len(p), n+piece)])
		n += m
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrStalled
		w.mu.Lock()
		w.patience = min(w.patience, noPatience) // later writes must not add up to a long wait
		w.mu.Unlock()
	}
	return n, err
}

// noPatience is how long a write waits after an earlier one was abandoned. A reader that has
// resumed gets the rest of the output.
const noPatience = time.Millisecond

// begin records that a piece is about to be written.
func (w *Writer) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since.Store(int64(time.Since(start)))
	if w.givesUp && w.deadline {
		return w.f.SetWriteDeadline(time.Now().Add(w.patience))
	}
	return nil
}

// Terminal reports whether the file is a terminal.
func (w *Writer) Terminal() bool { return w.tty }

// Close closes the file that New opened. The file that was passed to New stays open.
func (w *Writer) Close() error {
	if w.deadline {
		return w.f.Close()
	}
	return nil
}

// Stalled reports whether the current write has waited for the reader for longer than d.
func (w *Writer) Stalled(d time.Duration) bool {
	t := w.since.Load()
	return t != 0 && time.Since(start)-time.Duration(t) > d
}

// GiveUp makes the current write and all later ones fail if they wait for longer than patience.
// Once one has failed, the others hardly wait at all.
func (w *Writer) GiveUp(patience time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.givesUp, w.patience = true, patience
	if !w.deadline {
		return nil
	}
	return w.f.SetWriteDeadline(time.Now().Add(patience))
}
