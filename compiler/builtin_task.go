package compiler

import (
	"fmt"
	"math/big"
	"runtime"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
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
			lower:   func(lw *lowerer, e *eBuiltin) val { return scalar(e.t, lw.value(e.args[0]).w) },
			host:    hostCgroup,
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
			lower: func(lw *lowerer, e *eBuiltin) val {
				return scalar(types.TUint, lw.b.Load(lw.b.Add(ir.OpCtx), e.aux.(int), 8, false))
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
			lower: func(lw *lowerer, e *eBuiltin) val {
				lw.call(asm.FnOverrideReturn, lw.b.Add(ir.OpCtx), lw.value(e.args[0]).w)
				return val{t: types.TNone}
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
			lower: func(lw *lowerer, e *eBuiltin) val {
				lw.b.Write(lw.denied, lw.value(e.args[0]).w)
				return val{t: types.TNone}
			},
			host: hostDeny,
		},
	}
}

func checkCgroupPath(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	t := types.TCgroup
	if args[0] == nil {
		return mk(row, call, t, []expr{&eField{node{types.TID, call.Lparen}, "cgroup"}})
	}
	x := c.wantInt(args[0], "the id of the cgroup")
	if x.typ().Kind == types.Invalid {
		return x
	}
	return mk(row, call, t, []expr{x})
}

// unsafeHint is the hint for builtins that act on other processes or the kernel.
const unsafeHint = "to allow it, start bpfrepl with --unsafe"

func checkSignal(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := args[0]
	if k, ok := x.(*eConst); ok && k.t.Kind == types.Str {
		name := k.v.(string)
		n, ok := kernelnames.Signal(name)
		if !ok {
			return c.bad(k.pos, didYouMean(name, kernelnames.Signals()), "%q is not a signal", name)
		}
		x = intConst(n, k.pos)
	}
	x = c.wantInt(x, "the signal")
	switch k, ok := x.(*eConst); {
	case x.typ().Kind == types.Invalid:
		return x
	case ok && (!smallConst(k) || word(k.v) < 1 || word(k.v) > 64):
		return c.bad(k.pos, "", "signals are numbered from 1 to 64")
	case !c.req.Unsafe:
		return c.bad(call.Lparen, unsafeHint, "signal() changes what other processes do")
	}
	return mk(row, call, types.TNone, []expr{x})
}

func lowerSignal(lw *lowerer, e *eBuiltin) val {
	b := lw.b
	sig := lw.value(e.args[0]).w
	b.Pos = e.pos
	r := lw.call(asm.FnSendSignal, sig)
	failed, done := b.Block("unsent"), b.Block("")
	failed.Cold = true
	b.If(ir.NE, r, b.Const(0), failed, done)
	b.Continue(failed)
	lw.fail(Site{Pos: e.pos, Helper: "send_signal", Op: "signal"}, r)
	b.Jump(done)
	b.Continue(done)
	return val{t: types.TNone}
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

func checkReg(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	name, ok := c.constString(args[0], "the name of the register")
	if !ok {
		return invalid(call.Lparen)
	}
	regs := registers[runtime.GOARCH]
	off, ok := regs[name]
	if !ok {
		var names []string
		for n := range regs {
			names = append(names, n)
		}
		return c.bad(args[0].position(), didYouMean(name, names), "this CPU has no register %q", name)
	}
	if !c.req.Event.Context.Registers {
		return c.bad(call.Lparen, "registers are available in kprobe, uprobe, profile and similar probes", "%s has no registers", c.req.Name)
	}
	c.facts.ReadsContext = true
	e := mk(row, call, types.TUint, nil)
	e.aux = off
	return e
}

func checkOverride(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := c.wantInt(args[0], "the value to return")
	switch {
	case x.typ().Kind == types.Invalid:
		return x
	case !c.req.Unsafe:
		return c.bad(call.Lparen, unsafeHint, "override() changes what the kernel does")
	case !c.req.Event.Context.Override:
		return c.bad(call.Lparen, "probe the function with kprobe:NAME", "override() works only in a kprobe at function entry, not in %s", c.req.Name)
	}
	c.facts.ReadsContext = true
	return mk(row, call, types.TNone, []expr{x})
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
	return formatted(types.TCgroup, uint64(word(n))), nil
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
		if n := word(sig); n < 1 || n > 64 {
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
func checkDeny(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := args[0]
	k, ok := x.(*eConst)
	switch {
	case x.typ().Kind == types.Invalid:
		return x
	case !ok:
		return c.bad(x.position(), `write deny("EPERM")`, "the error must be a constant")
	case k.t.Kind == types.Str:
		n, ok := kernelnames.ErrnoOf(k.v.(string))
		if !ok {
			return c.bad(k.pos, didYouMean(k.v.(string), kernelnames.Errnos()), "%q is not an error", k.v)
		}
		k = intConst(n, k.pos)
	}
	x = c.wantInt(k, "the error")
	switch {
	case x.typ().Kind == types.Invalid:
		return x
	case !smallConst(k) || word(k.v) < 1 || word(k.v) > maxErrno:
		return c.bad(k.pos, `write deny("EPERM")`, "errors are numbered from 1 to %d", maxErrno)
	case !c.req.Unsafe:
		return c.bad(call.Lparen, unsafeHint, "deny() changes what the kernel does")
	case !c.req.Event.Verdict:
		return c.bad(call.Lparen, "probe a security hook with lsm:HOOK", "deny() works only in lsm probes whose hook can refuse, not in %s", c.req.Name)
	}
	c.facts.Denies, c.facts.ReadsFields = true, true // not every hook that a program could serve can refuse
	return mk(row, call, types.TNone, []expr{x})
}

// hostDeny checks the arguments and does nothing: there is no operation to refuse.
func hostDeny(h *hostCall) (any, error) {
	switch e := h.Const(h.args[0]).(type) {
	case string:
		if _, ok := kernelnames.ErrnoOf(e); !ok {
			return nil, fmt.Errorf("deny: %s is not an error", syntax.Quote(e, false))
		}
	case *big.Int:
		if n := word(e); n < 1 || n > maxErrno {
			return nil, fmt.Errorf("deny: errors are numbered from 1 to %d, got %s", maxErrno, e)
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
