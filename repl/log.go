package repl

import (
	"errors"
	"io"
	"sync"

	"github.com/bpfrepl/bpfrepl/internal/paint"
)

// A log records items and their output while a file is set.
type log struct {
	mu   sync.Mutex
	file io.WriteCloser
	err  error
}

// Write implements io.Writer. It never fails: stop returns errors.
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

// stop closes the file, and returns the first failed write and the error of closing it.
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
