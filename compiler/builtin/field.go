package builtin

import (
	"math/big"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// An eventField is a builtin field of the handler's parameter. Each is one table row, used by the
// checker, the lowering and help.
type eventField struct {
	name  string
	doc   string
	t     *types.Type
	check func(c *check.Checker, pos syntax.Position) tree.Expr // nil if every event has the field, with type t
	lower func(lw *lower.Lowerer) lower.Val
}

// eventFields returns the builtin fields of an event.
func eventFields() []eventField {
	pidTgid := func(lw *lower.Lowerer, high bool) lower.Val {
		return lower.Scalar(types.TNat, lw.TaskID(high))
	}
	uidGid := func(lw *lower.Lowerer, high bool) lower.Val {
		return lower.Scalar(types.TNat, lw.Half32(lw.PureCall(asm.FnGetCurrentUidGid), high))
	}
	fields := []eventField{
		{"pid", "process id (the kernel's tgid) of the running process", types.TNat, nil, func(lw *lower.Lowerer) lower.Val { return pidTgid(lw, true) }},
		{"tid", "thread id (the kernel's pid) of the running thread", types.TNat, nil, func(lw *lower.Lowerer) lower.Val { return pidTgid(lw, false) }},
		{"comm", "name of the running thread, at most 15 bytes", types.TCut(15), nil, nil},
		{"uid", "user id of the running process", types.TNat, nil, func(lw *lower.Lowerer) lower.Val { return uidGid(lw, false) }},
		{"gid", "group id of the running process", types.TNat, nil, func(lw *lower.Lowerer) lower.Val { return uidGid(lw, true) }},
		{"cpu", "number of the CPU that runs the handler", types.TNat, nil, func(lw *lower.Lowerer) lower.Val {
			return lower.Scalar(types.TNat, lw.PureCall(asm.FnGetSmpProcessorId))
		}},
		{"time", "time of the event: nanoseconds since boot, excluding suspend (as now())", types.TNat, nil, func(lw *lower.Lowerer) lower.Val { return lower.Scalar(types.TNat, lw.Call(asm.FnKtimeGetNs)) }},
		{"ppid", "process id of the parent", types.TInt, ppid, nil},
		{"compat", "whether a 32-bit system call is running; its number and arguments are those of the 32-bit ABI", types.TBool, (*check.Checker).Compat, func(lw *lower.Lowerer) lower.Val {
			return lower.Scalar(types.TBool, lw.Compat())
		}},
		{"goid", "id of the running goroutine, in functions of Go programs; it stays the same when the goroutine moves between threads", types.TUint, goid, nil},
		{"cgroup", "id of the cgroup (version 2) of the running process", types.TID, nil, func(lw *lower.Lowerer) lower.Val {
			return lower.Scalar(types.TID, lw.PureCall(asm.FnGetCurrentCgroupId))
		}},
		{"probe", "name of the probe that fired", types.TName, probeName, func(lw *lower.Lowerer) lower.Val {
			return lower.Scalar(types.TName, lw.Half32(lw.Cookie(), false))
		}},
		{"func", "name of the function, in function probes", types.TName, funcName, func(lw *lower.Lowerer) lower.Val {
			return lower.Scalar(types.TName, lw.Half32(lw.Cookie(), true))
		}},
		{"task", "the kernel's struct task_struct of the running thread: e.task.real_parent.comm", tree.TaskType, nil, (*lower.Lowerer).TaskPointer},
		{"args", "arguments of the event; bpfrepl -lv lists their names and types", types.TArgs, eventArgs, nil},
		{"ret", "return value of the function or system call, in return probes", types.TInt, eventRet, nil},
	}
	return append(fields, stackFields()...)
}

func goid(c *check.Checker, pos syntax.Position) tree.Expr {
	if c.Req.Event.Goroutine == nil {
		return c.Bad(pos, "write e.tid, the thread id", "%s is not at a function of a Go program: e.goid exists only in those", c.Req.Name)
	}
	f, err := c.Req.Event.Goroutine()
	if err != nil {
		return c.Bad(pos, "", "the goroutine id cannot be read: %v", err)
	}
	return c.Arg(&f, pos)
}

// ppid checks e.ppid, which is e.task.real_parent.tgid.
func ppid(c *check.Checker, pos syntax.Position) tree.Expr {
	if c.Req.Namespace != nil {
		return c.Bad(pos, "e.task.real_parent.tgid is the parent's id in the initial namespace", "e.ppid is not available when bpfrepl runs in a PID namespace")
	}
	var x tree.Expr = &tree.FieldExpr{Node: tree.At(tree.TaskType, pos), Name: "task"}
	for _, name := range []string{"real_parent", "tgid"} {
		if x = c.Member(x, name, pos); x.Type().Kind == types.Invalid {
			return x
		}
		x.(*tree.MemExpr).Text = "e.ppid"
	}
	return x
}

func probeName(c *check.Checker, pos syntax.Position) tree.Expr {
	return eventName(c, "probe", c.Req.Event.Probe, pos)
}

func funcName(c *check.Checker, pos syntax.Position) tree.Expr {
	if c.Req.Event.Func == "" {
		return c.Bad(pos, "use e.probe", "%s is not at a function: e.func exists in function probes only", c.Req.Name)
	}
	return eventName(c, "func", c.Req.Event.Func, pos)
}

// eventName returns the value of a field that is a name. It is a constant if the program serves a
// single probe.
func eventName(c *check.Checker, field, name string, pos syntax.Position) tree.Expr {
	if !c.Req.Event.Cookie {
		return &tree.ConstExpr{Node: tree.At(types.TName, pos), Value: new(big.Int).SetUint64(c.Req.ProbeID(name))}
	}
	return &tree.FieldExpr{Node: tree.At(types.TName, pos), Name: field}
}

func eventArgs(c *check.Checker, pos syntax.Position) tree.Expr {
	if why := c.Req.Event.WhyNoArgs(); why != "" {
		return c.Bad(pos, "", "%s", why)
	}
	return &tree.StaticExpr{Node: tree.At(types.TArgs, pos), Entity: nil}
}

func eventRet(c *check.Checker, pos syntax.Position) tree.Expr {
	if c.Req.Event.Ret == nil {
		return c.Bad(pos, "", "%s has no return value: e.ret exists in return probes only", c.Req.Name)
	}
	return c.Arg(c.Req.Event.Ret, pos)
}

func stackFields() []eventField {
	field := func(name, doc string) eventField {
		t := stackType(name, abi.StackFrames)
		return eventField{name, doc, t, func(c *check.Checker, pos syntax.Position) tree.Expr {
			stackContext(c, name)
			return &tree.FieldExpr{Node: tree.At(t, pos), Name: name}
		}, func(lw *lower.Lowerer) lower.Val { return lw.Stack(t, lw.B.Pos) }}
	}
	return []eventField{field("kstack", "the kernel's stack"), field("ustack", "the stack of the running process")}
}
