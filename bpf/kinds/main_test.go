package kinds

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

// Some tests need a process with other privileges or mounts. They run this binary again, which does
// one task and prints the result.
const taskVariable = "BPF_TEST_TASK"

var tasks = map[string]func() error{
	"prepare": sys.Prepare,
	"formats": func() error { _, err := Resolve("tracepoint:sched:sched_switch"); return err },
	"program": func() error { _, err := Resolve("uprobe:/proc/1/exe:main"); return err },
	// without its mounts, in a separate mount namespace
	"tracefs unmounted": func() error {
		if err := unmountTracefs(); err != nil {
			return err
		}
		if _, err := sys.Tracefs(); err != nil {
			return err
		}
		_, err := Resolve("tracepoint:sched:sched_switch")
		return err
	},
	"proc unmounted": func() error { return hidden("/proc", "tmpfs", sys.Prepare) },
	"sys unmounted":  func() error { return hidden("/sys", "tmpfs", sys.Prepare) },
	"proc unmounted, list": func() error {
		return hidden("/proc", "tmpfs", func() error { _, err := List("kprobe:vfs_*"); return err })
	},
	"proc mounted": func() error { return hidden("/proc", "proc", func() error { return nil }) },
	"proc of others": func() error {
		other := exec.Command("/proc/self/exe")
		other.Env = append(os.Environ(), taskVariable+"=proc mounted")
		other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		if out, err := other.CombinedOutput(); err != nil || string(out) != "ok" {
			return fmt.Errorf("%v: %s", err, out)
		}
		return sys.Prepare()
	},
	"bpffs unmounted": func() error {
		return hidden("/sys/fs", "tmpfs", func() error { // the directory /sys/fs/bpf does not exist
			before, err := os.ReadFile("/proc/self/mounts")
			after, err2 := []byte(nil), sys.Prepare()
			if err == nil && err2 == nil {
				after, err = os.ReadFile("/proc/self/mounts")
			}
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			if string(after) != string(before) {
				return fmt.Errorf("mounts before:\n%s\nand after:\n%s", before, after)
			}
			return nil
		})
	},
	"no BTF": func() error {
		return hidden("/sys/kernel/btf", "tmpfs", func() error { _, err := kbtf.Kernel(); return err })
	},
	"tracefs unmounted, no right to mount": func() error {
		if err := errors.Join(unmountTracefs(), dropToBPF()); err != nil {
			return err
		}
		_, err := Resolve("tracepoint:sched:sched_switch")
		return err
	},
}

// hidden calls fn while another file system hides the contents of path.
func hidden(path, fstype string, fn func() error) error {
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""), unix.Mount(fstype, path, fstype, 0, "")); err != nil {
		return err
	}
	return fn()
}

// unmount removes a mount, and any mounts that it hides.
func unmount(path string) error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	for unix.Unmount(path, unix.MNT_DETACH) == nil {
	}
	return nil
}

// unmountTracefs also unmounts debugfs, through which tracefs can be reached too.
func unmountTracefs() error {
	return errors.Join(unmount("/sys/kernel/debug"), unmount(sys.TracefsPath))
}

// dropToBPF drops all capabilities except CAP_BPF and CAP_PERFMON.
func dropToBPF() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for _, c := range []int{unix.CAP_BPF, unix.CAP_PERFMON} {
		data[c/32].Effective |= 1 << (c % 32)
		data[c/32].Permitted |= 1 << (c % 32)
	}
	return unix.Capset(&head, &data[0])
}

func TestMain(m *testing.M) {
	if name := os.Getenv(taskVariable); name != "" {
		if err := tasks[name](); err != nil {
			fmt.Print(err)
			os.Exit(0)
		}
		fmt.Print("ok")
		os.Exit(0)
	}
	os.Exit(leakcheck.Prepared(m, sys.Prepare, buildbin.Clean))
}

// task runs a task in a separate process and returns its output.
func task(t *testing.T, name string, attr *syscall.SysProcAttr) string {
	t.Helper()
	if tasks[name] == nil {
		t.Fatalf("no task %q", name)
	}
	exe := "/proc/self/exe"
	if attr.Credential != nil { // a user who cannot read the test's directory gets a copy
		exe = copyOfSelf(t)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), taskVariable+"="+name)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func copyOfSelf(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "bpf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe := dir + "/test"
	if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return exe
}

var nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

func TestPrivileges(t *testing.T) {
	expect.Text(t, "not root", task(t, "prepare", &syscall.SysProcAttr{Credential: nobody}),
		"tracing needs root, or CAP_BPF and CAP_PERFMON: user 65534 is missing CAP_BPF and CAP_PERFMON; run it with sudo")
	expect.Text(t, "one capability of two", task(t, "prepare", &syscall.SysProcAttr{Credential: nobody, AmbientCaps: []uintptr{unix.CAP_BPF}}),
		"tracing needs root, or CAP_BPF and CAP_PERFMON: user 65534 is missing CAP_PERFMON; run it with sudo")
	expect.Text(t, "both capabilities", task(t, "prepare", &syscall.SysProcAttr{Credential: nobody, AmbientCaps: []uintptr{unix.CAP_BPF, unix.CAP_PERFMON}}), "ok")
}

func TestMounts(t *testing.T) {
	apart := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	expect.Text(t, "tracefs is mounted when it is missing", task(t, "tracefs unmounted", apart), "ok")
	expect.Text(t, "bpffs is neither needed nor mounted", task(t, "bpffs unmounted", apart), "ok")
	noProc := "/proc has no proc file system, which tracing needs; as root: mount -t proc proc /proc"
	expect.Text(t, "no /proc", task(t, "proc unmounted", apart), noProc)
	expect.Text(t, "no /proc, list", task(t, "proc unmounted, list", apart), noProc)
	expect.Text(t, "/proc of another PID namespace", task(t, "proc of others", apart),
		"/proc belongs to another PID namespace, in which bpfrepl has no process ID; as root: mount -t proc proc /proc")
	expect.Text(t, "no /sys", task(t, "sys unmounted", apart), "/sys has no sysfs file system, which tracing needs; as root: mount -t sysfs sysfs /sys")
	expect.Text(t, "tracefs missing and not to be mounted", task(t, "tracefs unmounted, no right to mount", apart),
		"tracefs is not mounted and cannot be: this process is missing CAP_SYS_ADMIN; as root: mount -t tracefs tracefs /sys/kernel/tracing")
	expect.Text(t, "no BTF", task(t, "no BTF", apart),
		"this kernel has no type information (BTF, /sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF, which distributions have enabled since 2021")
	expect.Text(t, "tracefs that only root can read", task(t, "formats", &syscall.SysProcAttr{Credential: nobody, AmbientCaps: []uintptr{unix.CAP_BPF, unix.CAP_PERFMON}}),
		"user 65534 may not read /sys/kernel/tracing/events: that needs root, or CAP_DAC_READ_SEARCH beside CAP_BPF and CAP_PERFMON; run it with sudo")
}
