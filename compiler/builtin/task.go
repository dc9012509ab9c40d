package builtin

import (
	"fmt"
	"math/big"
	"runtime"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// taskBuiltins returns the builtins about the running task: its cgroup, its registers, and actions
// on it.
func taskBuiltins() []builtin {
	return []builtin{
		{
			name:    "cgroup_path",
			sig:     "cgroup_path(id=None)",
			doc:     "the path of a cgroup (version 2), by default that of the running process",
			example: "calls.add(by=cgroup_path())",
			check:   checkCgroupPath,
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(e.T, lw.Value(e.Args[0]).W)
			},
			host: hostCgroup,
		},
		{
			name:    "signal",
			sig:     "signal(sig)",
			doc:     `send a signal to the running process, by number or name; needs --unsafe`,
			example: `if e.comm == "runaway": signal("SIGSTOP")`,
			check:   checkSignal,
			lower:   lowerSignal,
			host:    hostSignal,
		},
		{
			name:    "reg",
			sig:     "reg(name)",
			doc:     `a CPU register, in function and timer probes: "ip", "sp", "rax", "x0"`,
			example: `where.add(by=ksym(reg("ip")))`,
			probe:   "profile:hz:99",
			check:   checkReg,
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(types.TUint, lw.B.Load(lw.B.Add(ir.OpCtx), e.Aux.(int), 8, false))
			},
			host: hostReg,
		},
		{
			name:    "override",
			sig:     "override(ret)",
			doc:     "make the probed function return ret without running it; needs --unsafe",
			example: "override(-12)",
			probe:   "kprobe:should_failslab",
			check:   checkOverride,
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				lw.Call(asm.FnOverrideReturn, lw.B.Add(ir.OpCtx), lw.Value(e.Args[0]).W)
				return lower.Val{T: types.TNone}
			},
			host: hostOverride,
		},
		{
			name:    "deny",
			sig:     "deny(errno)",
			doc:     "in lsm probes: make the kernel refuse the operation with an error; needs --unsafe",
			example: `if e.comm == "untrusted": deny("EACCES")`,
			probe:   "lsm:file_open",
			check:   checkDeny,
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				lw.B.Write(lw.Denied, lw.Value(e.Args[0]).W)
				return lower.Val{T: types.TNone}
			},
			host: hostDeny,
		},
	}
}

func checkCgroupPath(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	t := types.TCgroup
	if args[0] == nil {
		return mk(row, call, t, []tree.Expr{&tree.FieldExpr{Node: tree.At(types.TID, call.Lparen), Name: "cgroup"}})
	}
	x := c.WantInt(args[0], "the id of the cgroup")
	if x.Type().Kind == types.Invalid {
		return x
	}
	return mk(row, call, t, []tree.Expr{x})
}

func checkSignal(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := args[0]
	if k, ok := x.(*tree.ConstExpr); ok && k.T.Kind == types.Str {
		name := k.Value.(string)
		n, ok := kernelnames.Signal(name)
		if !ok {
			return c.Bad(k.Pos, check.DidYouMean(name, kernelnames.Signals()), "%q is not a signal", name)
		}
		x = tree.IntConst(n, k.Pos)
	}
	x = c.WantInt(x, "the signal")
	switch k, ok := x.(*tree.ConstExpr); {
	case x.Type().Kind == types.Invalid:
		return x
	case ok && (!tree.SmallConst(k) || tree.Word(k.Value) < 1 || tree.Word(k.Value) > 64):
		return c.Bad(k.Pos, "", "signals are numbered from 1 to 64")
	case !c.Req.Unsafe:
		return c.Bad(call.Lparen, unsafeHint, "signal() changes what other processes do")
	}
	return mk(row, call, types.TNone, []tree.Expr{x})
}

func lowerSignal(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
	b := lw.B
	sig := lw.Value(e.Args[0]).W
	b.Pos = e.Pos
	r := lw.Call(asm.FnSendSignal, sig)
	failed, done := b.Block("unsent"), b.Block("")
	failed.Cold = true
	b.If(ir.NE, r, b.Const(0), failed, done)
	b.Continue(failed)
	lw.Fail(lower.Site{Pos: e.Pos, Helper: "send_signal", Op: "signal"}, r)
	b.Jump(done)
	b.Continue(done)
	return lower.Val{T: types.TNone}
}

// registers has the offset of each saved register in struct pt_regs, by architecture
// (arch/x86/include/uapi/asm/ptrace.h, arch/arm64/include/uapi/asm/ptrace.h). Both have "ip" and
// "sp".
var registers = map[string]map[string]int{
	"amd64": {"r15": 0, "r14": 8, "r13": 16, "r12": 24, "rbp": 32, "rbx": 40, "r11": 48, "r10": 56, "r9": 64, "r8": 72, "rax": 80, "rcx": 88,
		"rdx": 96, "rsi": 104, "rdi": 112, "orig_rax": 120, "rip": 128, "ip": 128, "cs": 136, "rflags": 144, "rsp": 152, "sp": 152, "ss": 160},
	"arm64": {"x0": 0, "x1": 8, "x2": 16, "x3": 24, "x4": 32, "x5": 40, "x6": 48, "x7": 56, "x8": 64, "x9": 72, "x10": 80, "x11": 88, "x12": 96,
		"x13": 104, "x14": 112, "x15": 120, "x16": 128, "x17": 136, "x18": 144, "x19": 152, "x20": 160, "x21": 168, "x22": 176, "x23": 184, "x24": 192,
		"x25": 200, "x26": 208, "x27": 216, "x28": 224, "x29": 232, "x30": 240, "lr": 240, "sp": 248, "pc": 256, "ip": 256, "pstate": 264},
}

