// Command vminit is /init of a virtual machine that runs tests (see package vmtest). It mounts the
// kernel's file systems, runs the command that /payload/run.json describes, and resets the virtual
// machine, which ends it. The command's output goes to the second serial port, between an opening
// line and a closing line; the closing line reports the kernel release and the exit status.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spec is the contents of run.json.
type spec struct {
	Argv, Env []string
	Dir       string
}

func main() {
	out := os.Stdout
	status, err := 125, mountAll()
	if err == nil {
		out, err = payloadPort()
	}
	if err == nil {
		fmt.Fprintln(out, "@@vm begins@@")
		startBeats()
		status, err = run(out)
	}
	if err != nil {
		fmt.Fprintln(out, "vminit:", err)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		fmt.Fprintln(out, "vminit:", err)
	}
	fmt.Fprintf(out, "\n@@vm release=%s exit=%d@@\n", unix.ByteSliceToString(u.Release[:]), status)
	// Wait until the port has sent everything (tcdrain), and then for the device's own buffer.
	if err := unix.IoctlSetInt(int(out.Fd()), unix.TCSBRK, 1); err != nil {
		fmt.Fprintln(os.Stdout, "vminit: drain:", err)
	}
	time.Sleep(20 * time.Millisecond)
	// Without ACPI, power-off could only halt the virtual machine. QEMU runs with -no-reboot, so a
	// reset ends it.
	fmt.Fprintln(os.Stdout, "vminit: reset:", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

func mountAll() error {
	for _, m := range []struct{ typ, dst string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/dev/shm"}, {"devpts", "/dev/pts"},
		{"tracefs", "/sys/kernel/tracing"}, {"debugfs", "/sys/kernel/debug"}, {"bpf", "/sys/fs/bpf"}, {"cgroup2", "/sys/fs/cgroup"},
		{"securityfs", "/sys/kernel/security"},
	} {
		if err := os.MkdirAll(m.dst, 0o755); err != nil {
			return err
		}
		// The kernel may have mounted devtmpfs already.
		if err := unix.Mount(m.typ, m.dst, m.typ, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.dst, err)
		}
	}
	for link, dst := range map[string]string{"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(dst, link); err != nil {
			return err
		}
	}
	return errors.Join(accounts(), os.Chmod("/tmp", 0o1777), os.Setenv("PATH", "/payload"), os.Setenv("HOME", "/tmp"), loopbackUp(), allowFiles())
}

// allowFiles sets the limits of open files that systemd sets: 1,024, which a program may raise to
// 524,288. The kernel's own are 1,024 and 4,096.
func allowFiles() error {
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1024, Max: 524288})
}

// accounts writes the files with the names of users and groups. Root is the only one.
func accounts() error {
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile("/etc/passwd", []byte("root:x:0:0:root:/:/bin/false\n"), 0o644), os.WriteFile("/etc/group", []byte("root:x:0:\n"), 0o644))
}

// payloadPort opens the second serial port and makes it pass text through unchanged.
func payloadPort() (*os.File, error) {
	f, err := os.OpenFile("/dev/ttyS1", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return os.Stdout, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return f, err
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	t.Cflag = t.Cflag&^unix.CBAUD | unix.B115200 | unix.CLOCAL
	return f, unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	ifr, err := unix.NewIfreq("lo")
	if err == nil {
		ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
	}
	return errors.Join(err, unix.Close(fd))
}

func run(out *os.File) (status int, err error) {
	b, err := os.ReadFile("/payload/run.json")
	if err != nil {
		return 125, err
	}
	var s spec
	if err := json.Unmarshal(b, &s); err != nil {
		return 125, fmt.Errorf("run.json: %w", err)
	}
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	var xe *exec.ExitError
	if !errors.As(err, &xe) {
		if err != nil {
			return 127, err
		}
		return 0, nil
	}
	if ws := xe.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return xe.ExitCode(), nil
}
