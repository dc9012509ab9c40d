// Package builtin has the functions, methods and event fields of handlers, each as one row of a
// table: its name, signature, documentation and tested example, how it is checked, how it is
// lowered, and, for functions, what a script gets that calls it (host.go).
//
// The rows are by subject: time.go, net.go, stack.go and so on; method.go has the methods, field.go
// the fields of the event. tables.go hands each phase its half: CheckRows to package check,
// LowerRows to package lower. Neither imports this package. Nothing else in the compiler knows a
// builtin by name, so adding one touches one row.
package builtin

import (
	"cmp"

	"github.com/cilium/ebpf/asm"
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

func coreBuiltins() []builtin {
	return []builtin{
		{
			name:    "now",
			sig:     "now()",
			doc:     "nanoseconds since boot, excluding suspend (bpf_ktime_get_ns)",
			example: "start[e.tid] = now()",
			check:   fixed(types.TNat),
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(types.TNat, lw.Call(asm.FnKtimeGetNs))
			},
		},
		{
			name:    "boottime",
			sig:     "boottime()",
			doc:     "nanoseconds since boot, including suspend (bpf_ktime_get_boot_ns, 5.8)",
			example: "start[e.tid] = boottime()",
			check:   fixed(types.TNat),
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(types.TNat, lw.Call(asm.FnKtimeGetBootNs))
			},
		},
		{
			name:    "rand",
			sig:     "rand()",
			doc:     "a random int from 0 to 2**32-1",
			example: "if rand() % 100 == 0: sampled.add()",
			check:   fixed(types.TNat),
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(types.TNat, lw.Half32(lw.Call(asm.FnGetPrandomU32), false))
			},
			host: hostRand,
		},
		{
			name:    "str",
			sig:     "str(ptr, max=256)",
			doc:     "the string at an address, at most max-1 bytes of it; \"\" if it cannot be read",
			example: `opened.add(by=str(e.args.filename, 64))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkStr,
			host:    hostStr,
		},
		{
			name:    "buf",
			sig:     "buf(ptr, n)",
			doc:     "the n bytes at an address, as bytes; zeros if they cannot be read",
			example: `kinds.add(by=buf(e.args.filename, 4))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkBuf,
			host:    hostBuf,
		},
		{
			name:    "ord",
			sig:     "ord(b)",
			doc:     "the value of a single byte, from bytes of length 1",
			example: `first.add(ord(buf(e.args.filename, 1)))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkOrd,
			lower:   lower.Ord,
		},
		{
			name:    "len",
			sig:     "len(x)",
			doc:     "the number of elements of a tuple or a captured collection, of bytes of a string or of bytes",
			example: "longest.add(len(e.comm))",
			check:   checkLen,
			lower:   lower.Len,
		},
		{
			name:    "int",
			sig:     "int(x)",
			doc:     "a bool, an int or an address as an int",
			example: "total.add(int(e.args.ret < 0))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check:   checkInt,
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(e.T, lw.Value(e.Args[0]).W)
			},
		},
		{
			name:    "bool",
			sig:     "bool(x)",
			doc:     "the truth value of x",
			example: "by_success.add(by=bool(e.args.ret))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check: func(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
				return c.Truth(args[0])
			},
		},
		{
			name:    "abs",
			sig:     "abs(x)",
			doc:     "the absolute value of an int",
			example: "drift.add(abs(e.args.ret))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check:   checkAbs,
			lower:   lowerAbs,
		},
		{
			name:    "min",
			sig:     "min(a, *rest)",
			doc:     "the smallest of two or more ints",
			example: "capped.add(min(e.args.len, 4096))",
			probe:   "tracepoint:syscalls:sys_enter_sendto",
			check:   checkExtreme,
			lower:   lowerExtreme,
		},
		{
			name:    "max",
			sig:     "max(a, *rest)",
			doc:     "the largest of two or more ints",
			example: "atleast.add(max(e.args.len, 1))",
			probe:   "tracepoint:syscalls:sys_enter_sendto",
			check:   checkExtreme,
			lower:   lowerExtreme,
		},
		{
			name:    "print",
			sig:     "print(*args)",
			doc:     "print the values on the host, separated by spaces",
			example: `print(e.comm, e.pid)`,
			check:   checkPrint,
			lower:   lower.Print,
		},
		{
			name:    "printf",
			sig:     "printf(format, *args)",
			doc:     "print on the host with a C format string, which must be a constant",
			example: `printf("%-16s %6d\n", e.comm, e.pid)`,
			check:   checkPrint,
			lower:   lower.Print,
		},
		{
			name:    "stop",
			sig:     "stop()",
			doc:     "end run()",
			example: "stop()",
			check:   fixed(types.TNone),
			lower:   lower.Stop,
		},
	}
}

// A Doc describes a builtin or method for help. The example works on the probe Probe. KernelOnly is
// the reason why scripts cannot call a builtin, or "".
type Doc struct{ Name, Sig, Text, Example, Probe, KernelOnly string }

// exampleProbe is the probe of examples whose row names none.
const exampleProbe = "tracepoint:raw_syscalls:sys_enter"

// Builtins lists the functions that a handler can call, in the order of the table.
func Builtins() []Doc {
	var out []Doc
	for _, b := range builtins {
		out = append(out, Doc{b.name, b.sig, b.doc, b.example, cmp.Or(b.probe, exampleProbe), b.kernelOnly})
	}
	return out
}

func mk(row *check.Builtin, call *syntax.CallExpr, t *types.Type, args []tree.Expr) *tree.BuiltinExpr {
	return &tree.BuiltinExpr{Node: tree.At(t, call.Lparen), Name: row.Name, Args: args}
}

func fixed(t *types.Type) func(*check.Checker, *check.Builtin, *syntax.CallExpr, []tree.Expr) tree.Expr {
	return func(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
		return mk(row, call, t, args)
	}
}

// CanCall reports whether a handler can call the builtin of that name.
func CanCall(name string) bool { return find(name) != nil }
