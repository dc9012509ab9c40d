package builtin

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
)

// nameBuiltins returns the builtins that convert a number to a name.
func nameBuiltins() []builtin {
	return []builtin{
		{
			name:    "errno_name",
			sig:     "errno_name(n)",
			doc:     `the name of an error: "ENOENT" for 2 and for -2`,
			example: "failed.add(by=errno_name(e.args.ret))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check:   formattedInt(types.TErrno),
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(e.T, lw.Magnitude(lw.Value(e.Args[0]).W))
			},
			host: hostErrno,
		},
		{
			name:    "syscall_name",
			sig:     "syscall_name(id)",
			doc:     `the name of a system call: "openat"; in a 32-bit system call (e.compat) id is a number of the 32-bit ABI`,
			example: "calls.add(by=syscall_name(e.args.id))",
			check:   checkSyscallName,
			lower:   lower.SyscallName,
			host:    hostSyscall,
		},
	}
}

// formattedInt returns the check function of a builtin that takes one int and has a result of type
// t.
func formattedInt(t *types.Type) func(*check.Checker, *check.Builtin, *syntax.CallExpr, []tree.Expr) tree.Expr {
	return func(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
		x := c.WantInt(args[0], "the argument of "+row.Name+"()")
		if x.Type().Kind == types.Invalid {
			return x
		}
		return mk(row, call, t, []tree.Expr{x})
	}
}

func hostErrno(h *hostCall) (any, error) {
	n := h.word(0)
	return formatted(types.TErrno, uint64(max(n, -n))), nil
}

func hostSyscall(h *hostCall) (any, error) {
	return formatted(types.TSyscall, uint64(kernelnames.Canonical(h.word(0), false))), nil
}

func checkSyscallName(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := formattedInt(types.TSyscall)(c, row, call, args)
	if e, ok := x.(*tree.BuiltinExpr); ok && !tree.IsConst(e.Args[0]) {
		c.Compat(call.Lparen)
	}
	return x
}
