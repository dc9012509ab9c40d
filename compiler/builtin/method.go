package builtin

import (
	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// A method is a method or operator that handlers may use. Each is one table row, used by the
// checker, the lowering and help.
type method struct {
	recv    string // kind of receiver: "aggregation", "table", "string", "dict"...
	name    string // "[]" and "in" for operators
	sig     string
	doc     string
	example string
	check   func(c *check.Checker, e *tree.MethodExpr) tree.Expr
	lower   func(lw *lower.Lowerer, e *tree.MethodExpr) lower.Val
	jump    func(lw *lower.Lowerer, e *tree.MethodExpr, t, f *ir.Block) // lowers a bool as a condition; may be nil
}

func methodRows() []method {
	return []method{
		{"aggregation", "add", "add(value=1, by=None)", "add a value, to the key passed as by", "calls.add(by=e.comm)", check.AggAdd, lower.AggAdd, nil},
		{"table", "[]", "t[key]", "the value of a key; a missing key ends the handler", "t0 = start[e.tid]", check.TableIndex, lower.TableIndex, nil},
		{"table", "in", "key in t", "whether the table has the key", "if e.tid in start: start.pop(e.tid)", check.TableIn, lower.TableIn, nil},
		{"table", "get", "get(key, default=None)", "the value of a key, or the default", "n = seen.get(e.pid, 0)", check.TableGet, lower.TableGet, nil},
		{"table", "pop", "pop(key, default=None)", "remove a key and return its value, or the default", "t0 = start.pop(e.tid)", check.TableGet, lower.TablePop, nil},
		{"table", "add", "add(value=1, by=None)", "add atomically, from 0 if the key is absent; returns the new value", "n = seen.add(by=e.pid)", check.TableAdd, lower.TableAdd, nil},
		{"table", "clear", "clear()", "remove all keys (5.13)", "t.clear()", check.TableClear, lower.TableClear, nil},
		{"stream", "emit", "emit(**fields)", "send a record to the script", "opens.emit(pid=e.pid, comm=e.comm)", checkEmit, lower.Emit, nil},
		{"string", "startswith", "startswith(prefix)", "whether the string begins with another, or with one of a tuple", `if e.comm.startswith("kworker"): return`, check.Affix, lower.Affix, lower.AffixCond},
		{"string", "endswith", "endswith(suffix)", "whether the string ends with another, or with one of a tuple", `if e.comm.endswith(("d", "worker")): return`, check.Affix, lower.Affix, lower.AffixCond},
		{"string", "join", "join(list)", "the strings of a list or tuple, with this one between them", `calls.add(by=":".join([e.comm, "x"]))`, checkJoinMethod, nil, nil},
		{"formatted value", "startswith", "startswith(prefix)", "whether a name (e.func, e.probe, syscall_name(), errno_name(), an enum) begins with a string, or with one of a tuple", `if syscall_name(e.args.id).startswith("get"): calls.add()`, check.FormattedAffix, nil, nil},
		{"formatted value", "endswith", "endswith(suffix)", "whether a name ends with a string, or with one of a tuple", `if errno_name(e.args.id).endswith("INTR"): calls.add()`, check.FormattedAffix, nil, nil},
	}
}
