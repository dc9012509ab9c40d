package starlarkbind

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

// loadBinary is the load generator, and loadName is the comm of its threads. Scripts here call it
// "load", and that name replaces loadName in their output.
var loadBinary, loadName string

func TestMain(m *testing.M) {
	var err error
	if err = enterNamespace(); err == nil {
		loadBinary, loadName, err = buildbin.Load()
	}
	if err == nil && os.Getenv(unprepared) == "" {
		err = sys.Prepare()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(leakcheck.Main(m, buildbin.Clean))
}

// A buffer can be written and read by several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.ReplaceAll(b.b.String(), loadName, "load")
}

// A live is a session on the running kernel, with its output.
type live struct {
	*Session
	t        *testing.T
	out, err *buffer
}

func newLive(t *testing.T, change func(*Options)) *live {
	t.Helper()
	l := &live{t: t, out: &buffer{}, err: &buffer{}}
	opt := Options{Stdout: l.out, Stderr: l.err, AllowRun: true, pass: mustVerify}
	if change != nil {
		change(&opt)
	}
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	l.Session = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if opt.JSON {
			checkJSONOutput(t, l.out.String())
		}
	})
	s.names.Predeclared["me"] = starlark.MakeInt(os.Getpid())
	s.names.Predeclared["make"] = starlark.NewBuiltin("make", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		var argv []string
		for _, a := range args {
			w, ok := starlark.AsString(a)
			if !ok {
				w = a.String()
			}
			argv = append(argv, w)
		}
		out, err := exec.Command(loadBinary, argv...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("load: %w: %s", err, out)
		}
		return starlark.None, nil
	})
	return l
}

// mustVerify panics if a pass of the compiler left an invalid function.
func mustVerify(name string, f *ir.Func) {
	if err := ir.Verify(f); err != nil {
		panic(fmt.Sprintf("after %s: %v\n%s", name, err, f))
	}
}

// script runs a script; make(...) in it runs the load generator to its end.
func (l *live) script(src string) error {
	l.t.Helper()
	return l.ExecFile(context.Background(), "test.star", []byte(strings.ReplaceAll(src, `"load"`, strconv.Quote(loadName))))
}

// printed runs a script that must succeed, and returns its output.
func printed(t *testing.T, src string) string {
	t.Helper()
	return printedWith(t, nil, src)
}

// allowUnsafe sets the option --unsafe.
func allowUnsafe(o *Options) { o.Unsafe = true }

// printedWith is like printed, with other options.
func printedWith(t *testing.T, change func(*Options), src string) string {
	t.Helper()
	l := newLive(t, change)
	if err := l.script(src); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	return l.out.String()
}

// expect compares a script's output with the lines; white space at both ends does not count.
func expect(t *testing.T, src string, lines ...string) {
	t.Helper()
	expectWith(t, nil, src, lines...)
}

// expectWith is like expect, with other options.
func expectWith(t *testing.T, change func(*Options), src string, lines ...string) {
	t.Helper()
	want := strings.TrimSpace(strings.Join(lines, "\n"))
	if got := strings.TrimSpace(printedWith(t, change, src)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
