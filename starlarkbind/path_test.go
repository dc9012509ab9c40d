package starlarkbind

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// apart runs fn in its own mount namespace, which the processes that fn starts share.
func apart(t *testing.T, fn func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A waiter is a load generator that waits before its calls.
type waiter struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
}

func startWaiter(prog, root, dir, comm string) (*waiter, error) {
	w := &waiter{cmd: exec.Command(prog, "-comm", comm, "-wait", "getppid", "5")}
	w.cmd.Dir = dir
	if root != "" {
		w.cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	}
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if w.out, err = w.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(w.out, make([]byte, len("ready\n")))
	return w, err
}

func (w *waiter) finish() error {
	if _, err := w.in.Write([]byte{1}); err != nil {
		return err
	}
	if _, err := io.ReadAll(w.out); err != nil {
		return err
	}
	return w.cmd.Wait()
}

func (w *waiter) link(name string) string {
	s, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", w.cmd.Process.Pid, name))
	if err != nil {
		return err.Error()
	}
	return s
}

// The paths of files over bind mounts and nested mounts, in another namespace, are those that the
// kernel itself reports. The same holds for deleted files, and for a process with its own root.
func TestPath(t *testing.T) {
	dir := t.TempDir()
	prog, err := os.ReadFile(loadBinary)
	if err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(dir, "deep", strings.Repeat("d/", 70))
	long := filepath.Join(dir, strings.Repeat("l", 250), strings.Repeat("m", 250))
	for _, d := range []string{"a/b", "m/n", "root/bin"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{deep, long} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"a/b/prog", "root/bin/prog", "prog"} {
		if err := os.WriteFile(filepath.Join(dir, f), prog, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l := newLive(t, nil)
	if err := l.script(`
paths, longer = count(), table()
def handler(e):
    if e.comm.startswith("path-"):
        paths.add(by=(e.comm, path(e.task.mm.exe_file, 200), path(e.task.fs.pwd, 200)))
        longer[e.comm] = path(e.task.fs.pwd, 1024)
p = probe("tracepoint:syscalls:sys_enter_getppid", handler)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	var want, wantLonger []string
	apart(t, func() error {
		bound, inner := filepath.Join(dir, "m/n"), filepath.Join(dir, "m/n/b/t")
		if err := unix.Mount(filepath.Join(dir, "a"), bound, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		if err := os.Mkdir(inner, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", inner, "tmpfs", 0, ""); err != nil {
			return err
		}
		for _, f := range []string{"prog", "gone"} {
			if err := os.WriteFile(filepath.Join(inner, f), prog, 0o755); err != nil {
				return err
			}
		}
		for _, c := range []struct{ comm, prog, root, dir string }{
			{"path-bind", bound + "/b/prog", "", bound + "/b"},
			{"path-inner", inner + "/prog", "", inner},
			{"path-top", dir + "/prog", "", "/"},
			{"path-gone", inner + "/gone", "", bound},
			{"path-root", "/bin/prog", filepath.Join(dir, "root"), "/bin"},
			{"path-long", dir + "/prog", "", long},
			{"path-deep", dir + "/prog", "", deep},
		} {
			w, err := startWaiter(c.prog, c.root, c.dir, c.comm)
			if err != nil {
				return err
			}
			if c.comm == "path-gone" {
				if err := os.Remove(c.prog); err != nil {
					return err
				}
			}
			exe, cwd, cwdLonger := w.link("exe"), w.link("cwd"), w.link("cwd")
			switch c.comm {
			case "path-bind": // here the kernel's own paths are as expected
				if exe != c.prog || cwd != c.dir {
					t.Errorf("the kernel says %s in %s", exe, cwd)
				}
			case "path-gone":
				if exe != c.prog+" (deleted)" {
					t.Errorf("the kernel says %s", exe)
				}
			case "path-root":
				exe, cwd, cwdLonger = strings.TrimPrefix(exe, c.root), strings.TrimPrefix(cwd, c.root), strings.TrimPrefix(cwd, c.root)
			case "path-long":
				cwd = ""
			case "path-deep":
				cwd, cwdLonger = "", ""
			}
			want = append(want, fmt.Sprintf("%s %s %s 5", c.comm, exe, cwd))
			wantLonger = append(wantLonger, c.comm+" "+cwdLonger)
			if err := w.finish(); err != nil {
				return err
			}
		}
		return nil
	})
	for _, item := range []string{`for k, n in paths.items(): print(k[0], k[1], k[2], n)`, `print("longer")`,
		`for k, v in longer.items(): print(k, v)`, `print("errors")`, `for x in errors(): print(x, x.hint)`} {
		if err := l.item(item); err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	const tooLong = ": path: the path is longer than its buffer, or has more than 64 components; it reads as empty> use a larger buffer: path(p, 1024)\n"
	sections := strings.Split(strings.ReplaceAll(l.out.String(), "errors\n", "longer\n"), "longer\n")
	same := func(what, got string, want []string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains("\n"+got, "\n"+w+"\n") {
				t.Errorf("%s: got\n%s\nwithout\n%s", what, got, w)
			}
		}
		if n := strings.Count(got, "\n"); n != len(want) {
			t.Errorf("%s: got %d\n%s\nwant %d", what, n, got, len(want))
		}
	}
	same("paths", sections[0], want)
	same("longer", sections[1], wantLonger)
	if got, want := sections[2], "<helper_error path ENAMETOOLONG ×10 at test.star:5:66"+tooLong+"<helper_error path ENAMETOOLONG ×5 at test.star:6:30"+tooLong; got != want {
		t.Errorf("errors: got\n%s\nwant\n%s", got, want)
	}
}

// The paths of files passed to kernel functions.
func TestFunctionPath(t *testing.T) {
	needFunctions(t)
	bin, err := filepath.EvalSymlinks(loadBinary)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, fmt.Sprintf(`
a = count()
ours = lambda e: e.comm == "load"
probe(["kprobe:vfs_open", "fentry:vfs_open"], lambda e: a.add(by=(e.probe, path(e.args.path) == %[1]q)), filter=ours)
probe(["kprobe:vfs_read", "fentry:vfs_read", "fexit:vfs_read"], lambda e: a.add(by=(e.probe, path(e.args.file) == %[1]q)), filter=lambda e: e.comm == "load" and e.args.count == 17)
make("reads", %[1]q, 10, 17)
print([(k[0], n) for k, n in sorted(a.items()) if k[1]] == [("fentry:vfs_open", 1), ("fentry:vfs_read", 10), ("fexit:vfs_read", 10), ("kprobe:vfs_open", 1), ("kprobe:vfs_read", 10)])
`, bin), "True")
}
