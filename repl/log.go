package repl

import (
	"errors"
	"io"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/paint"
)

// A log keeps items, and what they print, while there is a file for them.
type log struct {
	mu   sync.Mutex
	file io.WriteCloser
	err  error
}

// Write implements io.Writer; it never fails: what went wrong is told by stop.
func (l *log) Write(p []byte) (int, error) {
	l.record(paint.Strip(string(p)))
	return len(p), nil
}

func (l *log) record(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.err == nil {
		_, l.err = io.WriteString(l.file, text)
	}
}

func (l *log) start(file io.WriteCloser) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file = file
}

// stop ends the log, and tells what went wrong with it.
func (l *log) stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.err, l.file.Close())
	l.file, l.err = nil, nil
	return err
}
