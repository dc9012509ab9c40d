package starlarkbind

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
)

type kindRow struct {
	kind, prog string
	// needs is the feature without which a kernel may refuse the kind, or "".
	needs string
	// refusal is the end of a message that depends on the hardware, not on the kernel, or "".
	refusal string
	script  string
	want    string
}

// kindRows has a load with a known number of events for each kind of probe. on() attaches a handler
// that counts in n, or prints why it cannot. The script prints how many events it has seen or, for
// a timer, "fires" if the timer ran on every CPU that it should, no more often than it may.
var kindRows = []kindRow{
	{kind: "tracepoint", want: "1000", script: `
on("tracepoint:syscalls:sys_enter_getppid", lambda e: n.add(), filter=ours)
make("getppid", 1000)
print(n.value)`},
	{kind: "rawtracepoint", want: "1000", script: `
nr = {"amd64": 110, "arm64": 173}[kernel().arch] # getppid
on("rawtracepoint:sys_enter", lambda e: n.add(), filter=lambda e: e.comm == "load" and e.args[1] == nr)
make("getppid", 1000)
print(n.value)`},
	{kind: "kprobe", needs: "kprobe", want: "1000", script: `
on("kprobe:vfs_read", lambda e: n.add(), filter=lambda e: e.comm == "load" and e.args[2] == 17)
make("reads", "/proc/self/exe", 1000, 17)
print(n.value)`},
	{kind: "kretprobe", needs: "kprobe", want: "1000", script: `
on("kretprobe:vfs_read", lambda e: n.add(), filter=lambda e: e.comm == "load" and e.ret == 17)
make("reads", "/proc/self/exe", 1000, 17)
print(n.value)`},
	{kind: "fentry", needs: "fentry", want: "1000", script: `
on("fentry:vfs_read", lambda e: n.add(), filter=lambda e: e.comm == "load" and e.args.count == 17)
make("reads", "/proc/self/exe", 1000, 17)
print(n.value)`},
	{kind: "fexit", needs: "fentry", want: "1000", script: `
on("fexit:vfs_read", lambda e: n.add(), filter=lambda e: e.comm == "load" and e.args.count == 17 and e.ret == 17)
make("reads", "/proc/self/exe", 1000, 17)
print(n.value)`},
	{kind: "function", needs: "kprobe", want: "1000", script: `
on("function:vfs_read", lambda e: n.add(), filter=lambda e: e.comm == "load" and e.args.count == 17)
make("reads", "/proc/self/exe", 1000, 17)
print(n.value)`},
	{kind: "return", needs: "kprobe", want: "1000", script: `
on("return:vfs_read", lambda e: n.add(), filter=lambda e: e.comm == "load" and e.ret == 17)
make("reads", "/proc/self/exe", 1000, 17)
print(n.value)`},
	{kind: "lsm", needs: "lsm", want: "1000", script: `
on("lsm:file_open", lambda e: n.add(), filter=lambda e: e.comm == "load" and e.args.file.f_path.dentry.d_parent.d_inode.i_ino == folder)
make("opens", 1000, FILES)
print(n.value)`},
	{kind: "uprobe", prog: "calls", want: "1000", script: `
on("uprobe:PROG:call_a", lambda e: n.add())
run(spawn(["PROG", "1000"]))
print(n.value)`},
	{kind: "uretprobe", prog: "calls", want: "500", script: `
on("uretprobe:PROG:call_b", lambda e: n.add())
run(spawn(["PROG", "1000"]))
print(n.value)`},
	{kind: "usdt", prog: "sdt", want: "1000", script: `
on("usdt:PROG:test:none", lambda e: n.add())
run(spawn(["PROG", "1000"]))
print(n.value)`},
	{kind: "profile", want: "fires", script: `
t0 = now()
on("profile:hz:50", lambda e: by.add(by=e.cpu))
for c in cpus():                             # the clock of an idle CPU may not fire in a virtual machine
    make("-cpu", c, "spin", 300)
most = (now() - t0) // 20000000 + 1
print("fires" if all([0 < by[c] and by[c] <= most for c in cpus()]) and len(by) == len(cpus()) else by)`},
	{kind: "interval", want: "fires", script: `
t0 = now()
on("interval:ms:20", lambda e: by.add(by=e.cpu))
run(1)
most = (now() - t0) // 20000000 + 1
print("fires" if len(by) == 1 and by.values()[0] <= most else by)`},
	{kind: "software", prog: "faults", want: "1000", script: `
on("software:page-faults:1", lambda e: n.add(), filter=lambda e: e.comm == "faulting")
run(spawn(["PROG", "-1", "1000"]))
print(n.value)`},
	{kind: "hardware", want: "fires", refusal: "no processor counters are available here, as in most virtual machines; use profile:hz:99, or a software: event", script: `
on("hardware:instructions:1000000", lambda e: n.add())
make("spin", 200)
print("fires" if n.value > 0 else 0)`},
	{kind: "watchpoint", prog: "watched", refusal: "a uprobe or kprobe on the code that makes the access may be enough", want: "500", script: `
on("watchpoint:ADDRESS:8:w", lambda e: n.add(), filter=lambda e: e.comm == "watched")
run(spawn(["PROG"]))
print(n.value)`},
	{kind: "iter", want: "2", script: `
on("iter:task", lambda e: n.add(), filter=lambda e: e.pid == threads)
print(n.value)`},
	{kind: "begin", want: "1", script: `
on("begin", lambda e: n.add())
print(n.value)`},
	{kind: "end", want: "1", script: `
p = on("end", lambda e: n.add())
p.detach()
print(n.value)`},
	{kind: "self", want: "5", script: `
on("self:signal:SIGUSR1", lambda e: n.add())
for i in range(5):
    kick()
    while n.value <= i:
        run(0)
print(n.value)`},
}

