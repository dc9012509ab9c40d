package compiler

import "github.com/bpfrepl/bpfrepl/compiler/types"

// Host is what handlers can ask of the machine that they run on. It is asked when a handler is compiled, and only for what
// the handler uses: reading the kernel's symbols takes tens of milliseconds.
type Host interface {
	// KernelAddr gives the address of a kernel symbol.
	KernelAddr(name string) (uint64, error)
	// UserAddr gives the address of a symbol of a program; path is "" for the process that the script has started.
	UserAddr(symbol, path string) (uint64, error)
	// CgroupID gives the id of a cgroup by its path.
	CgroupID(path string) (uint64, error)
	// WallClock gives the nanoseconds between now(), which counts from the start of the machine, and the wall clock.
	WallClock() int64
}

// A HostError is a refusal with a hint.
type HostError struct{ Msg, Hint string }

func (e *HostError) Error() string { return e.Msg }

// ContextCaps is what the context of an event's program allows beyond reading its fields.
type ContextCaps struct {
	Registers bool // it begins with the registers of the CPU
	Override  bool // the function that it is at can be made to return at once
	OwnFrame  bool // the innermost frame of the kernel's stack is the program itself
}

// StackFrames is the most frames that a stack can have (the default of the sysctl kernel.perf_event_max_stack).
const StackFrames = 127

// The forms of the functions here. The names are rows of the host's table.
var (
	formKsym    = &types.Format{Name: "ksym", Noun: "kernel symbol"}
	formUsym    = &types.Format{Name: "usym", Noun: "user symbol"}
	formMAC     = &types.Format{Name: "mac", Noun: "hardware address"}
	formErrno   = &types.Format{Name: "errno", Noun: "error name"}
	formSyscall = &types.Format{Name: "syscall", Noun: "system call name"}
	formCgroup  = &types.Format{Name: "cgroup", Noun: "cgroup path"}
)
