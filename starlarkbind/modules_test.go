package starlarkbind

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// writeFiles writes the files of a txtar archive into a new folder and makes that the current one.
func writeFiles(t *testing.T, archive string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, f := range txtar.Parse([]byte(archive)).Files {
		if err := os.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(f.Data), `"load"`, strconv.Quote(loadName))
		if err := os.WriteFile(f.Name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// runFile runs the script main.star of the current folder, and returns what it prints.
func runFile(t *testing.T, l *live) string {
	t.Helper()
	src, err := os.ReadFile("main.star")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ExecFile(context.Background(), "main.star", src); err != nil {
		t.Fatal(l.FormatError(err))
	}
	return strings.ReplaceAll(l.out.String(), strconv.Quote(loadName), `"load"`)
}

// What depends on the whole text of a script depends on its modules too: the types of maps, also
// where a probe in a module comes first, and the layout of maps whose methods only a module calls.
func TestModules(t *testing.T) {
	for name, c := range map[string]struct{ files, want string }{
		"a map of the module, written by later probes of the script": {`
-- lib.star --
t, c = table(), count()
SPEC = "tracepoint:syscalls:sys_enter_"
p = probe(SPEC + "getppid", lambda e: c.add(by=(e.comm, "short")), filter=lambda e: e.comm == "load")
t["a name of more than fifteen bytes"] = 1
-- main.star --
load("lib.star", "t", "SPEC", all="c", q="p")
load("fill.star", "fill")
def later(e):
    all.add(by=("x", str(e.args.filename, 128)))
    t[str(e.args.filename, 100)] = 1
probe(SPEC + "openat", later, filter=lambda e: e.comm == "nobody")
probe(SPEC + "unlinkat", lambda e: fill(e), filter=lambda e: e.comm == "nobody")
make("getppid", 1)
print(all.keys(), t.keys(), q.attached)
-- fill.star --
load("lib.star", "c")
def fill(e): c.add(by=(e.comm, str(e.args.pathname, 256)))
`, `[("load", "short")] ["a name of more than fifteen bytes"] True`},
		"two tables that need each other, in two files": {`
-- enter.star --
a, b = table(), table()
def enter(e):
    w = b.pop(e.tid)
    a[e.tid] = (now(), w[1] if w != None else 0)
-- main.star --
load("enter.star", "a", "b", "enter")
seen = count()
def leave(e):
    t = a.pop(e.tid)
    if t != None:
        b[e.tid] = (e.comm, t[1] + 1)
        seen.add(by=t[1])
probe("tracepoint:syscalls:sys_enter_getppid", enter, filter=lambda e: e.comm == "load")
probe("tracepoint:syscalls:sys_exit_getppid", leave, filter=lambda e: e.comm == "load")
make("getppid", 3)
print(sorted(seen.keys()), [v for v in b.values()] == [("load", 3)], len(a))
`, "[0, 1, 2] True 0"},
		"clear() in a module that is loaded after the map is made": {`
-- main.star --
c = count()
p = probe("tracepoint:syscalls:sys_enter_getppid", lambda e: c.add(), filter=lambda e: e.comm == "load")
load("lib.star", "forget")
make("getppid", 3)
n = c.snapshot()
forget(c)
make("getppid", 2)
print(n, c.snapshot())
-- lib.star --
def forget(m): m.clear()
`, "3 2"},
		"a module runs once, and what it defines can change": {`
-- main.star --
load("lib.star", "state", "bump")
load("sub/other.star", "twice")
twice()
bump()
print(str(state))
-- lib.star --
print("once")
state = {"n": 0}
def bump(): state["n"] += 1
-- sub/other.star --
load("deep.star", "b")
def twice(): b(); b()
-- sub/deep.star --
load("alias.star", "bump")
b = bump
-- sub/alias.star --
def bump(): print("other")
`, "once\nother\nother\n{\"n\": 1}"},
		"flags of a module": {`
-- main.star --
load("lib.star", "LIMIT")
n = flag("n", 1, help="a number")
print(LIMIT, n)
-- lib.star --
LIMIT = flag("limit", 10, help="rows")
`, "5 1"},
		"lists, dicts and functions of a module in a handler": {`
-- main.star --
load("lib.star", "NAMES", "PORTS", "is_port")
c = count()
def handler(e):
    if is_port(e.args.count) and e.args.count in PORTS:
        c.add(by=NAMES[e.args.count])
probe("tracepoint:syscalls:sys_enter_read", handler, filter=lambda e: e.pid == me)
print(handler(event(args=struct(count=80))), c.snapshot())
-- lib.star --
NAMES = {80: "http", 443: "https"}
PORTS = [80, 443]
_known = {80: True}
def is_port(n): return n in _known
`, `None {"http": 1}`},
	} {
		t.Run(name, func(t *testing.T) {
			writeFiles(t, c.files)
			l := newLive(t, func(o *Options) {
				if name == "flags of a module" {
					o.Args = []string{"--limit", "5"}
				}
			})
			if got := strings.TrimSpace(runFile(t, l)); got != c.want {
				t.Errorf("printed\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// A script's end prints the maps that nothing reads. Other files may have variables of the same
// name, and may load the map.
func TestModuleSummary(t *testing.T) {
	for _, c := range []struct{ files, want string }{
		{`
-- main.star --
load("lib.star", "f")
out = table()
out[1] = f()
-- lib.star --
out = [1]
def f(): return len(out)
`, "out:\n1  1\n"},
		{`
-- main.star --
load("lib.star", seen="out")
seen[1] = 2
-- lib.star --
out = table()
out[2] = 3
`, "out:\n1  2\n2  3\n"},
		{`
-- main.star --
first, out = table(), table()
def f():
    if first.add(by=1) == 1:
        out.add(by=2)
f()
(lambda: out.add(by=3))()
`, "out:\n2  1\n3  1\n"},
		{`
-- main.star --
load("lib.star", seen="out")
print(len(seen))
-- lib.star --
out = table()
out[2] = 3
`, "1\n"},
	} {
		writeFiles(t, c.files)
		l := newLive(t, nil)
		runFile(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := l.out.String(); got != c.want {
			t.Errorf("%s: printed %q, want %q", c.files, got, c.want)
		}
	}
}

// A helper error in a module's function names the module's line, and quotes it.
func TestModuleHelperErrors(t *testing.T) {
	writeFiles(t, `
-- main.star --
load("lib.star", "put")
p = probe("tracepoint:syscalls:sys_enter_getppid", lambda e: put(e.args), filter=lambda e: e.comm == "load")
make("getppid", 3)
run(0)
p.detach()
for e in errors():
    print(e.pos, e.source, e.count)
-- lib.star --
t = table(max_keys=1)
t[7] = 0

def put(_):
    t[8] = 1
`)
	l := newLive(t, nil)
	want := "lib.star:5:6 t[8] = 1 3\n"
	if got := runFile(t, l); got != want {
		t.Errorf("printed %q, want %q, warned %q", got, want, l.err.String())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := l.err.String(), "    t[8] = 1\n         ^\n"; !strings.Contains(got, "lib.star:5:6: ") || !strings.Contains(got, want) {
		t.Errorf("warned %q, want the place lib.star:5:6 and %q", got, want)
	}
}

// At the prompt, loads share the modules of the session, a mistake can be corrected, and a module
// does not see the names of the prompt.
func TestModulesAtPrompt(t *testing.T) {
	writeFiles(t, `
-- lib.star --
print("run")
def least(a, b): return min(a, b)
def handler(e): return min(e.pid, 7)
-- bad.star --
x = (
-- sub/run.star --
load("near.star", "n")
print(n)
-- sub/near.star --
n = 4
`)
	l := newLive(t, func(o *Options) { o.Interactive = true })
	exec := func(src string) error {
		_, err := l.ExecItem(context.Background(), src)
		return err
	}
	must := func(src string) {
		t.Helper()
		if err := exec(src); err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	must(`load("lib.star", "least")`)
	must(`min = 3`)
	must(`load("lib.star", "handler"); print(least(2, 1), handler(event(pid=9)))`)
	must(`p = probe("begin", handler)`)
	err := exec(`load("bad.star", "x")`)
	want := "error: bad.star:2:1: got end of file, want primary expression\n  loaded from In[5]:1:6: load(\"bad.star\", \"x\")"
	if err == nil || l.FormatError(err) != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if err := os.WriteFile("bad.star", []byte("x = 1 // 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = exec(`load("bad.star", "x")`)
	want = "error: bad.star:1:7: floored division by zero\n    x = 1 // 0\n          ^\n  called from In[6]:1:1: load(\"bad.star\", \"x\")"
	if err == nil || l.FormatError(err) != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if err := os.WriteFile("bad.star", []byte("x = 8\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(`load("bad.star", "x"); print(x)`)

	// What a module attached before it failed ends.
	if err := os.WriteFile("half.star", []byte("p = probe(\"begin\", lambda e: None)\nevery(1, lambda: None)\n1 // 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(`n = len(attached())`)
	if exec(`load("half.star", "p")`) == nil {
		t.Error("half.star could be loaded")
	}
	must(`print(len(attached()) - n)`)
	if n := len(l.waits.timers); n != 0 {
		t.Errorf("%d timers, want none", n)
	}
	if _, err := l.RunFile(context.Background(), "sub/run.star", "load(\"near.star\", \"n\")\nprint(n)\n"); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if err := l.Reset(); err != nil {
		t.Fatal(err)
	}
	must(`load("lib.star", "least")`)
	if got, want := l.out.String(), "run\n1 7\n8\n0\n4\nrun\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// help() describes a file by its docstrings.
func TestHelpOnFiles(t *testing.T) {
	writeFiles(t, `
-- lib.star --
"""What several scripts
share.

More of it."""
def shared(n, limit=-1, *rest, kind="a", **more):
    """Returns n.

    It never
    returns more.

    Example:
        for n in [1]:
            print(shared(n))
    """
    return n
def _private(): pass
def bare(): pass
`)
	l := newLive(t, func(o *Options) { o.Interactive = true })
	of := "shared(n, limit=-1, *rest, kind=\"a\", **more)\n    Returns n.\n\n    It never returns more.\n\n    for n in [1]:\n        print(shared(n))\n"
	for _, c := range []struct{ src, want string }{
		{`help("lib.star")`, "lib.star\n    What several scripts share.\n\n    More of it.\n\n    load(\"lib.star\", \"shared\")\n\n" + of + "\nbare()\n"},
		{`load("lib.star", "shared")`, ""},
		{`help(shared)`, of + "\n    defined at lib.star:5:1\n"},
		{`help("nolib.star")`, `cannot load "nolib.star": no such file; searched nolib.star; did you mean "lib.star"?`},
		{`help("std/names")`, `cannot load "std/names": the standard library has no such module; did you mean "std/names.star"?`},
	} {
		before := l.out.String()
		_, err := l.ExecItem(t.Context(), c.src)
		got := strings.TrimPrefix(l.out.String(), before)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

// Reload runs what has changed, binds the names anew, and keeps everything if a file is wrong.
func TestReload(t *testing.T) {
	writeFiles(t, `
-- lib.star --
load("base.star", "base")
c = count()
p = probe("tracepoint:syscalls:sys_enter_getppid", lambda e: c.add(), filter=lambda e: e.comm == "load")
def f(): return base + 1
def g(): return "g"
T = (1, [2])
-- base.star --
base = 1
-- same.star --
print("same runs")
n = 1
`)
	l := newLive(t, func(o *Options) { o.Interactive = true })
	ctx := context.Background()
	exec := func(src string) {
		t.Helper()
		if _, err := l.ExecItem(ctx, src); err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	reload := func(want, wantErr string) {
		t.Helper()
		got, err := l.Reload(ctx)
		if got != want || (err == nil) != (wantErr == "") || err != nil && err.Error() != wantErr {
			t.Errorf("reload: %q, error %v, want %q, error %q", got, err, want, wantErr)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reload("no module has changed", "")
	exec(`load("lib.star", "f", "T", "p", "g", counts="c"); load("same.star", "n")`)
	exec(`def call(): return f()`)
	exec(`old = f; g = lambda: "mine"; make("getppid", 2); print(call(), T[1], g(), counts.snapshot(), p.attached)`)
	exec(`first = p`)
	reload("no module has changed", "")

	write("base.star", "# moved\n\n\nbase = 10\n")
	reload("reloaded base.star, lib.star; detached 1 probe of before", "")
	exec(`make("getppid", 3); print(call(), g(), old(), counts.snapshot(), p.attached, first.attached)`)

	write("lib.star", "def f(): return undefined_name\n")
	reload("", "lib.star:1:17: undefined: undefined_name\n    def f(): return undefined_name\n                    ^\n  loaded from In[1]:1:6: load(\"lib.star\", \"f\", \"T\", \"p\", \"g\", counts=\"c\"); load(\"same.star\", \"n\")")
	write("lib.star", "p = probe(\"begin\", lambda e: print(\"begun\"))\nf, T, c, g = 1, 2, 3 // 0, 4\n")
	reload("", "lib.star:2:22: floored division by zero\n    f, T, c, g = 1, 2, 3 // 0, 4\n                         ^")
	exec(`print(call(), p.attached)`)
	if n := len(l.reg.allProbes()); n != 3 {
		t.Errorf("%d probes, want 3", n)
	}

	// Functions of before keep their own source.
	text, err := l.source(l.Value("old"))
	if want := "lib.star:4:1:\n    def f(): return base + 1\n"; err != nil || text != want {
		t.Errorf("source %q, error %v, want %q", text, err, want)
	}
	exec(`q = probe("begin", lambda e: print(old())); run(0)`)
	if got, want := strings.ReplaceAll(l.out.String(), "begun\n", ""), "same runs\n2 [2] mine 2 True\n11 mine 2 3 True False\n11 True\n2\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