func checkReg(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	name, ok := c.ConstString(args[0], "the name of the register")
	if !ok {
		return tree.Invalid(call.Lparen)
	}
	regs := registers[runtime.GOARCH]
	off, ok := regs[name]
	if !ok {
		var names []string
		for n := range regs {
			names = append(names, n)
		}
		return c.Bad(args[0].Position(), check.DidYouMean(name, names), "this CPU has no register %q", name)
	}
	if !c.Req.Event.Context.Registers {
		return c.Bad(call.Lparen, "registers are available in kprobe, uprobe, profile and similar probes", "%s has no registers", c.Req.Name)
	}
	c.Facts.ReadsContext = true
	e := mk(row, call, types.TUint, nil)
	e.Aux = off
	return e
}

func checkOverride(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := c.WantInt(args[0], "the value to return")
	switch {
	case x.Type().Kind == types.Invalid:
		return x
	case !c.Req.Unsafe:
		return c.Bad(call.Lparen, unsafeHint, "override() changes what the kernel does")
	case !c.Req.Event.Context.Override:
		return c.Bad(call.Lparen, "probe the function with kprobe:NAME", "override() works only in a kprobe at function entry, not in %s", c.Req.Name)
	}
	c.Facts.ReadsContext = true
	return mk(row, call, types.TNone, []tree.Expr{x})
}

func hostCgroup(h *hostCall) (any, error) {
	id := h.args[0]
	if !h.given(0) {
		var err error
		if id, err = h.EventField("cgroup"); err != nil {
			return nil, err
		}
	}
	n, ok := h.Const(id).(*big.Int)
	if !ok {
		return nil, fmt.Errorf("cgroup_path: the ID must be a number, got %s", h.TypeName(id))
	}
	return formatted(types.TCgroup, uint64(tree.Word(n))), nil
}

// hostSignal checks the arguments and sends nothing: the process that an event names need not
// exist.
func hostSignal(h *hostCall) (any, error) {
	switch sig := h.Const(h.args[0]).(type) {
	case string:
		if _, ok := kernelnames.Signal(sig); !ok {
			near := ""
			if names := suggest.Nearest(sig, kernelnames.Signals(), 1); len(names) > 0 {
				near = fmt.Sprintf(" (did you mean %s?)", names[0])
			}
			return nil, fmt.Errorf("signal: %s is not a signal%s", syntax.Quote(sig, false), near)
		}
	case *big.Int:
		if n := tree.Word(sig); n < 1 || n > 64 {
			return nil, fmt.Errorf("signal: signals are numbered from 1 to 64, got %s", sig)
		}
	default:
		return nil, fmt.Errorf("signal: got %s, want a number or a name", h.TypeName(h.args[0]))
	}
	return nil, h.needsUnsafe("changes what other processes do")
}

// hostReg returns a register that the event was given: event(regs={"ip": 4096}).
func hostReg(h *hostCall) (any, error) {
	name := h.text(0)
	v, ok, err := h.Register(name)
	if err != nil || ok {
		return v, err
	}
	q := syntax.Quote(name, false)
	return nil, fmt.Errorf("reg: this event has no register %s: write event(regs={%s: ...})", q, q)
}

// checkDeny accepts only constants, because what a program may return is limited: the kernel takes
// any other value for a pointer.
func checkDeny(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := args[0]
	k, ok := x.(*tree.ConstExpr)
	switch {
	case x.Type().Kind == types.Invalid:
		return x
	case !ok:
		return c.Bad(x.Position(), `write deny("EPERM")`, "the error must be a constant")
	case k.T.Kind == types.Str:
		n, ok := kernelnames.ErrnoOf(k.Value.(string))
		if !ok {
			return c.Bad(k.Pos, check.DidYouMean(k.Value.(string), kernelnames.Errnos()), "%q is not an error", k.Value)
		}
		k = tree.IntConst(n, k.Pos)
	}
	x = c.WantInt(k, "the error")
	switch {
	case x.Type().Kind == types.Invalid:
		return x
	case !tree.SmallConst(k) || tree.Word(k.Value) < 1 || tree.Word(k.Value) > lower.MaxErrno:
		return c.Bad(k.Pos, `write deny("EPERM")`, "errors are numbered from 1 to %d", lower.MaxErrno)
	case !c.Req.Unsafe:
		return c.Bad(call.Lparen, unsafeHint, "deny() changes what the kernel does")
	case !c.Req.Event.Verdict:
		return c.Bad(call.Lparen, "probe a security hook with lsm:HOOK", "deny() works only in lsm probes whose hook can refuse, not in %s", c.Req.Name)
	}
	c.Facts.Denies, c.Facts.ReadsFields = true, true // not every hook that a program could serve can refuse
	return mk(row, call, types.TNone, []tree.Expr{x})
}

// hostDeny checks the arguments and does nothing: there is no operation to refuse.
func hostDeny(h *hostCall) (any, error) {
	switch e := h.Const(h.args[0]).(type) {
	case string:
		if _, ok := kernelnames.ErrnoOf(e); !ok {
			return nil, fmt.Errorf("deny: %s is not an error", syntax.Quote(e, false))
		}
	case *big.Int:
		if n := tree.Word(e); n < 1 || n > lower.MaxErrno {
			return nil, fmt.Errorf("deny: errors are numbered from 1 to %d, got %s", lower.MaxErrno, e)
		}
	default:
		h.wrong(0, "got %s, want int or string", h.TypeName(h.args[0]))
	}
	return nil, h.needsUnsafe("changes what the kernel does")
}

// hostOverride checks the arguments and does nothing: there is no function call whose result it
// could change.
func hostOverride(h *hostCall) (any, error) {
	h.number(0)
	return nil, h.needsUnsafe("changes what the kernel does")
}
