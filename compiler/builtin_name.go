package compiler

import (
	"go.starlark.net/syntax"

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
			lower:   func(lw *lowerer, e *eBuiltin) val { return scalar(e.t, lw.magnitude(lw.value(e.args[0]).w)) },
			host:    hostErrno,
		},
		{
			name:    "syscall_name",
			sig:     "syscall_name(id)",
			doc:     `the name of a system call: "openat"; in a 32-bit system call (e.compat) id is a number of the 32-bit ABI`,
			example: "calls.add(by=syscall_name(e.args.id))",
			check:   checkSyscallName,
			lower:   lowerSyscallName,
			host:    hostSyscall,
		},
	}
}

// formattedInt returns the check function of a builtin that takes one int and has a result of type t.
func formattedInt(t *types.Type) func(*checker, *builtin, *syntax.CallExpr, []expr) expr {
	return func(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
		x := c.wantInt(args[0], "the argument of "+row.name+"()")
		if x.typ().Kind == types.Invalid {
			return x
		}
		return mk(row, call, t, []expr{x})
	}
}

func hostErrno(h *hostCall) (any, error) {
	n := h.word(0)
	return formatted(types.TErrno, uint64(max(n, -n))), nil
}

func hostSyscall(h *hostCall) (any, error) {
	return formatted(types.TSyscall, uint64(kernelnames.Canonical(h.word(0), false))), nil
}

func checkSyscallName(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := formattedInt(types.TSyscall)(c, row, call, args)
	if e, ok := x.(*eBuiltin); ok && !isConst(e.args[0]) {
		c.compat(call.Lparen)
	}
	return x
}
