package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// asNobody runs bpfrepl as user 65534 with the given capabilities, and returns its output.
func asNobody(t *testing.T, caps []uintptr, args ...string) string {
	t.Helper()
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "nobody") // only the owner can access t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	exe := filepath.Join(dir, "bpfrepl")
	text, err := os.ReadFile(bin)
	if err == nil {
		err = os.WriteFile(exe, text, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: caps}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// What works with CAP_BPF and CAP_PERFMON alone, what needs CAP_DAC_READ_SEARCH to list tracefs,
// and what the kernel allows only with CAP_SYS_ADMIN. docs/privileges.md says the same.
func TestCapabilities(t *testing.T) {
	const script = `
c, names, values, lens = count(), count(), stats(), hist()
t, s = table(), stream()
def full(e):
    t[e.tid] = now()
    names.add(by=e.comm)
    values.add(e.pid)
    lens.add(t.pop(e.tid, 0))
    s.emit(pid=e.pid)
    print("")
def try_it(spec, handler):
    r = attempt(lambda: probe(spec, handler))
    print(spec, "yes" if r.ok else r.error.kind + ": " + r.error.message + "; " + r.error.hint)
for spec in SPECS:
    try_it(spec, lambda e: c.add())
try_it("interval:ms:20", full)
try_it("rawtracepoint:sched_switch", lambda e: names.add(by=e.args.prev.comm))
run(0.3)
print(c.value > 0, len(names) > 0, values.value.count > 0, s.emitted > 0)
r = attempt(lambda: attached()[0].stats())
print("stats", "yes" if r.ok else r.error.kind + ": " + r.error.message + "; " + r.error.hint)
`
	specs := []string{"begin", "end", "rawtracepoint:sys_enter", "uprobe:libc:getppid", "uretprobe:libc:getppid", "profile:hz:99", "interval:ms:10",
		"software:context-switches:1", "iter:task", "self:signal:SIGUSR1"}
	if kinds.Watchpoints() == nil { // the hardware has them
		specs = append(specs, "watchpoint:0x1000:8:w")
	}
	tracepoints := []string{"tracepoint:raw_syscalls:sys_enter", "tracepoint:syscalls:sys_enter_read", "tracepoint:sched:sched_switch"}
	secret := "privilege: user 65534 may not read /sys/kernel/tracing/events: that needs root, or CAP_DAC_READ_SEARCH beside CAP_BPF and CAP_PERFMON; run it with sudo"
	for _, c := range []struct {
		name               string
		caps               []uintptr
		tracepoints, stats string
	}{
		{"BPF and PERFMON", []uintptr{unix.CAP_BPF, unix.CAP_PERFMON}, secret, "privilege: measuring programs (stats(), --max-overhead) needs CAP_SYS_ADMIN, which user 65534 does not have; run it with sudo"},
		{"and DAC_READ_SEARCH", []uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_DAC_READ_SEARCH}, "yes", "privilege: measuring programs (stats(), --max-overhead) needs CAP_SYS_ADMIN, which user 65534 does not have; run it with sudo"},
		{"and SYS_ADMIN", []uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_DAC_READ_SEARCH, unix.CAP_SYS_ADMIN}, "yes", "yes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want, list []string
			for _, s := range specs {
				list = append(list, fmt.Sprintf("%q", s))
				want = append(want, s+" yes")
			}
			for _, s := range tracepoints {
				list = append(list, fmt.Sprintf("%q", s))
				want = append(want, s+" "+c.tracepoints)
			}
			want = append(want, "interval:ms:20 yes", "rawtracepoint:sched_switch yes", "True True True True", "stats "+c.stats)
			out := asNobody(t, c.caps, "--no-summary", "-e", strings.Replace(script, "SPECS", "["+strings.Join(list, ", ")+"]", 1))
			var got []string
			for line := range strings.Lines(out) {
				if line = strings.TrimSpace(line); line != "" { // skip the output of the handlers
					got = append(got, line)
				}
			}
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
		})
	}
}
