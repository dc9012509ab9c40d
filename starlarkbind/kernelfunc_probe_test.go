package starlarkbind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/bpf/feature"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/cputime"
	"github.com/bpfrepl/bpfrepl/starlarkbind/kernelinfo"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// needFunctions skips a test on a kernel without function probes.
func needFunctions(t *testing.T) {
	t.Helper()
	bpftest.Need(t, "kprobe", "fentry")
}

// atLeast reports whether the running kernel has at least the given version.
func atLeast(t *testing.T, major, minor int) bool {
	t.Helper()
	k, err := sys.Running()
	if err != nil {
		t.Fatal(err)
	}
	return k.AtLeast(major, minor)
}

const sized = `
ours = lambda e: e.comm == "load" and e.args.count == 17
`

// Each kind counts a known number of calls, with the names of probe and function, the arguments and
// the results.
func TestFunctionKinds(t *testing.T) {
	needFunctions(t)
	expect(t, sized+`
print("kinds")
n = {k: count() for k in ["kprobe", "fentry", "fexit", "function"]}
a, b, c, d = n["kprobe"], n["fentry"], n["fexit"], n["function"]
ret = count()
probe("kprobe:vfs_read", lambda e: a.add(by=(e.probe, e.func, e.args.count, e.args[2])), filter=ours)
probe("kretprobe:vfs_read", lambda e: ret.add(by=(e.probe, e.func, e.ret)), filter=lambda e: e.comm == "load" and e.ret == 17)
probe("fentry:vfs_read", lambda e: b.add(by=(e.probe, e.func, e.args.count, e.args[2])), filter=ours)
probe("fexit:vfs_read", lambda e: c.add(by=(e.probe, e.func, e.args.count, e.ret)), filter=ours)
p = probe("function:vfs_read", lambda e: d.add(by=(e.probe, e.func)), filter=ours)
q = probe("return:vfs_read", lambda e: ret.add(by=(e.probe, e.func, e.ret)), filter=lambda e: e.comm == "load" and e.ret == 17)
make("reads", "/proc/self/exe", 1234, 17)
for x in [a, b, c, d]:
    print("", x.items())
print("", sorted(ret.items()))
print(p.targets, q.targets, p.asm().split("\n")[0])
`, "kinds", ` [(("kprobe:vfs_read", "vfs_read", 17, 17), 1234)]`,
		` [(("fentry:vfs_read", "vfs_read", 17, 17), 1234)]`,
		` [(("fexit:vfs_read", "vfs_read", 17, 17), 1234)]`,
		` [(("function:vfs_read", "vfs_read"), 1234)]`,
		` [(("kretprobe:vfs_read", "vfs_read", 17), 1234), (("return:vfs_read", "vfs_read", 17), 1234)]`,
		`["fentry:vfs_read"] ["fexit:vfs_read"] ; function:vfs_read (fentry:vfs_read) as Tracing program`)
}

// A function without types is traced by a kprobe, with numbered arguments. function: falls back to
// the kprobe and reports why.
func TestFunctionUntyped(t *testing.T) {
	needFunctions(t)
	expect(t, `
a = count()
ours = lambda e: e.comm == "load"
p = probe("function:__x64_sys_getppid", lambda e: a.add(by=(e.probe, e.args[0] != 0)), filter=ours)
r = probe("return:__x64_sys_getppid", lambda e: a.add(by=(e.probe, e.ret == me)), filter=ours)
make("getppid", 1000)
print("called", a.top(5), p.targets, r.targets)
print("\n".join(p.asm().split("\n")[:2]))
print(attempt(lambda: probe("kprobe:__x64_sys_getppid", lambda e: a.add(by=e.args.regs))).error.message)
print(attempt(lambda: probe("kprobe:__x64_sys_getppid", lambda e: a.add(by=e.args[6]))).error.message)
print(attempt(lambda: probe("kretprobe:vfs_read", lambda e: a.add(by=e.args.file))).error.message)
`, `called [(("function:__x64_sys_getppid", True), 1000), (("return:__x64_sys_getppid", True), 1000)] ["kprobe:__x64_sys_getppid"] ["kretprobe:__x64_sys_getppid"]`,
		`; function:__x64_sys_getppid (kprobe:__x64_sys_getppid) as Kprobe program`,
		`; not fentry: the kernel's type information (BTF) does not describe the function, which fentry needs`,
		`kprobe:__x64_sys_getppid has no argument regs`,
		`index out of range: kprobe:__x64_sys_getppid has 6 arguments`,
		`kretprobe:vfs_read has no arguments: they are gone when the function returns; save them at its entry, or use fexit:vfs_read`)
}

