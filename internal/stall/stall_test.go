package stall

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// TestGiveUp checks that a write to a pipe or a terminal that nobody reads is abandoned, whether
// GiveUp comes before or after the write begins, and that the original file stays in blocking mode.
func TestGiveUp(t *testing.T) {
	for name, open := range map[string]func() (r, w *os.File, err error){"pipe": os.Pipe, "terminal": pty.Open} {
		t.Run(name, func(t *testing.T) {
			r, f, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer f.Close()
			w := New(f)
			defer w.Close()
			if w.Terminal() != (name == "terminal") {
				t.Error("a terminal: ", w.Terminal())
			}
			if _, err := w.Write([]byte("read\n")); err != nil {
				t.Fatal(err)
			}
			more := make([]byte, 1<<20) // a terminal may have room for a few bytes again
			got := make(chan error, 1)
			go func() {
				_, err := w.Write(more)
				got <- err
			}()
			for !w.Stalled(10 * time.Millisecond) {
				time.Sleep(time.Millisecond) // until the pipe is full
			}
			began := time.Now()
			if err := w.GiveUp(100 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if err := <-got; !errors.Is(err, ErrStalled) {
				t.Errorf("the write under way: %v", err)
			}
			if _, err := w.Write(more); !errors.Is(err, ErrStalled) {
				t.Errorf("the next write: %v", err)
			}
			for range 50 { // these do not wait as long
				if _, err := w.Write(more); !errors.Is(err, ErrStalled) {
					t.Errorf("a later write: %v", err)
				}
			}
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			if w.Stalled(0) {
				t.Error("stalled, and nothing is written")
			}
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK != 0 {
				t.Errorf("the flags of the file are %#x, %v", flags, err)
			}
		})
	}
}

// TestSlowReader checks that a slow reader receives everything, even after GiveUp.
func TestSlowReader(t *testing.T) {
	r, f, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w := New(f)
	if err := w.GiveUp(time.Second); err != nil {
		t.Fatal(err)
	}
	const n = 4 << 20
	done := make(chan error, 1)
	go func() {
		_, err := w.Write(make([]byte, n))
		done <- errors.Join(err, f.Close(), w.Close())
	}()
	total, b := 0, make([]byte, 32<<10)
	for {
		m, err := r.Read(b)
		total += m
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // a slow reader
	}
	if err := <-done; err != nil || total != n {
		t.Errorf("%d bytes of %d, %v", total, n, err)
	}
}
