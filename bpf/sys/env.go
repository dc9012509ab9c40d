package sys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount points of tracefs (Documentation/trace/ftrace.rst).
const (
	TracefsPath = "/sys/kernel/tracing"
	debugTracer = "/sys/kernel/debug/tracing"
)

// PrivilegeError reports that the process is not permitted to trace.
type PrivilegeError struct {
	UID     int
	Missing []string // names of capabilities, such as "CAP_BPF"
	File    string   // file that could not be opened, or ""
	For     string   // what requires more than tracing does, or ""
}

func (e *PrivilegeError) Error() string {
	if e.File != "" {
		return fmt.Sprintf("user %d may not read %s: that needs root, or CAP_DAC_READ_SEARCH beside CAP_BPF and CAP_PERFMON; run it with sudo", e.UID, e.File)
	}
	missing := strings.Join(e.Missing, " and ")
	if e.For != "" {
		return fmt.Sprintf("%s needs %s, which user %d does not have; run it with sudo", e.For, missing, e.UID)
	}
	if e.UID == 0 {
		return fmt.Sprintf("tracing needs CAP_BPF and CAP_PERFMON: root is missing %s here (a container?); run it with sudo on the host, or add the capabilities", missing)
	}
	return fmt.Sprintf("tracing needs root, or CAP_BPF and CAP_PERFMON: user %d is missing %s; run it with sudo", e.UID, missing)
}

// MountError reports that a file system that tracing needs is not mounted.
type MountError struct {
	FSType, Path string
	// Foreign reports that the procfs at Path belongs to a PID namespace that does not contain this
	// process.
	Foreign bool
	Err     error // why it could not be mounted; nil if that was not tried
}

func (e *MountError) Error() string {
	command := fmt.Sprintf("mount -t %s %s %s", e.FSType, e.FSType, e.Path)
	if e.Foreign {
		return fmt.Sprintf("%s belongs to another PID namespace, in which bpfrepl has no process ID; as root: %s", e.Path, command)
	}
	if e.Err == nil {
		return fmt.Sprintf("%s has no %s file system, which tracing needs; as root: %s", e.Path, e.FSType, command)
	}
	why := e.Err.Error()
	switch {
	case errors.Is(e.Err, unix.EPERM), errors.Is(e.Err, unix.EACCES):
		why = "this process is missing CAP_SYS_ADMIN"
	case errors.Is(e.Err, unix.ENODEV):
		why = "this kernel is built without it"
	case errors.Is(e.Err, unix.ENOENT):
		why = "no such directory"
	}
	return fmt.Sprintf("%s is not mounted and cannot be: %s; as root: %s", e.FSType, why, command)
}

func (e *MountError) Unwrap() error { return e.Err }

// Prepare prepares the process for tracing. The error is a *MountError if /proc or /sys is missing,
// and a *PrivilegeError without root or CAP_BPF and CAP_PERFMON. Prepare takes a few system calls
// and mounts nothing. The providers that read tracefs mount it if necessary, and that mount stays.
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

// CheckMounts returns a *MountError if /proc or /sys is missing. Without them the kernel appears to
// lack most features.
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

// raiseLockedMemory raises the limit of locked memory as far as permitted. The rlimit package of
// cilium/ebpf does this too, but it probes the kernel at process start, which takes a millisecond.
func raiseLockedMemory() error {
	err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	// Only CAP_SYS_RESOURCE may exceed the hard limit. An operation for which that is too little
	// reports it (LockedMemory).
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &l)
}

// LockedMemory returns an explanation for EPERM if the limit of locked memory may have caused it,
// or "".
func LockedMemory() string {
	var l unix.Rlimit
	if k, err := Running(); err != nil || k.AtLeast(5, 11) || unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) != nil || l.Cur == unix.RLIM_INFINITY {
		return ""
	}
	return fmt.Sprintf("it exceeds the locked memory limit of %d KiB, to which kernels before 5.11 charge maps and programs (raise it with ulimit -l, or run as root)", l.Cur>>10)
}

// CheckPrivilege checks whether the process may trace. admin reports whether it has CAP_SYS_ADMIN,
// which includes the other capabilities. If capabilities are missing, the error is a
// *PrivilegeError.
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

// Tracefs returns the directory of tracefs, and mounts it if it is not mounted. The error is a
// *MountError.
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

// EventsDir returns the events directory of tracefs. The error is a *PrivilegeError if the user may
// not read it.
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

// ReadError converts a permission error for a kernel file to a *PrivilegeError. It returns other
// errors unchanged.
func ReadError(file string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return &PrivilegeError{UID: os.Geteuid(), File: file}
	}
	return err
}
