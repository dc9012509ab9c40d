package builtin

import (
	"errors"
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
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
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(e.T, lw.Value(e.Args[0]).W)
			},
			host: hostKsym,
		},
		{
			name:    "usym",
			sig:     "usym(addr)",
			doc:     `the symbol at an address of the running process: "main+16 [prog]"`,
			example: "faults.add(by=usym(e.args.ip))",
			probe:   "tracepoint:exceptions:page_fault_user",
			check:   checkUsym,
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				pid := lw.TaskID(true)
				return lower.Val{T: e.T, Elems: []lower.Val{lower.Scalar(types.TUint, lw.Value(e.Args[0]).W), lower.Scalar(types.TInt, pid)}}
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

func checkKsym(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := c.WantInt(args[0], "the address")
	if x.Type().Kind == types.Invalid {
		return x
	}
	return mk(row, call, types.TKsym, []tree.Expr{x})
}

func checkUsym(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := c.WantInt(args[0], "the address")
	if x.Type().Kind == types.Invalid {
		return x
	}
	return mk(row, call, types.TUsym, []tree.Expr{x})
}

// constAddress returns an address found by the host as a constant. A non-nil err is reported at at.
func constAddress(c *check.Checker, n uint64, err error, at, pos syntax.Position) tree.Expr {
	if err != nil {
		return refused(c, at, err)
	}
	return &tree.ConstExpr{Node: tree.At(types.TUint, pos), Value: new(big.Int).SetUint64(n)}
}

// refused reports an error of the host, with its hint if it is a HostError.
func refused(c *check.Checker, pos syntax.Position, err error) tree.Expr {
	var he *tree.HostError
	if errors.As(err, &he) {
		return c.Bad(pos, he.Hint, "%s", he.Msg)
	}
	return c.Bad(pos, "", "%s", err)
}

func checkKaddr(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	name, ok := c.ConstString(args[0], "the symbol")
	if !ok {
		return tree.Invalid(call.Lparen)
	}
	n, err := c.Req.Host.KernelAddr(name)
	return constAddress(c, n, err, args[0].Position(), call.Lparen)
}

func checkUaddr(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	name, ok := c.ConstString(args[0], "the symbol")
	if !ok {
		return tree.Invalid(call.Lparen)
	}
	path := ""
	if args[1] != nil && args[1].Type().Kind != types.None {
		if path, ok = c.ConstString(args[1], "the path"); !ok {
			return tree.Invalid(call.Lparen)
		}
	}
	n, err := c.Req.Host.UserAddr(name, path)
	return constAddress(c, n, err, args[0].Position(), call.Lparen)
}

func hostKsym(h *hostCall) (any, error) {
	return formatted(types.TKsym, uint64(tree.Word(h.number(0)))), nil
}

func hostUsym(h *hostCall) (any, error) {
	addr := tree.Word(h.number(0))
	pid, err := h.EventField("pid")
	return formatted(types.TUsym, uint64(addr), uint64(tree.Word(h.Const(pid)))), err
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
	var he *tree.HostError
	if errors.As(err, &he) && he.Hint != "" {
		return fmt.Errorf("%s; %s", he.Msg, he.Hint)
	}
	return err
}