// Strings of either address space, and arithmetic on pointers that the verifier tracks.
func TestFunctionPointers(t *testing.T) {
	needFunctions(t)
	expect(t, `
names, odd = count(), count()
def h(e):
    names.add(by=(e.probe, str(e.args.filename, 32), e.args.dfd))
    odd.add(by=(e.args[2] & 7, e.args[2] > 4096, e.args[1] * 2 != 0))
probe(["kprobe:do_sys_openat2", "fentry:do_sys_openat2", "fexit:do_sys_openat2"], h, filter=lambda e: e.comm == "load")
make("opens", 2, "/tmp/no-such-")
print("names", [(k, n) for k, n in sorted(names.items()) if "no-such" in k[1]])
print("odd", odd.keys())
sizes = count()
probe(["kprobe:vfs_read", "fentry:vfs_read", "fexit:vfs_read"], lambda e: sizes.add(by=(e.probe, e.args.file.f_inode.i_size > 1000000)), filter=lambda e: e.comm == "load" and e.args.count == 17)
make("reads", "/proc/self/exe", 10, 17)
print("sizes", sorted(sizes.items()))
`, `names [(("fentry:do_sys_openat2", "/tmp/no-such-0", -100), 1), (("fentry:do_sys_openat2", "/tmp/no-such-1", -100), 1), (("fexit:do_sys_openat2", "/tmp/no-such-0", -100), 1), (("fexit:do_sys_openat2", "/tmp/no-such-1", -100), 1), (("kprobe:do_sys_openat2", "/tmp/no-such-0", -100), 1), (("kprobe:do_sys_openat2", "/tmp/no-such-1", -100), 1)]`,
		`odd [(0, True, True)]`,
		`sizes [(("fentry:vfs_read", True), 10), (("fexit:vfs_read", True), 10), (("kprobe:vfs_read", True), 10)]`)
}

// A pattern attaches to all matching functions, with one program if the handler reads no named
// field. e.func is the function.
func TestFunctionPatterns(t *testing.T) {
	needFunctions(t)
	expect(t, sized+`
for spec in ["kprobe:vfs_re*", "kretprobe:vfs_re*", "fentry:vfs_re*", "fexit:vfs_re*", "function:vfs_*", "return:vfs_re*"]:
    n = count()
    p = probe(spec, lambda e: n.add(by=e.func), filter=lambda e: e.comm == "load")
    before = n.get("vfs_read", 0)
    make("reads", "/proc/self/exe", 1000, 17)
    print(spec, len(p.targets) > 2, [t for t in p.targets if t.endswith(":vfs_read")], n["vfs_read"] >= 1000, n["vfs_read"] < 1020, len(attached()), p.stats().missed)
    p.detach()
m = count()
p = probe(["kprobe:vfs_read", "kprobe:vfs_write"], lambda e: m.add(by=(e.func, e.args.count)), filter=lambda e: e.comm == "load")
make("reads", "/proc/self/exe", 1000, 17)
print(m[("vfs_read", 17)])
`, `kprobe:vfs_re* True ["kprobe:vfs_read"] True True 1 0`, `kretprobe:vfs_re* True ["kretprobe:vfs_read"] True True 1 0`,
		`fentry:vfs_re* True ["fentry:vfs_read"] True True 1 0`, `fexit:vfs_re* True ["fexit:vfs_read"] True True 1 0`,
		`function:vfs_* True ["kprobe:vfs_read"] True True 1 0`, `return:vfs_re* True ["fexit:vfs_read"] True True 1 0`, "1000")
}

