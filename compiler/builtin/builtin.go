// Package builtin has the functions, methods and event fields of handlers, each as one row of a
// table: its name, signature, documentation and tested example, how it is checked, how it is
// lowered, and, for functions, what a script gets that calls it (host.go).
//
// Each phase gets its half of the rows: CheckRows goes to package check, LowerRows to package
// lower. Neither imports this package. Nothing else in the compiler knows a builtin by name, so
// adding one touches one row.
//
// The rows are by subject, with their code:
//
//	str.go    str, buf, ord, len
//	int.go    int, bool, abs, min, max
//	rand.go   rand
//	print.go  print, printf, stop; emit of streams
//	time.go   now, boottime, jiffies, strftime
//	task.go   cgroup_path, signal, reg, override, deny
//	stack.go  kstack, ustack
//	sym.go    ksym, usym, kaddr, uaddr
//	net.go    ntop, macaddr
//	name.go   errno_name, syscall_name
//	ctype.go  cast, container_of, offsetof, sizeof, getattr
//	path.go   path
//	text.go   sprintf, join, struct
//	dict.go   methods of captured dicts
//	method.go other methods: of maps, streams, strings
//	field.go  fields of the event
//
// Around the rows:
//
//	builtin.go     what a row has
//	rows.go        all rows, and the halves for the phases
//	host.go        what a script gets that calls a builtin
//	host_const.go  cast, offsetof and sizeof of constants, for scripts
package builtin

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A builtin is a function that handlers may call. Each is one table row, used by the checker, the
// lowering, scripts, help and completion.
type builtin struct {
	name    string
	sig     string // as shown to the user: "str(ptr, max=256)"
	doc     string
	example string
	probe   string // the probe that the example works on; "" means exampleProbe
	check   func(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr
	lower   func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val // nil if check returns another expression
	// host is what the function does when a script calls it. It is nil if scripts have a function
	// of the same name anyway, Starlark's or one of theirs, or if kernelOnly says why there is
	// none.
	host       hostHalf
	kernelOnly string
}

// A Doc describes a builtin or method for help. The example works on the probe Probe. KernelOnly is
// the reason why scripts cannot call a builtin, or "".
type Doc struct{ Name, Sig, Text, Example, Probe, KernelOnly string }

// exampleProbe is the probe of examples whose row names none.
const exampleProbe = "tracepoint:raw_syscalls:sys_enter"

func mk(row *check.Builtin, call *syntax.CallExpr, t *types.Type, args []tree.Expr) *tree.BuiltinExpr {
	return &tree.BuiltinExpr{Node: tree.At(t, call.Lparen), Name: row.Name, Args: args}
}

func fixed(t *types.Type) func(*check.Checker, *check.Builtin, *syntax.CallExpr, []tree.Expr) tree.Expr {
	return func(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
		return mk(row, call, t, args)
	}
}
