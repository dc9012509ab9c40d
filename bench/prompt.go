package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/creack/pty"
)

// promptRounds is how often the prompt is started for each round. More often than the other tools
// costs little, because a start takes milliseconds.
const promptRounds = 3

// prompt measures the time from exec until the prompt appears on a terminal and the memory use at
// that point, and twice the time from Tab until the kernel's functions are listed: immediately,
// when their names may not have been read yet, and a second time.
func prompt(ts []tool, rounds int) error {
	head("tool", "exec to prompt, ms", "peak memory there, MiB", "first Tab, ms", "second Tab, ms", "peak memory then, MiB")
	for _, t := range ts {
		if !t.ours {
			continue // other tools have no prompt
		}
		figures := make([]figure, 5)
		for range promptRounds * rounds {
			f, err := promptOnce(t)
			if err != nil {
				return err
			}
			for i := range figures {
				figures[i] = append(figures[i], f[i])
			}
		}
		cells := []string{t.name}
		for _, f := range figures {
			cells = append(cells, f.String())
		}
		row(cells...)
	}
	fmt.Println()
	return nil
}

func promptOnce(t tool) (f [5]float64, err error) {
	state, err := os.MkdirTemp("", "bench")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	cmd := exec.Command(t.argv[0])
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+state, "TERM=xterm")
	began := time.Now()
	term, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, term.Close()) }()
	hang := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }) // if this fails, the process has already ended
	defer hang.Stop()
	if f[0], err = until(term, began, ">>> "); err != nil {
		return f, err
	}
	if f[1], err = peak(cmd.Process.Pid); err != nil {
		return f, err
	}
	for i, keys := range []string{"probe(\"fentry:\t", "\x03probe(\"fentry:\t"} {
		began = time.Now()
		if _, err := io.WriteString(term, keys); err != nil {
			return f, err
		}
		if f[2+i], err = until(term, began, " more"); err != nil {
			return f, err
		}
	}
	if f[4], err = peak(cmd.Process.Pid); err != nil {
		return f, err
	}
	if _, err = io.WriteString(term, "\x03\x04"); err != nil {
		return f, err
	}
	if _, err = until(term, began, "\x1b[?2004l"); err != nil {
		return f, err
	}
	return f, cmd.Wait()
}

// until reads from term until the output contains text, and returns the milliseconds since began.
func until(term io.Reader, began time.Time, text string) (float64, error) {
	var shown bytes.Buffer
	b := make([]byte, 4096)
	for !bytes.Contains(shown.Bytes(), []byte(text)) {
		n, err := term.Read(b)
		shown.Write(b[:n])
		if err != nil {
			return 0, fmt.Errorf("waiting for %q, got %q: %w", text, shown.String(), err)
		}
	}
	return float64(time.Since(began).Microseconds()) / 1000, nil
}