// A function called inside a probe's handler is missed, and the misses are counted from Linux 6.7
// on, where the kernel reports them.
func TestFunctionMisses(t *testing.T) {
	needFunctions(t)
	for _, spec := range []string{`"kprobe:do_sys_openat2"`, `"kprobe:do_sys_openat*"`} {
		for _, inner := range []string{`"kprobe:strncpy_from_user_nofault"`, `["kprobe:strncpy_from_user_nofault", "kprobe:strncpy_from_kernel_nofault"]`} {
			l := newLive(t, nil)
			err := l.script(`
outer, inner = count(), count()
def h(e):
    outer.add()
    if str(e.args.filename, 32) == "x":
        outer.add()
probe(` + spec + `, h, filter=lambda e: e.comm == "load")
p = probe(` + inner + `, lambda e: inner.add(), filter=lambda e: e.comm == "load")
make("opens", 100, "/tmp/no-such-")
m = p.stats().missed
p.detach()
print(inner.value, m == outer.value, m, p.stats().missed == m)
`)
			if err != nil {
				t.Fatal(l.FormatError(err))
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			got := l.out.String()
			if !atLeast(t, 6, 7) {
				if got != "0 False 0 True\n" {
					t.Errorf("%s, %s: %s", spec, inner, got)
				}
				continue
			}
			if !strings.HasPrefix(got, "0 True 1") || !strings.HasSuffix(got, " True\n") {
				t.Errorf("%s, %s: %s", spec, inner, got)
			}
			want := "the kernel missed 1"
			if strings.HasPrefix(inner, "[") { // the misses of a multi link are counted in another way
				want = "the kernel skipped 1"
			}
			if w := l.err.String(); !strings.Contains(w, want) {
				t.Errorf("%s, %s: no warning of it: %s", spec, inner, w)
			}
		}
	}
}

// A thousand targets: attached, counted and detached, with progress. Ctrl-C in the middle leaves
// nothing behind.
func TestManyFunctions(t *testing.T) {
	needFunctions(t)
	f, err := feature.Find("kprobe_multi")
	if err != nil {
		t.Fatal(err)
	}
	multi := f.Probe() == nil
	l := newLive(t, nil)
	many, least := "", 1000
	if !multi && testing.Short() { // one by one, a thousand take an emulated CPU two minutes
		many, least = "kprobe:do_*", 200
	}
	for c := 'a'; c <= 'z' && many == ""; c++ {
		pattern := fmt.Sprintf("kprobe:%c*", c)
		ts, err := kinds.List(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(ts) >= 1000 && len(ts) < 1600 {
			many = pattern
		}
	}
	if err := l.script(fmt.Sprintf(`
n = count()
p = probe(%q, lambda e: n.add(), filter=lambda e: e.comm == "load")
make("opens", 10, "/tmp/no-such-")
print(len(p.targets) >= %d, n.value > 0, p.attached)
p.detach()
print(p.attached)
`, many, least)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got := l.out.String(); got != "True True True\nFalse\n" {
		t.Errorf("got %s", got)
	}
	if shown := l.err.String(); !multi && !strings.Contains(shown, "attached: ") {
		t.Errorf("no progress was shown: %q", shown)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(3*time.Second, cancel)
	err = l.ExecFile(ctx, "many.star", fmt.Appendf(nil, `
n = count()
while True:
    p = probe(%q, lambda e: n.add())
    p.detach()
`, many))
	if !errors.Is(err, runner.ErrInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadFile("/sys/kernel/debug/kprobes/list")
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("kprobes are left:\n%s", left)
	}
}

// The messages for what the kernel refuses.
func TestFunctionRefusals(t *testing.T) {
	needFunctions(t)
	notrace := "the kernel does not allow this function to be traced: it is notrace (not in available_filter_functions)"
	cases := []struct{ spec, want string }{
		{"kprobe:vfs_raed", `no probe "kprobe:vfs_raed": the kernel has no function "vfs_raed", or the compiler has inlined it (did you mean "kprobe:vfs_read", "kprobe:vcs_read" or "kprobe:vfs_readv"?)`},
		{"fentry:vfs_raed", `no probe "fentry:vfs_raed": the kernel has no function "vfs_raed", or the compiler has inlined it (did you mean "fentry:vfs_read", "fentry:vcs_read" or "fentry:vfs_readv"?)`},
		{"kprobe:sys_getppid", `no probe "kprobe:sys_getppid": the kernel has no function "sys_getppid", but one for the system call (did you mean "kprobe:__x64_sys_getppid"?)`},
		{"kprobe:no_such_function_*", `no probe "kprobe:no_such_function_*": no kernel function matches (bpfrepl -l lists them)`},
		{"kprobe:vfs_read+1", `attach to kprobe:vfs_read+0x1: the offset 0x1 is not at the start of an instruction`},
		{"kprobe:vfs_*+1", `probe "kprobe:vfs_*+1": an offset belongs to one function, not to a pattern`},
		{"kprobe:vfs_read+0xz", `probe "kprobe:vfs_read+0xz": "0xz" is not an offset (write bytes: kprobe:vfs_read+0x10)`},
		{"kretprobe:vfs_read+4", `probe "kretprobe:vfs_read+4": a return has no offset (write kretprobe:vfs_read)`},
		{"kprobe:exc_int3", `attach to kprobe:exc_int3: the kernel does not allow kprobes there: the function is on its blacklist (/sys/kernel/debug/kprobes/blacklist)`},
		{"kprobe:native_read_msr", "attach to kprobe:native_read_msr: " + notrace},
		{"fentry:__x64_sys_getppid", `no probe "fentry:__x64_sys_getppid": the kernel's type information (BTF) does not describe the function, which fentry needs (use kprobe:__x64_sys_getppid)`},
	}
	by := "fentry"
	if !atLeast(t, 6, 6) {
		by = "kprobe"
		cases = append(cases, struct{ spec, want string }{"fentry:alloc_htab_elem",
			`no probe "fentry:alloc_htab_elem": the function has 8 arguments, and kernels before 6.6 attach fentry to functions with at most 6 (use kprobe:alloc_htab_elem)`})
	}
	expect(t, `print(probe("function:alloc_htab_elem", lambda e: None).targets)`, fmt.Sprintf(`["%s:alloc_htab_elem"]`, by))
	for _, c := range cases {
		l := newLive(t, nil)
		if err := l.script(fmt.Sprintf(`print(attempt(lambda: probe(%q, lambda e: None)).error.message)`, c.spec)); err != nil {
			t.Fatal(l.FormatError(err))
		}
		if got := strings.TrimSpace(l.out.String()); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.spec, got, c.want)
		}
	}
	l := newLive(t, nil)
	if err := l.script(`print(attempt(lambda: probe("kprobe:vfs_read+0x100000", lambda e: None)).error.message)`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got := l.out.String(); !strings.HasPrefix(got, `probe "kprobe:vfs_read+0x100000": the offset 0x100000 is past the function's end: vfs_read has 0x`) {
		t.Error(got)
	}
}

// A kernel with neither kind says so, and why; with missing= and first= a script continues.
func TestNoFunctionProbes(t *testing.T) {
	if f, err := feature.Find("kprobe"); err != nil || f.Probe() == nil {
		return // TestFunctionRefusals covers kernels that have them
	}
	const noKprobes = "this kernel has no kprobes: it is built without CONFIG_KPROBE_EVENTS"
	const noFentry = "the kernel refuses to load fentry and fexit programs, although this process has the capabilities: a system policy forbids them"
	expect(t, `
h = lambda e: None
for spec in ["kprobe:vfs_read", "kretprobe:vfs_*", "fentry:vfs_read", "fexit:vfs_*", "function:vfs_read", "return:vfs_*"]:
    print(attempt(lambda: probe(spec, h)).error.message)
print(probe(["function:vfs_read", "tracepoint:syscalls:sys_enter_read"], h, first=True).targets)
print(probe(["function:vfs_read", "begin"], h, missing="ignore").targets)
`, `no probe "kprobe:vfs_read": `+noKprobes+` (use a tracepoint, which bpfrepl -l 'tracepoint:*' lists, or a kernel that has them)`,
		`no probe "kretprobe:vfs_*": `+noKprobes+` (use a tracepoint, which bpfrepl -l 'tracepoint:*' lists, or a kernel that has them)`,
		`no probe "fentry:vfs_read": `+noFentry+` (use a tracepoint, which bpfrepl -l 'tracepoint:*' lists, or a kernel that allows them)`,
		`no probe "fexit:vfs_*": `+noFentry+` (use a tracepoint, which bpfrepl -l 'tracepoint:*' lists, or a kernel that allows them)`,
		`no probe "function:vfs_read": no kind of function probe works here: fentry: `+noFentry+`; kprobe: `+noKprobes+` (use a tracepoint, which bpfrepl -l 'tracepoint:*' lists)`,
		`no probe "return:vfs_*": no kind of function probe works here: fexit: `+noFentry+`; kretprobe: `+noKprobes+` (use a tracepoint, which bpfrepl -l 'tracepoint:*' lists)`,
		`["tracepoint:syscalls:sys_enter_read"]`, `["begin"]`)
}

// Listing works on any kernel, and lists all functions in less than half a second of CPU time.
func TestListFunctions(t *testing.T) {
	for _, kind := range []string{"kprobe", "kretprobe", "fentry", "fexit", "function", "return"} {
		t0 := cputime.Used()
		text, err := kernelinfo.List(kind+":*", false)
		if err != nil {
			t.Fatal(err)
		}
		used := cputime.Used() - t0
		if n := strings.Count(text, "\n"); n < 10000 {
			t.Errorf("%s: %d functions", kind, n)
		}
		if !strings.Contains(text, "\n"+kind+":vfs_read\n") {
			t.Errorf("%s: no vfs_read", kind)
		}
		if used > 500*time.Millisecond && os.Getenv(buildbin.Folder) == "" { // an emulated machine is ten times slower
			t.Errorf("%s: listing took %v", kind, used)
		}
		text, err = kernelinfo.List(kind+":vfs_read", true)
		if err != nil {
			t.Fatal(err)
		}
		want := kind + ":vfs_read\n    struct file *file\n    char *buf\n    size_t count\n    loff_t *pos\n"
		switch kind {
		case "fexit":
			want += "    ssize_t ret\n"
		case "kretprobe", "return":
			want = kind + ":vfs_read\n    ssize_t ret\n"
		}
		if text != want {
			t.Errorf("%s: got\n%s\nwant\n%s", kind, text, want)
		}
	}
	for pattern, want := range map[string]string{
		"struct list_head": "struct list_head {\n\tstruct list_head *next; /* 0 */\n\tstruct list_head *prev; /* 8 */\n}; /* 16 bytes */\n",
		"enum pid_type":    "enum pid_type {\n\tPIDTYPE_PID = 0,\n\tPIDTYPE_TGID = 1,\n\tPIDTYPE_PGID = 2,\n\tPIDTYPE_SID = 3,\n\tPIDTYPE_MAX = 4,\n}; /* 4 bytes */\n",
		"typedef pid_t":    "typedef __kernel_pid_t pid_t;\n",
	} {
		text, err := kernelinfo.List(pattern, true)
		if err != nil {
			t.Fatal(err)
		}
		if text != want {
			t.Errorf("%s: got\n%s\nwant\n%s", pattern, text, want)
		}
	}
	for pattern, want := range map[string]string{
		"struct pid_type":    `no probe "struct pid_type": the kernel has no such type (did you mean "enum pid_type"?)`,
		"struct task_strukt": `no probe "struct task_strukt": the kernel has no such type (did you mean "struct task_struct"?)`,
	} {
		if _, err := kernelinfo.List(pattern, true); err == nil || !strings.HasPrefix(err.Error(), want[:len(want)-2]) {
			t.Errorf("%s: got %v\nwant %s", pattern, err, want)
		}
	}
	text, err := kernelinfo.List("struct sock", true)
	if err != nil || !strings.HasPrefix(text, "struct sock {\n\tstruct sock_common __sk_common; /* 0 */\n") {
		t.Errorf("struct sock: %v\n%.200s", err, text)
	}
}

// A kretprobe tracks a limited number of calls at a time. Further calls are counted as missed, and
// explained.
func TestKretprobeRoom(t *testing.T) {
	bpftest.Need(t, "kprobe")
	l := newLive(t, nil)
	if err := l.script(`
n = count()
p = probe("kretprobe:hrtimer_nanosleep", lambda e: n.add())
ps = [spawn(["` + loadBinary + `", "sleep", "500"]) for i in range(40)]
run(2)
p.detach()
print(n.value, p.stats().missed)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	t.Log(l.out.String())
	if text := l.err.String(); atLeast(t, 6, 7) && !strings.Contains(text, "maxactive") {
		t.Errorf("warnings: %s", text)
	}
}
