package builtin

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func textBuiltins() []builtin {
	return []builtin{
		{
			name:    "sprintf",
			sig:     "sprintf(format, *args)",
			doc:     "a text with a C format string, made on the host: for print, emit, and as a key or value",
			example: `calls.add(by=sprintf("%s:%d", e.comm, e.pid))`,
			check:   checkSprintf,
		},
		{
			name:    "join",
			sig:     `join(list, sep=" ")`,
			doc:     "the strings of a list or tuple, or of an array in memory, with sep between them; of an array the first 16, of up to 127 bytes",
			example: `print(e.pid, join(e.args.argv))`,
			probe:   "tracepoint:syscalls:sys_enter_execve",
			check:   checkJoin,
			lower:   lower.JoinArgs,
			host:    hostJoin,
		},
		{
			name:    "struct",
			sig:     "struct(**fields)",
			doc:     "a value with named fields, for a table, a record or a key",
			example: `print(struct(comm=e.comm, time=e.time))`,
		},
	}
}

func checkSprintf(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	format, ok := constFormat(c, row, args[0])
	if !ok {
		return tree.Invalid(call.Lparen)
	}
	if err := checkFormat(row.Name, format, args[1:]); err != nil {
		return c.Bad(args[0].Position(), "", "%s", err)
	}
	return c.Text(call.Lparen, types.Sprintf, format, args[1:])
}

func checkJoin(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	sep := args[1]
	if sep == nil {
		sep = &tree.ConstExpr{Node: tree.At(types.TStr(1), call.Lparen), Value: " "}
	}
	if args[0].Type().Kind == types.Ptr {
		return c.JoinArgs(mk(row, call, types.TInvalid, nil), sep, args[0])
	}
	return c.Join(call.Lparen, sep, args[0])
}

// checkJoinMethod checks sep.join(list).
func checkJoinMethod(c *check.Checker, e *tree.MethodExpr) tree.Expr {
	return c.Join(e.Pos, e.X, e.Args[0])
}

func hostJoin(h *hostCall) (any, error) {
	sep := " "
	if h.given(1) {
		sep = h.text(1)
	}
	texts, ok := h.Strings(h.args[0])
	if !ok {
		return nil, fmt.Errorf("join: got %s, want a list of strings", h.TypeName(h.args[0]))
	}
	return strings.Join(texts, sep), nil
}
