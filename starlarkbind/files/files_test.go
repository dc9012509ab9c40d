package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// during calls fn while a script runs.
func during(t *testing.T, ctx context.Context, read, write []string, fn func(f *Files) error) error {
	t.Helper()
	r := runner.New(nil, false, false)
	f := New(Options{Run: r, Read: read, Write: write})
	return r.ExecAlone(ctx, "test", func(*starlark.Thread) error { return fn(f) })
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// Symbolic links are followed to wherever an allowed directory contains the file, and no further.
func TestReadThroughLinks(t *testing.T) {
	top := t.TempDir()
	in, also, out := filepath.Join(top, "in"), filepath.Join(top, "also"), filepath.Join(top, "out")
	for _, dir := range []string{in, also, out} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "file"), "in "+filepath.Base(dir))
	}
	symlink(t, "file", in+"/relative")
	symlink(t, in+"/file", in+"/absolute")
	symlink(t, also+"/file", in+"/other")
	symlink(t, also, in+"/folder")
	symlink(t, out+"/file", in+"/outside")
	symlink(t, "../out", in+"/way")
	symlink(t, in, top+"/name") // a link to the allowed directory
	symlink(t, in+"/nowhere", in+"/nowhere")
	leaves := ": a symbolic link leads outside the --allow-read directory"
	for _, c := range []struct{ path, want string }{
		{in + "/file", "in in"},
		{in + "/../in/./file", "in in"},
		{in + "/relative", "in in"},
		{in + "/absolute", "in in"},
		{in + "/other", "in also"},
		{in + "/folder/file", "in also"},
		{top + "/name/file", "in in"},
		{in + "/outside", "read_file: cannot read " + in + "/outside" + leaves},
		{in + "/way/file", "read_file: cannot read " + in + "/way/file" + leaves},
		{in + "/nowhere", "read_file: cannot read " + in + "/nowhere" + leaves},
		{out + "/file", "read_file: " + out + "/file is not below " + in + " or " + also + ", where --allow-read lets scripts read"},
		{in, "read_file: " + in + " is not below " + in + " or " + also + ", where --allow-read lets scripts read"},
		{in + "/none", "read_file: cannot read " + in + "/none: no such file or directory"},
		{in + "/file/x", "read_file: cannot read " + in + "/file/x: not a directory"},
	} {
		err := during(t, t.Context(), []string{in, also}, nil, func(f *Files) error {
			data, err := f.readAll("read_file", c.path)
			got := string(data)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				return fmt.Errorf("got  %s\nwant %s", got, c.want)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}

// While another process exchanges a directory for a link that leads outside, no file outside is
// read or written.
func TestLinksThatChange(t *testing.T) {
	top := t.TempDir()
	in, out := filepath.Join(top, "in"), filepath.Join(top, "out")
	for _, dir := range []string{in, in + "/real", out} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, in+"/real/file", "inside")
	write(t, out+"/file", "outside")
	symlink(t, "real", in+"/a")
	symlink(t, out, in+"/b")
	ctx, cancel := context.WithCancel(t.Context())
	var changes sync.WaitGroup
	defer changes.Wait()
	defer cancel()
	changes.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			next := filepath.Join(in, "next")
			if err := os.Symlink([]string{"real", out}[i%2], next); err != nil {
				t.Error(err)
				return
			}
			if err := os.Rename(next, in+"/d"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	read, refused := 0, 0
	err := during(t, t.Context(), []string{in}, []string{in}, func(f *Files) error {
		for until := time.Now().Add(30 * time.Second); read < 500 || refused < 500; {
			if time.Now().After(until) {
				return fmt.Errorf("only %d times read and %d times refused", read, refused)
			}
			data, err := f.readAll("read_file", in+"/d/file")
			switch {
			case err == nil && strings.HasPrefix(string(data), "inside"):
				read++
			case err != nil:
				refused++
			default:
				return fmt.Errorf("read %q", data)
			}
			err = f.append("append_file", in+"/d/file", []byte("+"))
			if err2 := f.Write("write_file", in+"/d/new", nil); err != nil || err2 != nil {
				continue // what matters is that nothing outside changes
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(out + "/file"); err != nil || string(text) != "outside" || len(names) != 1 {
		t.Errorf("outside is now %q, with %d files: %v", text, len(names), err)
	}
}

// Only regular files are read, and none that is too large.
func TestReadKinds(t *testing.T) {
	dir := t.TempDir()
	large, err := os.Create(dir + "/large")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(large.Truncate(largest+1), large.Close()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir + "/large": "the file is larger than 64 MiB",
		"/dev/zero":    "it is a device, not a file",
		dir:            "it is a directory, not a file",
	} {
		err := during(t, t.Context(), []string{"/"}, nil, func(f *Files) error {
			_, err := f.readAll("read_file", path)
			return err
		})
		if want = "read_file: cannot read " + path + ": " + want; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	if err := os.Truncate(dir+"/large", largest); err != nil {
		t.Fatal(err)
	}
	if err := during(t, t.Context(), []string{"/"}, nil, func(f *Files) error {
		data, err := f.readAll("read_file", dir+"/large")
		if len(data) != largest {
			return fmt.Errorf("%d bytes: %w", len(data), err)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// A file of the kernel that waits for data does not block the script.
func TestReadInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	err := during(t, ctx, []string{"/sys/kernel/tracing"}, nil, func(f *Files) error {
		_, err := f.readAll("read_file", "/sys/kernel/tracing/trace_pipe")
		return err
	})
	if !errors.Is(err, runner.ErrInterrupted) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took < 50*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
