package compiler

import (
	"errors"
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// symBuiltins returns the builtins that convert between addresses and symbols.
func symBuiltins() []builtin {
	return []builtin{
		{
			name:    "ksym",
			sig:     "ksym(addr)",
			doc:     `the kernel symbol at an address: "vfs_read+16"`,
			example: "handlers.add(by=ksym(e.args.function))",
			probe:   "tracepoint:workqueue:workqueue_execute_start",
			check:   checkKsym,
			lower:   func(lw *lowerer, e *eBuiltin) val { return scalar(e.t, lw.value(e.args[0]).w) },
			host:    hostKsym,
		},
		{
			name:    "usym",
			sig:     "usym(addr)",
			doc:     `the symbol at an address of the running process: "main+16 [prog]"`,
			example: "faults.add(by=usym(e.args.ip))",
			probe:   "tracepoint:exceptions:page_fault_user",
			check:   checkUsym,
			lower: func(lw *lowerer, e *eBuiltin) val {
				pid := lw.taskID(true)
				return val{t: e.t, elems: []val{scalar(types.TUint, lw.value(e.args[0]).w), scalar(types.TInt, pid)}}
			},
			host: hostUsym,
		},
		{
			name:    "kaddr",
			sig:     "kaddr(symbol)",
			doc:     "the address of a kernel symbol, resolved when the handler is compiled",
			example: `matched.add(by=e.args.function == kaddr("vmstat_update"))`,
			probe:   "tracepoint:workqueue:workqueue_execute_start",
			check:   checkKaddr,
			host:    hostKaddr,
		},
		{
			name:    "uaddr",
			sig:     "uaddr(symbol, path=None)",
			doc:     "the address of a symbol of the program at path, or of the process of -c; resolved when the handler is compiled",
			example: `matched.add(by=e.args.ip == uaddr("main.main"))`,
			probe:   "tracepoint:exceptions:page_fault_user",
			check:   checkUaddr,
			host:    hostUaddr,
		},
	}
}

func checkKsym(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := c.wantInt(args[0], "the address")
	if x.typ().Kind == types.Invalid {
		return x
	}
	return mk(row, call, types.TKsym, []expr{x})
}

func checkUsym(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := c.wantInt(args[0], "the address")
	if x.typ().Kind == types.Invalid {
		return x
	}
	return mk(row, call, types.TUsym, []expr{x})
}

// constAddress returns an address found by the host as a constant. A non-nil err is reported at at.
func constAddress(c *checker, n uint64, err error, at, pos syntax.Position) expr {
	if err != nil {
		return refused(c, at, err)
	}
	return &eConst{node{types.TUint, pos}, new(big.Int).SetUint64(n)}
}

// refused reports an error of the host, with its hint if it is a HostError.
func refused(c *checker, pos syntax.Position, err error) expr {
	var he *HostError
	if errors.As(err, &he) {
		return c.bad(pos, he.Hint, "%s", he.Msg)
	}
	return c.bad(pos, "", "%s", err)
}

func checkKaddr(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	name, ok := c.constString(args[0], "the symbol")
	if !ok {
		return invalid(call.Lparen)
	}
	n, err := c.req.Host.KernelAddr(name)
	return constAddress(c, n, err, args[0].position(), call.Lparen)
}

func checkUaddr(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	name, ok := c.constString(args[0], "the symbol")
	if !ok {
		return invalid(call.Lparen)
	}
	path := ""
	if args[1] != nil && args[1].typ().Kind != types.None {
		if path, ok = c.constString(args[1], "the path"); !ok {
			return invalid(call.Lparen)
		}
	}
	n, err := c.req.Host.UserAddr(name, path)
	return constAddress(c, n, err, args[0].position(), call.Lparen)
}

func hostKsym(h *hostCall) (any, error) {
	return formatted(types.TKsym, uint64(word(h.number(0)))), nil
}

func hostUsym(h *hostCall) (any, error) {
	addr := word(h.number(0))
	pid, err := h.EventField("pid")
	return formatted(types.TUsym, uint64(addr), uint64(word(h.Const(pid)))), err
}

func hostKaddr(h *hostCall) (any, error) {
	n, err := h.KernelAddr(h.text(0))
	return new(big.Int).SetUint64(n), hinted(err)
}

func hostUaddr(h *hostCall) (any, error) {
	n, err := h.UserAddr(h.text(0), h.text(1))
	return new(big.Int).SetUint64(n), hinted(err)
}

// hinted returns err with its hint, if it has one, on the same line.
func hinted(err error) error {
	var he *HostError
	if errors.As(err, &he) && he.Hint != "" {
		return fmt.Errorf("%s; %s", he.Msg, he.Hint)
	}
	return err
}
