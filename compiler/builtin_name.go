package compiler

import (
	"math/big"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
)

// nameBuiltins returns the builtins that convert a number to a name.
func nameBuiltins() []builtin {
	return []builtin{
		{"errno_name", "errno_name(n)", `the name of an error: "ENOENT" for 2 and for -2`, "failed.add(by=errno_name(e.args.ret))",
			formattedInt(formatErrno), func(lw *lowerer, e *eBuiltin) val { return scalar(e.t, lw.magnitude(lw.value(e.args[0]).w)) }},
		{"syscall_name", "syscall_name(id)", `the name of a system call: "openat"; in a 32-bit system call (e.compat) id is a number of the 32-bit ABI`, "calls.add(by=syscall_name(e.args.id))",
			checkSyscallName, lowerSyscallName},
	}
}

// formattedInt returns the check function of a builtin that takes one int and has a result of format f.
func formattedInt(f *types.Format) func(*checker, *builtin, *syntax.CallExpr, []expr) expr {
	return func(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
		x := c.wantInt(args[0], "the argument of "+row.name+"()")
		if x.typ().Kind == types.Invalid {
			return x
		}
		return mk(row, call, types.TFormatted(types.TInt, f), []expr{x})
	}
}

// magnitude returns the absolute value of a signed word.
func (lw *lowerer) magnitude(x *ir.Value) *ir.Value {
	sign := lw.b.Add(ir.OpAShr, x, lw.b.Const(63))
	return lw.b.Add(ir.OpSub, lw.b.Add(ir.OpXor, x, sign), sign)
}

// maxSyscall is above every system call number.
const maxSyscall = 1024

func init() {
	named := func(of func(string) (int64, bool), names func() []string) formatRow {
		return formatRow{parse: func(_ *checker, _ *types.Format, s string) (any, []string) {
			if n, ok := of(s); ok {
				return big.NewInt(n), nil
			}
			return nil, names()
		}}
	}
	errnos, syscalls := named(kernelnames.ErrnoOf, kernelnames.Errnos), named(kernelnames.SyscallOf, kernelnames.Syscalls)
	errnos.all = func(*checker, *types.Format) map[int64]string {
		names := map[int64]string{}
		for _, name := range kernelnames.Errnos() {
			n, _ := kernelnames.ErrnoOf(name)
			names[n] = name
		}
		return names
	}
	syscalls.all = func(*checker, *types.Format) map[int64]string {
		names := map[int64]string{}
		for n := range int64(maxSyscall) {
			for _, id := range []int64{n, n + kernelnames.CompatBit} {
				if name := kernelnames.Syscall(id); !strings.Contains(name, " ") {
					names[id] = name
				}
			}
		}
		return names
	}
	formatRows["errno"], formatRows["syscall"] = errnos, syscalls
}
