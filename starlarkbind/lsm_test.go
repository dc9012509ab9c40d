package starlarkbind

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// An opener is a process that opens files when it is told to.
type opener struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	err bytes.Buffer
}

func startOpener(t *testing.T, dir string, n int) *opener {
	t.Helper()
	o := &opener{cmd: exec.Command(loadBinary, "-wait", "opens", fmt.Sprint(n), dir+"/f")}
	o.cmd.Stderr = &o.err
	in, err := o.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	o.in = in
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return o
}

// open makes the process open its files and returns what it prints to standard error.
func (o *opener) open() (string, error) {
	if _, err := o.in.Write([]byte("x")); err != nil {
		return "", err
	}
	err := o.cmd.Wait()
	return o.err.String(), err
}

// startLSM starts a session with -p and --unsafe. In its scripts, folder is the inode of dir, and
// opens() makes another process and then that of -p open n files in dir. It returns the error
// message of the process of -p, or "".
func startLSM(t *testing.T, dir string, n int) *live {
	t.Helper()
	mine, other := startOpener(t, dir, n), startOpener(t, dir, n)
	l := newLive(t, func(o *Options) { o.PID, o.Unsafe = mine.cmd.Process.Pid, true })
	l.names.Predeclared["folder"] = starlark.MakeUint64(inode(t, dir))
	l.names.Predeclared["opens"] = starlark.NewBuiltin("opens", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		if text, err := other.open(); err != nil {
			return nil, fmt.Errorf("the other process: %w: %s", err, text)
		}
		text, err := mine.open()
		if (err == nil) != (text == "") {
			return nil, fmt.Errorf("%w: %s", err, text)
		}
		return starlark.String(strings.TrimSpace(text)), nil
	})
	return l
}

// in the folder of the test
const inFolder = "e.args.file.f_path.dentry.d_parent.d_inode.i_ino == folder"

// Probes at security hooks see each question of the process of -p exactly once, also as one of many
// hooks, and change no answer.
func TestLSM(t *testing.T) {
	bpftest.Need(t, "lsm")
	l := startLSM(t, manyFiles(t, 1000), 1000)
	err := l.script(`
one, any, names = count(), count(), count()
probe(["lsm:no_such_hook", "lsm:file_open"], lambda e: one.add(), filter=lambda e: ` + inFolder + `, first=True)
probe(["lsm:file_o*", "lsm:no_such_hook"], lambda e: any.add(by=(e.func, e.probe)), filter=lambda e: ` + inFolder + `, missing="ignore")
probe("lsm:file_free_security", lambda e: names.add(by=path(e.args.file)), filter=lambda e: ` + inFolder + `)
print(repr(opens()), one.value, any.snapshot(), len(names))
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `"" 1000 {("bpf_lsm_file_open", "lsm:file_open"): 1000} `
	if got, _ := strings.CutPrefix(l.out.String(), want); got == l.out.String() {
		t.Errorf("got %s, want %s", l.out, want)
	}
}

// deny() makes the kernel refuse what the process of -p asks, and only that process, wherever in
// the handler it is called.
func TestDeny(t *testing.T) {
	for _, c := range []struct{ needs, handler, want string }{
		{"lsm", `
def handler(e):
    n.add()
    deny("EPERM")`, "load: operation not permitted"},
		{"bpf_loop", `
def handler(e):
    n.add()
    for i in range(e.pid):
        if i == 3:
            deny(13)
            break`, "load: permission denied"},
		{"lsm", `
def refuse(strict):
    for i in range(4):
        if strict and i == 2:
            deny("EBUSY")
def handler(e):
    refuse(e.uid == 1 << 30)
    refuse(e.uid < 1 << 30)
    refuse(e.uid == 1 << 30)
    n.add()`, "load: device or resource busy"},
		{"lsm", `
def handler(e):
    n.add()
    if e.pid == 1 << 30:
        deny("EPERM")`, ""},
	} {
		t.Run(c.want, func(t *testing.T) {
			bpftest.Need(t, "lsm", c.needs)
			testDeny(t, c.handler, c.want)
		})
	}
}

func testDeny(t *testing.T, handler, message string) {
	const files = 20
	dir := manyFiles(t, files)
	l := startLSM(t, dir, files)
	if err := l.script("n = count()" + handler + "\nprobe(\"lsm:file_open\", handler, filter=lambda e: " + inFolder + ")\nprint(opens(), n.value)\n"); err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := fmt.Sprintf("%s %d\n", message, files)
	if message != "" { // it gives up at the first error
		want = message + " 1\n"
	}
	if l.out.String() != want {
		t.Errorf("got %swant %s", l.out, want)
	}
	if _, err := os.ReadFile(dir + "/f0"); err != nil {
		t.Error(err)
	}
}

// What is wrong with a probe at a hook is said before anything is attached.
func TestLSMErrors(t *testing.T) {
	bpftest.Need(t, "lsm")
	for _, c := range []struct{ script, want string }{
		{`probe("lsm:file_opne", lambda e: None)`, `no probe "lsm:file_opne": this kernel has no security hook "file_opne" (did you mean "lsm:file_open"`},
		{`probe("lsm:no_such_*", lambda e: None)`, `no probe "lsm:no_such_*": no security hook matches`},
		{`probe("lsm:file_free_security", lambda e: deny("EPERM"))`, `deny() works only in lsm probes whose hook can refuse, not in lsm:file_free_security`},
		{`probe("lsm:file_*", lambda e: deny("EPERM"))`, `deny() works only in lsm probes whose hook can refuse, not in lsm:file_free_security`},
	} {
		l := newLive(t, func(o *Options) { o.Unsafe = true })
		if err := l.script(c.script); err == nil || !strings.Contains(l.FormatError(err), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.script, err, c.want)
		}
	}
	l := newLive(t, nil)
	err := l.script(`probe("lsm:file_open", lambda e: deny("EPERM"))`)
	if want := "deny() changes what the kernel does\n    probe(\"lsm:file_open\", lambda e: deny(\"EPERM\"))\n                                         ^\n    hint: to allow it, start bpfrepl with --unsafe"; err == nil || !strings.Contains(l.FormatError(err), want) {
		t.Errorf("got %s\nwant %s", l.FormatError(err), want)
	}
}
