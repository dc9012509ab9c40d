package sys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Where tracefs belongs (Documentation/trace/ftrace.rst).
const (
	TracefsPath = "/sys/kernel/tracing"
	debugTracer = "/sys/kernel/debug/tracing"
)

// PrivilegeError says that the process may not trace.
type PrivilegeError struct {
	UID     int
	Missing []string // capabilities: "CAP_BPF"
	File    string   // what could not be opened for want of it, or ""
	For     string   // what needs more than tracing does, or ""
}

func (e *PrivilegeError) Error() string {
	if e.File != "" {
		return fmt.Sprintf("user %d may not read %s: that needs root, or CAP_DAC_READ_SEARCH beside CAP_BPF and CAP_PERFMON; run it with sudo", e.UID, e.File)
	}
	missing := strings.Join(e.Missing, " and ")
	if e.For != "" {
		return fmt.Sprintf("%s needs %s, which user %d lacks; run it with sudo", e.For, missing, e.UID)
	}
	if e.UID == 0 {
		return fmt.Sprintf("tracing needs CAP_BPF and CAP_PERFMON: root lacks %s here (a container?); run it with sudo on the host, or add the capabilities", missing)
	}
	return fmt.Sprintf("tracing needs root, or CAP_BPF and CAP_PERFMON: user %d lacks %s; run it with sudo", e.UID, missing)
}

// MountError says that a file system which tracing needs is missing.
type MountError struct {
	FSType, Path string
	Foreign      bool  // Path has a procfs, but that of processes among which this one is not
	Err          error // why it could not be mounted; nil where that was not tried
}

func (e *MountError) Error() string {
	command := fmt.Sprintf("mount -t %s %s %s", e.FSType, e.FSType, e.Path)
	if e.Foreign {
		return fmt.Sprintf("%s is that of another PID namespace, in which bpfrepl is no process; as root: %s", e.Path, command)
	}
	if e.Err == nil {
		return fmt.Sprintf("%s has no %s file system, which tracing needs; as root: %s", e.Path, e.FSType, command)
	}
	why := e.Err.Error()
	switch {
	case errors.Is(e.Err, unix.EPERM), errors.Is(e.Err, unix.EACCES):
		why = "this process lacks CAP_SYS_ADMIN"
	case errors.Is(e.Err, unix.ENODEV):
		why = "this kernel is built without it"
	case errors.Is(e.Err, unix.ENOENT):
		why = "there is no such directory"
	}
	return fmt.Sprintf("%s is not mounted and cannot be: %s; as root: %s", e.FSType, why, command)
}

func (e *MountError) Unwrap() error { return e.Err }

// Prepare makes the process fit to trace, or says in words why it cannot be: a *MountError without /proc or /sys, a
// *PrivilegeError without root or CAP_BPF and CAP_PERFMON. It costs a few system calls. It mounts nothing: the providers that
// read tracefs mount it, and that mount stays.
func Prepare() error {
	if err := CheckMounts(); err != nil {
		return err
	}
	if _, err := CheckPrivilege(); err != nil {
		return err
	}
	k, err := Running()
	if err != nil || k.AtLeast(5, 11) { // later kernels charge maps to the cgroup
		return err
	}
	return raiseLockedMemory()
}

// CheckMounts returns a *MountError where /proc or /sys is missing. Without them the kernel seems to lack most of what it has.
func CheckMounts() error {
	if !isMounted("/proc", unix.PROC_SUPER_MAGIC) {
		return &MountError{FSType: "proc", Path: "/proc"}
	}
	if _, err := os.Readlink("/proc/self"); err != nil {
		return &MountError{FSType: "proc", Path: "/proc", Foreign: true, Err: err}
	}
	if !isMounted("/sys", unix.SYSFS_MAGIC) {
		return &MountError{FSType: "sysfs", Path: "/sys"}
	}
	return nil
}

// raiseLockedMemory lifts the limit of locked memory, as far as it may. The library's rlimit package does this too, but probes
// the kernel when the process starts, which costs a millisecond.
func raiseLockedMemory() error {
	err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	// only CAP_SYS_RESOURCE goes beyond what was given; what that is too little for says so itself (lockedMemory)
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &l)
}

// LockedMemory gives the words for an EPERM that the limit of locked memory may be the cause of, or "".
func LockedMemory() string {
	var l unix.Rlimit
	if k, err := Running(); err != nil || k.AtLeast(5, 11) || unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) != nil || l.Cur == unix.RLIM_INFINITY {
		return ""
	}
	return fmt.Sprintf("it goes beyond the limit of locked memory, %d KiB, which kernels before 5.11 charge it to (raise it with ulimit -l, or run as root)", l.Cur>>10)
}

// CheckPrivilege says whether CAP_SYS_ADMIN is there, which stands for the others too.
func CheckPrivilege() (admin bool, err error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return false, fmt.Errorf("read capabilities: %w", err)
	}
	has := func(c int) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
	if has(unix.CAP_SYS_ADMIN) {
		return true, nil
	}
	var missing []string
	if !has(unix.CAP_BPF) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		missing = append(missing, "CAP_PERFMON")
	}
	if missing != nil {
		return false, &PrivilegeError{UID: os.Geteuid(), Missing: missing}
	}
	return false, nil
}

// Tracefs gives the directory of tracefs, and mounts it where it is missing.
func Tracefs() (string, error) {
	if isMounted(TracefsPath, unix.TRACEFS_MAGIC) {
		return TracefsPath, nil
	}
	if isMounted(debugTracer, unix.TRACEFS_MAGIC) {
		return debugTracer, nil
	}
	return TracefsPath, mount("tracefs", TracefsPath)
}

func isMounted(path string, magic int64) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && int64(st.Type) == magic
}

func mount(fstype, path string) error {
	if err := unix.Mount(fstype, path, fstype, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700"); err != nil {
		return &MountError{FSType: fstype, Path: path, Err: err}
	}
	return nil
}

// EventsDir gives tracefs's directory of events. A user who may not look into it gets a *PrivilegeError.
func EventsDir() (string, error) {
	root, err := Tracefs()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "events")
	if _, err := os.Stat(dir); err != nil {
		return "", ReadError(dir, err)
	}
	return dir, nil
}

// ReadError turns a refused read of one of the kernel's files into a *PrivilegeError.
func ReadError(file string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return &PrivilegeError{UID: os.Geteuid(), File: file}
	}
	return err
}
