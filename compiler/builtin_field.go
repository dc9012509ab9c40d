package compiler

import (
	"math/big"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// An eventField is a builtin field of the handler's parameter. Each is one table row, used by the
// checker, the lowering and help.
type eventField struct {
	name  string
	doc   string
	t     *types.Type
	check func(c *checker, pos syntax.Position) expr // nil if every event has the field, with type t
	lower func(lw *lowerer) val
}

// eventFields returns the builtin fields of an event.
func eventFields() []eventField {
	pidTgid := func(lw *lowerer, high bool) val {
		return scalar(types.TNat, lw.taskID(high))
	}
	uidGid := func(lw *lowerer, high bool) val {
		return scalar(types.TNat, lw.half32(lw.pureCall(asm.FnGetCurrentUidGid), high))
	}
	fields := []eventField{
		{"pid", "process id (the kernel's tgid) of the running process", types.TNat, nil, func(lw *lowerer) val { return pidTgid(lw, true) }},
		{"tid", "thread id (the kernel's pid) of the running thread", types.TNat, nil, func(lw *lowerer) val { return pidTgid(lw, false) }},
		{"comm", "name of the running thread, at most 15 bytes", types.TCut(15), nil, nil},
		{"uid", "user id of the running process", types.TNat, nil, func(lw *lowerer) val { return uidGid(lw, false) }},
		{"gid", "group id of the running process", types.TNat, nil, func(lw *lowerer) val { return uidGid(lw, true) }},
		{"cpu", "number of the CPU that runs the handler", types.TNat, nil, func(lw *lowerer) val { return scalar(types.TNat, lw.pureCall(asm.FnGetSmpProcessorId)) }},
		{"time", "time of the event: nanoseconds since boot, excluding suspend (as now())", types.TNat, nil, func(lw *lowerer) val { return scalar(types.TNat, lw.call(asm.FnKtimeGetNs)) }},
		{"ppid", "process id of the parent", types.TInt, ppid, nil},
		{"compat", "whether a 32-bit system call is running; its number and arguments are those of the 32-bit ABI", types.TBool, (*checker).compat, func(lw *lowerer) val {
			return scalar(types.TBool, lw.compat())
		}},
		{"goid", "id of the running goroutine, in functions of Go programs; it stays the same when the goroutine moves between threads", types.TUint, goid, nil},
		{"cgroup", "id of the cgroup (version 2) of the running process", types.TID, nil, func(lw *lowerer) val { return scalar(types.TID, lw.pureCall(asm.FnGetCurrentCgroupId)) }},
		{"probe", "name of the probe that fired", types.TName, probeName, func(lw *lowerer) val {
			return scalar(types.TName, lw.half32(lw.cookie(), false))
		}},
		{"func", "name of the function, in function probes", types.TName, funcName, func(lw *lowerer) val {
			return scalar(types.TName, lw.half32(lw.cookie(), true))
		}},
		{"task", "the kernel's struct task_struct of the running thread: e.task.real_parent.comm", taskType, nil, (*lowerer).task},
		{"args", "arguments of the event; bpfrepl -lv lists their names and types", types.TArgs, eventArgs, nil},
		{"ret", "return value of the function or system call, in return probes", types.TInt, eventRet, nil},
	}
	return append(fields, stackFields()...)
}

// EventFields lists the name and the description of each builtin field of an event.
func EventFields() [][2]string {
	var out [][2]string
	for _, f := range rows.fields {
		out = append(out, [2]string{f.name, f.doc})
	}
	return out
}

func goid(c *checker, pos syntax.Position) expr {
	if c.req.Event.Goroutine == nil {
		return c.bad(pos, "write e.tid, the thread id", "%s is not at a function of a Go program: e.goid exists only in those", c.req.Name)
	}
	f, err := c.req.Event.Goroutine()
	if err != nil {
		return c.bad(pos, "", "the goroutine id cannot be read: %v", err)
	}
	return c.arg(&f, pos)
}

// ppid checks e.ppid, which is e.task.real_parent.tgid.
func ppid(c *checker, pos syntax.Position) expr {
	if c.req.Namespace != nil {
		return c.bad(pos, "e.task.real_parent.tgid is the parent's id in the initial namespace", "e.ppid is not available when bpfrepl runs in a PID namespace")
	}
	var x expr = &eField{node{taskType, pos}, "task"}
	for _, name := range []string{"real_parent", "tgid"} {
		if x = c.member(x, name, pos); x.typ().Kind == types.Invalid {
			return x
		}
		x.(*eMemRef).text = "e.ppid"
	}
	return x
}

func probeName(c *checker, pos syntax.Position) expr {
	return eventName(c, "probe", c.req.Event.Probe, pos)
}

func funcName(c *checker, pos syntax.Position) expr {
	if c.req.Event.Func == "" {
		return c.bad(pos, "use e.probe", "%s is not at a function: e.func exists in function probes only", c.req.Name)
	}
	return eventName(c, "func", c.req.Event.Func, pos)
}

// eventName returns the value of a field that is a name. It is a constant if the program serves a single
// probe.
func eventName(c *checker, field, name string, pos syntax.Position) expr {
	if !c.req.Event.Cookie {
		return &eConst{node{types.TName, pos}, new(big.Int).SetUint64(c.req.ProbeID(name))}
	}
	return &eField{node{types.TName, pos}, field}
}

func eventArgs(c *checker, pos syntax.Position) expr {
	if why := c.req.Event.noArgs(); why != "" {
		return c.bad(pos, "", "%s", why)
	}
	return &eStatic{node{types.TArgs, pos}, nil}
}

func eventRet(c *checker, pos syntax.Position) expr {
	if c.req.Event.Ret == nil {
		return c.bad(pos, "", "%s has no return value: e.ret exists in return probes only", c.req.Name)
	}
	return c.arg(c.req.Event.Ret, pos)
}

func stackFields() []eventField {
	field := func(name, doc string) eventField {
		t := stackType(name, abi.StackFrames)
		return eventField{name, doc, t, func(c *checker, pos syntax.Position) expr {
			stackContext(c, name)
			return &eField{node{t, pos}, name}
		}, func(lw *lowerer) val { return lw.stack(t, lw.b.Pos) }}
	}
	return []eventField{field("kstack", "the kernel's stack"), field("ustack", "the stack of the running process")}
}
