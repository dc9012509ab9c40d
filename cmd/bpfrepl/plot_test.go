package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// Plots are as wide as the terminal, and use only the characters that it has.
func TestPlotOnTerminal(t *testing.T) {
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		columns uint16
		env     []string
		want    string
	}{
		{40, []string{"LC_ALL=C.UTF-8", "TERM=xterm"}, "    │▂▅▇██████"},
		{40, []string{"LC_ALL=", "LC_CTYPE=de_DE.utf8", "LANG=C", "TERM=xterm"}, "└────────"},
		{40, []string{"LC_ALL=C", "LANG=C.UTF-8", "TERM=xterm"}, "+--------"},
		{40, []string{"LC_ALL=C.UTF-8", "TERM=linux"}, "+--------"},
		{30, []string{"LC_ALL=C", "TERM=xterm"}, "+--------"},
	} {
		got := onTerminal(t, c.columns, exec.Command(bin, "-e", "plot([i for i in range(500)])"), c.env)
		if !strings.Contains(got, c.want) {
			t.Errorf("%q: no %s in\n%s", c.env, c.want, got)
		}
		for l := range strings.Lines(got) {
			if n := len([]rune(strings.TrimRight(l, "\n"))); n > int(c.columns) {
				t.Errorf("%d columns on a terminal of %d: %s", n, c.columns, l)
			}
		}
	}
}

// onTerminal returns the output of a command on a terminal with the given number of columns.
func onTerminal(t *testing.T, columns uint16, cmd *exec.Cmd, env []string) string {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: columns})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := io.Copy(&out, tty); err != nil && !errors.Is(err, unix.EIO) { // EIO is the end of a terminal
		t.Error(err)
	}
	if err := errors.Join(cmd.Wait(), tty.Close()); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}
