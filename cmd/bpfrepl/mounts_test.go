package main

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// hidden runs bpfrepl in its own mount namespace, after a shell command that hides files there. It
// returns the output.
func hidden(t *testing.T, hide string, args ...string) string {
	t.Helper()
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"-c", "mount --make-rprivate / && " + hide + ` && exec "$@"`, "sh", bin}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

// TestMissingFiles checks the messages about files that the environment does not have.
func TestMissingFiles(t *testing.T) {
	const (
		noProc = "mount -t tmpfs tmpfs /proc"
		reason = "/proc has no proc file system, which tracing needs; as root: mount -t proc proc /proc\n"
		script = `probe("profile:hz:99", lambda e: None)`
	)
	for _, c := range []struct {
		name, hide string
		args       []string
		want       string
	}{
		{"timer without /proc", noProc, []string{"-e", script}, "error: <code>:1:6: " + reason + "    " + script + "\n         ^\n"},
		{"-p without /proc", noProc, []string{"-p", "1", "-e", script}, "error: -p: " + reason},
		{"-l without /proc", noProc, []string{"-l", "kprobe:vfs_*"}, "error: " + reason},
		{"no BTF", "mount --bind /dev/null /sys/kernel/btf/vmlinux", []string{"-e", `probe("rawtracepoint:sched_switch", lambda e: print(e.task.pid))`},
			`error: <code>:1:60: this needs the kernel's types: this kernel has no type information (BTF, /sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF, which distributions have enabled since 2021
    probe("rawtracepoint:sched_switch", lambda e: print(e.task.pid))
                                                               ^
`},
	} {
		if got := hidden(t, c.hide, c.args...); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	for _, c := range []struct{ name, hide, want string }{
		{"no /proc", noProc, "can trace: no: " + reason},
		{"BTF", "true", "btf                  yes  kernel types\n"},
		{"no BTF", "mount -t tmpfs tmpfs /sys/kernel/btf", "btf                  no   kernel types\n"},
		{"BTF is empty", "mount --bind /dev/null /sys/kernel/btf/vmlinux", "btf                  no   kernel types\n"},
	} {
		got := hidden(t, c.hide, "--info")
		if !strings.Contains(got, "\n"+c.want) {
			t.Errorf("--info, %s:\n%s\nwant %s", c.name, got, c.want)
		}
		if strings.Contains(got, "kprobe") == strings.Contains(c.want, "can trace: no") {
			t.Errorf("--info, %s:\n%s", c.name, got)
		}
	}
}
