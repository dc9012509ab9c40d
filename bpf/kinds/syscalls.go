package kinds

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
)

// The tracepoints of system calls, such as sys_enter_openat, are derived from two events that every
// system call passes, sys_enter and sys_exit. Attaching to hundreds of them takes one perf event
// each, and the kernel needs tens of milliseconds to release each one. A single program at the raw
// event that looks up its targets by system call number does the same work with one link.

// syscallRegs holds the offsets of a system call's registers in the kernel's struct pt_regs
// (arch/x86/include/asm/ptrace.h, arch/arm64/include/asm/ptrace.h).
type syscallRegs struct {
	number int
	args   [6]int
}

var syscallRegsOf = map[string]syscallRegs{
	"amd64": {120, [6]int{112, 104, 96, 56, 72, 64}}, // orig_ax; di, si, dx, r10, r8, r9
	"arm64": {280, [6]int{272, 8, 16, 24, 32, 40}},   // syscallno; orig_x0, x1 to x5
}

// syscallOf returns the event from which a system call tracepoint is derived, and the system call
// number.
func syscallOf(t bpf.Target) (event string, number int64, ok bool) {
	if t.Kind != tracepointProvider.Kind || t.Parts[0] != "syscalls" {
		return "", 0, false
	}
	for _, event := range []string{"sys_enter", "sys_exit"} {
		if name, found := strings.CutPrefix(t.Parts[1], event+"_"); found {
			number, ok = kernelnames.EventSyscall(name)
			return event, number, ok
		}
	}
	return "", 0, false
}

// ShareSyscalls splits ts into targets that share a program at sys_enter, targets that share one at
// sys_exit, and the others. Targets share a program if there are at least least of them and their
// system call numbers are known.
func ShareSyscalls(ts []bpf.Target, least int) (enter, exit, others []bpf.Target) {
	if _, ok := syscallRegsOf[runtime.GOARCH]; !ok {
		return nil, nil, ts
	}
	for _, t := range ts {
		switch event, _, ok := syscallOf(t); {
		case ok && event == "sys_enter":
			enter = append(enter, t)
		case ok:
			exit = append(exit, t)
		default:
			others = append(others, t)
		}
	}
	for _, list := range []*[]bpf.Target{&enter, &exit} {
		if len(*list) < least {
			others = append(others, *list...)
			*list = nil
		}
		for i := range *list {
			event, _, _ := syscallOf((*list)[i])
			(*list)[i].Payload = sharedEvent(event)
		}
	}
	return enter, exit, others
}

// Unshare undoes ShareSyscalls.
func Unshare(ts []bpf.Target) []bpf.Target {
	ts = slices.Clone(ts)
	for i := range ts {
		ts[i].Payload = nil
	}
	return ts
}

// A sharedEvent is the payload of a target that shares a program at a raw tracepoint, "sys_enter"
// or "sys_exit". It is "" for other targets.
type sharedEvent string

// schema returns what a program at the raw event can read of the event e, whose record
// contains the system call number followed by its arguments or its result. The context of the
// program is two words: the address of the registers, and the number (sys_enter) or the result
// (sys_exit).
func (event sharedEvent) schema(e *abi.Event) (*abi.Event, error) {
	const firstArg = 16 // in the record
	regs := syscallRegsOf[runtime.GOARCH]
	saved := func(f abi.Field, off int) abi.Field {
		if f.Kind == abi.FieldPointer && !strings.Contains(f.CType, "*") {
			f.CType = "void *"
		}
		f.Kind, f.At = abi.FieldMemory, abi.Address{Base: 0, Index: -1, Disp: int64(off), Kernel: true, Word: true}
		return f
	}
	out := &abi.Event{HasRet: e.HasRet}
	for _, f := range e.Fields {
		i := (f.Offset - firstArg) / 8
		switch {
		case f.Name == "__syscall_nr" && event == "sys_enter":
			f.Offset = 8
		case f.Name == "__syscall_nr":
			f = saved(f, regs.number)
		case event == "sys_exit" && f.Name == "ret":
			f.Offset = 8
		case event == "sys_enter" && f.Offset >= firstArg && i < len(regs.args):
			f = saved(f, regs.args[i])
		// The kernel's record also contains strings that the arguments point to, from 7.0 on.
		default:
			f = abi.Field{Name: f.Name, CType: f.CType, Kind: abi.FieldUnreadable, Why: f.Name + " is not an argument of the system call"}
		}
		if f.Name == "__syscall_nr" {
			number := f
			out.Number = &number
		}
		out.Fields = append(out.Fields, f)
	}
	if out.Number == nil {
		return nil, fmt.Errorf("the event has no system call number")
	}
	return out, nil
}

// prepareShared tells the programs of targets that share one from others.
func prepareShared(s *bpf.ProgramSpec) error {
	s.Multi = payload[sharedEvent](s.Targets[0]) != ""
	return nil
}

func attachSyscalls(ts []bpf.Target, _ []uint64, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
	o.Cookie = 0
	return attachRawTracepoint(ts[0], string(payload[sharedEvent](ts[0])), p, o)
}

// Syscalls is the array in which a shared program looks up its targets.
type Syscalls struct{ m *kmap.Map }

// NewSyscalls creates the array for targets that share a program. cookie returns the value that
// identifies a target; it must not be 0.
func NewSyscalls(ts []bpf.Target, cookie func(bpf.Target) uint64) (*Syscalls, error) {
	most := int64(0)
	for _, t := range ts {
		_, n, _ := syscallOf(t)
		most = max(most, n)
	}
	m, err := kmap.New(kmap.Spec{Name: "syscalls", Type: ebpf.Array, KeySize: 4, ValueSize: abi.SyscallSize, MaxEntries: uint32(most + 1)})
	if err != nil {
		return nil, err
	}
	s := &Syscalls{m}
	for _, t := range ts {
		_, n, _ := syscallOf(t)
		value := make([]byte, abi.SyscallSize)
		binary.NativeEndian.PutUint64(value[abi.SyscallCookie:], cookie(t))
		if err := m.Update(binary.NativeEndian.AppendUint32(nil, uint32(n)), value, 0); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return s, nil
}

// Map returns the array.
func (s *Syscalls) Map() *kmap.Map { return s.m }

// Close closes the array.
func (s *Syscalls) Close() error { return s.m.Close() }

// Runs returns the number of times that the program ran for its targets, if the program counts
// that. The program also runs for all other system calls, but exits at once.
func (s *Syscalls) Runs() (n uint64, err error) {
	snap, err := s.m.Snapshot(context.Background())
	if err != nil {
		return 0, err
	}
	for i := range snap.N {
		n += binary.NativeEndian.Uint64(snap.Value(i)[abi.SyscallRuns:])
	}
	return n, snap.Close()
}
