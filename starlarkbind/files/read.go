package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// largest is the number of bytes that a file may have that a script reads.
const largest = 64 << 20

// readAll returns the contents of a file. Ctrl-C interrupts it: files of the kernel such as
// trace_pipe end only when there is nothing more to wait for.
func (f *Files) readAll(fn, path string) (data []byte, err error) {
	ctx := f.run.Context()
	err = f.read.within(fn, path, filepath.EvalSymlinks, func(root *os.Root, name string) error {
		return withRegular(root, name, os.O_RDONLY|unix.O_NOCTTY, func(file *os.File, size int64) (err error) {
			data, err = contents(ctx, file, size)
			return err
		})
	})
	if ctx.Err() != nil {
		return nil, runner.ErrInterrupted
	}
	return data, err
}

// withRegular opens a file for fn, which gets its size, and closes it. Opening a device can have
// effects, so the kind of the file is checked before, and again afterwards. Without O_NONBLOCK, a
// pipe that has taken the place of the file would block.
func withRegular(root *os.Root, name string, flags int, fn func(file *os.File, size int64) error) error {
	if st, err := root.Stat(name); err == nil && !st.Mode().IsRegular() {
		return notRegular(st)
	}
	file, err := root.OpenFile(name, flags|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	st, err := file.Stat()
	switch {
	case err != nil:
	case !st.Mode().IsRegular():
		err = notRegular(st)
	default:
		err = fn(file, st.Size())
	}
	return errors.Join(err, file.Close())
}

// contents reads a file to its end. size is the number of bytes to expect.
func contents(ctx context.Context, file *os.File, size int64) ([]byte, error) {
	// Only files that may have to wait for data have deadlines; reading others takes finite time.
	defer context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })()
	data := make([]byte, 0, min(max(size, 0), largest)+512)
	for ctx.Err() == nil {
		if len(data) > largest {
			return nil, fmt.Errorf("the file is larger than %d MiB", largest>>20)
		}
		const piece = 1 << 20
		data = slices.Grow(data, 512)
		n, err := file.Read(data[len(data):min(cap(data), len(data)+piece)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil && ctx.Err() == nil:
			return nil, err
		}
	}
	return nil, nil // interrupted
}

// notRegular returns the error for what is not a regular file.
func notRegular(st fs.FileInfo) error {
	what := "a device"
	switch mode := st.Mode(); {
	case mode.IsDir():
		what = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		what = "a pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	}
	return fmt.Errorf("it is %s, not a file", what)
}

// ReadFile implements read_file(path).
func (f *Files) ReadFile(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	text, err := f.text(b, args, kw)
	return starlark.String(text), err
}

// ReadLines implements read_lines(path).
func (f *Files) ReadLines(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	text, err := f.text(b, args, kw)
	if err != nil {
		return nil, err
	}
	var lines []starlark.Value
	for line := range strings.Lines(text) {
		if err := f.run.Interrupted(len(lines)); err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		lines = append(lines, starlark.String(line))
	}
	return starlark.NewList(lines), nil
}

func (f *Files) text(b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (string, error) {
	var path string
	if err := starlark.UnpackArgs(b.Name(), args, kw, "path", &path); err != nil {
		return "", err
	}
	data, err := f.readAll(b.Name(), path)
	return string(data), err
}
