// Package stall writes to pipes and terminals whose readers may stop reading: a write that waits for such a reader can be given up.
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

// ErrStalled is the error of a write that was given up because the reader did not read.
var ErrStalled = errors.New("the reader of the output does not read")

// piece bounds what is written at a time: a slow reader that takes a piece now and then has not stalled.
const piece = 64 << 10

// A Writer writes to a file. Write is for one goroutine at a time; the other methods are for any.
type Writer struct {
	f        *os.File
	deadline bool         // f was opened here and has deadlines: writes to it can be given up
	tty      bool         // it is a terminal
	since    atomic.Int64 // when the write that is under way began, in nanoseconds since start; 0: none is

	mu       sync.Mutex
	givesUp  bool
	patience time.Duration
}

var start = time.Now()

// New returns a Writer to f. A pipe or a terminal is opened once more, for writing without waiting, because the flag O_NONBLOCK of f
// itself may be shared with other processes. What cannot be opened again (a socket) is written to as it is, and never given up.
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
	if again.SetWriteDeadline(time.Time{}) != nil { // /dev/null has none, and needs none
		again.Close() // nothing was written to it
		return &Writer{f: f, tty: tty}
	}
	return &Writer{f: again, tty: tty, deadline: true}
}

// Write implements io.Writer. The error is ErrStalled after GiveUp.
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
		w.patience = min(w.patience, noPatience) // it has waited once: the writes that follow do not add up
		w.mu.Unlock()
	}
	return n, err
}

// noPatience is how long a write waits after one was given up: a reader that is back gets what still comes.
const noPatience = time.Millisecond

// begin notes that a piece is about to be written.
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

// Close closes what New opened; the file itself stays open.
func (w *Writer) Close() error {
	if w.deadline {
		return w.f.Close()
	}
	return nil
}

// Stalled reports whether a write has waited for the reader for longer than d.
func (w *Writer) Stalled(d time.Duration) bool {
	t := w.since.Load()
	return t != 0 && time.Since(start)-time.Duration(t) > d
}

// GiveUp makes writes fail that wait for longer than patience: the one under way and all that come. Once one has failed, the others
// hardly wait at all.
func (w *Writer) GiveUp(patience time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.givesUp, w.patience = true, patience
	if !w.deadline {
		return nil
	}
	return w.f.SetWriteDeadline(time.Now().Add(patience))
}
