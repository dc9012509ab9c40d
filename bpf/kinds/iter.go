package kinds

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var iterProvider = Provider{
	Kind: "iter", Alias: "it", Syntax: "iter:TYPE with the type task, task_file or task_vma",
	Doc:     "Runs once for each object of the given type that exists when it is attached; e.pid, e.tid, e.comm and e.task are those of the current task.",
	Example: "iter:task_file",
	minArgs: 1, maxArgs: 1,
	List: func(pattern string) ([]bpf.Target, error) {
		var out []bpf.Target
		for _, it := range iterators {
			out = append(out, filterTargets(pattern, newTarget("iter", it.name))...)
		}
		return out, nil
	},
	Resolve: resolveIter,
	Driver: bpf.Driver{
		PIDFilter:     filterInKernelIf((*sys.Kernel).HaveIterProcess),
		NamespacePIDs: "this kernel cannot limit iterators to a process when bpfrepl runs in a PID namespace; Linux 6.1 can",
		Event:         iterEvent,
		ProgramTypes:  only(ebpf.Tracing),
		Prepare: func(spec *bpf.ProgramSpec) error {
			name := spec.Targets[0].Parts[0]
			id, err := kbtf.KfuncID("bpf_iter_" + name)
			if err != nil {
				return err
			}
			spec.AttachType, spec.AttachTo, spec.AttachBTF = ebpf.AttachTraceIter, name, uint32(id)
			return nil
		},
		Attach: attachIter,
	},
}

// iterators are those of kernel/bpf/task_iter.c. The context of their programs consists of words:
// the iteration's metadata, the task, and then the item.
var iterators = []struct {
	name         string
	major, minor int // first kernel that has the iterator
	// guard is the offset of the word that is 0 in the last call, which marks the end of the
	// iteration.
	guard  int
	fields []abi.Field
}{
	{"task", 5, 8, 8, nil},
	{"task_file", 5, 8, 24, []abi.Field{
		{Name: "fd", CType: "u32", Kind: abi.FieldInt, Offset: 16, Size: 4},
		contextPointer("file", "struct file *", 24)}},
	{"task_vma", 5, 12, 16, []abi.Field{
		contextPointer("vma", "struct vm_area_struct *", 16)}},
}

// contextPointer returns a field that is a pointer to a kernel struct.
func contextPointer(name, ctype string, offset int) abi.Field {
	return abi.Field{Name: name, CType: ctype, Kind: abi.FieldMemory, Size: 8, At: abi.Address{Base: -1, Index: -1, Disp: int64(offset), Context: true, Kernel: true}}
}

func resolveIter(s Spec) ([]bpf.Target, error) {
	k, err := sys.Running()
	if err != nil {
		return nil, err
	}
	var out []bpf.Target
	var names []string
	e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no iterator %q", s.Args[0])}
	for _, it := range iterators {
		names = append(names, it.name)
		if !match(s.Args[0], it.name) {
			continue
		}
		if !k.AtLeast(it.major, it.minor) {
			e.Reason, e.Hint = fmt.Sprintf("the iterator %s needs Linux %d.%d; this is %s", it.name, it.major, it.minor, k.Release), "use iter:task"
			continue
		}
		out = append(out, newTarget("iter", it.name))
	}
	if out != nil {
		return out, nil
	}
	for _, n := range suggest.Nearest(s.Args[0], names, 3) {
		if e.Hint == "" {
			e.Suggestions = append(e.Suggestions, "iter:"+n)
		}
	}
	return nil, e
}

// iterEvent returns the fields of the iterator's current item. Fields of its task replace those of
// the running task, which is bpfrepl.
func iterEvent(t bpf.Target) (*abi.Event, error) {
	ev := &abi.Event{}
	of := func(structure, name, ctype string, word int, path ...string) (abi.Field, error) {
		off, size, err := kbtf.FieldOffset(structure, path...)
		return abi.Field{Name: name, CType: ctype, Kind: abi.FieldMemory, Size: size, Signed: ctype == "pid_t",
			At: abi.Address{Base: word, Index: -1, Disp: int64(off), Kernel: true}}, err
	}
	ev.Fields = append(ev.Fields, contextPointer("task", "struct task_struct *", 8))
	for _, it := range iterators {
		if it.name == t.Parts[0] {
			ev.NullGuard = it.guard
			ev.Fields = append(ev.Fields, it.fields...)
		}
	}
	var errs []error
	add := func(to *[]abi.Field, f abi.Field, err error) {
		*to = append(*to, f)
		errs = append(errs, err)
	}
	if t.Parts[0] == "task_vma" {
		for _, name := range []string{"start", "end", "flags"} {
			f, err := of("vm_area_struct", name, "unsigned long", 16, "vm_"+name)
			add(&ev.Fields, f, err)
		}
	}
	f, err := of("task_struct", "pid", "pid_t", 8, "tgid")
	add(&ev.Overrides, f, err)
	f, err = of("task_struct", "tid", "pid_t", 8, "pid")
	add(&ev.Overrides, f, err)
	f, err = of("task_struct", "comm", "char[16]", 8, "comm")
	f.Kind = abi.FieldMemoryString
	add(&ev.Overrides, f, err)
	ev.Overrides = append(ev.Overrides, contextPointer("task", "struct task_struct *", 8))
	for _, name := range []string{"uid", "gid", "ppid", "cgroup", "kstack", "ustack"} {
		ev.Overrides = append(ev.Overrides, abi.Field{Name: name, Kind: abi.FieldUnreadable,
			Why: fmt.Sprintf("e.%s in an iterator would be that of bpfrepl, not of the current task; read it from e.task", name)})
	}
	return ev, errors.Join(errs...)
}

// iterAttr is the argument of bpf(2) for BPF_LINK_CREATE with BPF_TRACE_ITER.
type iterAttr struct {
	prog, target uint32
	attachType   uint32
	flags        uint32
	info         unsafe.Pointer
	infoLen      uint32
	_            uint32
}

// iterTask limits an iterator to a thread, or to a process (6.1).
type iterTask struct{ tid, pid, pidFD uint32 }

// attachIter runs the program once over all items.
func attachIter(t bpf.Target, p *bpf.Program, o bpf.AttachOptions) (*bpf.Attachment, error) {
	attr := iterAttr{prog: uint32(p.Raw().FD()), attachType: uint32(ebpf.AttachTraceIter)}
	one := iterTask{pid: uint32(o.PID)}
	k, err := sys.Running()
	if err != nil {
		return nil, err
	}
	if o.PID != 0 && k.HaveIterProcess() {
		attr.info, attr.infoLen = unsafe.Pointer(&one), uint32(unsafe.Sizeof(one))
	}
	link, err := sys.BPF(sys.CmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&one)
	if err != nil {
		return nil, err
	}
	create := struct{ link, flags uint32 }{link: uint32(link)}
	it, err := sys.BPF(sys.CmdIterCreate, unsafe.Pointer(&create), unsafe.Sizeof(create))
	if err != nil {
		return nil, errors.Join(err, sys.CloseFD(int(link)))
	}
	err = errors.Join(drainIter(int(it)), sys.CloseFD(int(it)), sys.CloseFD(int(link)))
	if err != nil {
		return nil, fmt.Errorf("run over every %s: %w", t.Parts[0], err)
	}
	return &bpf.Attachment{Target: t}, nil
}

// drainIter reads an iterator to its end, which is what runs the program. After a number of items
// the kernel asks to be read again (EAGAIN).
func drainIter(fd int) error {
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return nil
		}
	}
}