// Each kind of probe counts a known load to the last event, or reports why this kernel or this host
// does not support it. docs/kernels.md is generated from the output of this test (go run
// ./internal/testkit/vmtest/cmd -table).
func TestAllKinds(t *testing.T) {
	for _, p := range kinds.Providers() {
		if !slices.ContainsFunc(kindRows, func(r kindRow) bool { return r.kind == p.Kind }) {
			t.Errorf("no load for %s", p.Kind)
		}
	}
	for _, r := range kindRows {
		t.Run(r.kind, r.run)
	}
}

func (r kindRow) run(t *testing.T) {
	l := newLive(t, nil)
	refusal, hint := "", ""
	l.names.Predeclared["refused"] = starlark.NewBuiltin("refused", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		refusal, _ = starlark.AsString(args[0])
		hint, _ = starlark.AsString(args[1])
		return starlark.None, nil
	})
	l.names.Predeclared["kick"] = starlark.NewBuiltin("kick", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		return starlark.None, unix.Kill(os.Getpid(), unix.SIGUSR1)
	})
	script := r.script
	if r.prog != "" {
		script = strings.ReplaceAll(script, "PROG", build(t, r.prog))
	}
	switch r.kind {
	case "watchpoint":
		script = strings.ReplaceAll(script, "ADDRESS", fmt.Sprintf("%#x", address(t, build(t, r.prog), "watched")))
	case "lsm":
		dir := manyFiles(t, 1000)
		script = strings.ReplaceAll(script, "FILES", fmt.Sprintf("%q", dir+"/f"))
		l.names.Predeclared["folder"] = starlark.MakeUint64(inode(t, dir))
	case "iter":
		p := startThreads(t, build(t, "threads")) // it has two threads
		defer func() {
			if err := p.finish(); err != nil {
				t.Error(err)
			}
		}()
		l.names.Predeclared["threads"] = starlark.MakeInt(p.cmd.Process.Pid)
	}
	err := l.script(`
n, by = count(), count()
ours = lambda e: e.comm == "load"
def on(spec, handler, filter=None):
    r = attempt(lambda: probe(spec, handler, filter=filter))
    if not r.ok:
        refused(r.error.message, r.error.hint)
        fail("refused")
    return r.value
` + script)
	switch {
	case refusal != "":
		r.mayRefuse(t, refusal+"; "+hint)
		fmt.Printf("kind %s: no: %s\n", r.kind, refusal)
	case err != nil:
		t.Fatal(l.FormatError(err))
	case strings.TrimSpace(l.out.String()) != r.want:
		t.Errorf("got %s, want %s", l.out, r.want)
	case r.want == "fires":
		fmt.Printf("kind %s: fires\n", r.kind)
	default:
		fmt.Printf("kind %s: exact\n", r.kind)
	}
}

// mayRefuse fails the test if the kernel has what the kind needs according to docs/kernels.md.
func (r kindRow) mayRefuse(t *testing.T, refusal string) {
	t.Helper()
	if r.refusal != "" && strings.HasSuffix(refusal, r.refusal) {
		return
	}
	if r.needs != "" {
		has, err := bpftest.Table(r.needs)
		if err != nil {
			t.Fatal(err)
		}
		if !has {
			return
		}
	}
	t.Error(refusal)
}

// manyFiles returns a new directory with n files: f0, f1 and so on.
func manyFiles(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		if err := os.WriteFile(fmt.Sprintf("%s/f%d", dir, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inode returns the number of a file's inode.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// address returns a variable's address in a program that is not relocated.
func address(t *testing.T, prog, name string) uint64 {
	t.Helper()
	f, err := elf.Open(prog)
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := f.Symbols()
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("%s has no %s", prog, name)
	}
	return symbols[i].Value
}
