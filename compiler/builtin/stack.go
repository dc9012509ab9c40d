package builtin

import (
	"strconv"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// A stack is represented by a number, the key of its frames in a map of stacks: see package lower,
// stackstore.go. 0 is a stack without frames, and a negative number is the errno of a stack that
// could not be stored. A user stack also has the process ID, which the host needs to find its
// symbols.

func stackBuiltins() []builtin {
	return []builtin{
		{
			name:    "kstack",
			sig:     "kstack(n=127)",
			doc:     "the kernel stack, at most n frames",
			example: "waits.add(by=kstack(5))",
			check:   checkStack,
			lower:   lowerStackCall,
			host:    hostStack,
		},
		{
			name:    "ustack",
			sig:     "ustack(n=127)",
			doc:     "the user stack of the running process, at most n frames",
			example: "callers.add(by=ustack(5))",
			check:   checkStack,
			lower:   lowerStackCall,
			host:    hostStack,
		},
	}
}

// stackType returns the type of a stack of up to n frames. name is "kstack" or "ustack".
func stackType(name string, n int64) *types.Type {
	f := &types.Format{Name: name, Noun: "kernel stack", Arg: strconv.FormatInt(n, 10), Empty: true}
	t := types.TInt
	if name == "ustack" {
		f.Noun = "user stack"
		t = types.TTuple(types.TInt, types.TInt)
	}
	if n != abi.StackFrames {
		f.Noun += " of up to " + f.Arg + " frames"
	}
	return types.TFormatted(t, f)
}

// stackContext forces a handler that takes the kernel stack to run at its own event: as another
// kind of program, it would find itself in the stack.
func stackContext(c *check.Checker, name string) {
	if name == "kstack" {
		c.Facts.ReadsContext = true
	}
}

func checkStack(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	n := int64(abi.StackFrames)
	if args[0] != nil {
		k, ok := args[0].(*tree.ConstExpr)
		if args[0].Type().Kind == types.Invalid {
			return args[0]
		}
		if !ok || k.T.Kind != types.Int || tree.Word(k.Value) < 1 || tree.Word(k.Value) > abi.StackFrames {
			return c.Bad(args[0].Position(), "", "%s: n must be a constant from 1 to %d", row.Name, abi.StackFrames)
		}
		n = tree.Word(k.Value)
	}
	stackContext(c, row.Name)
	return mk(row, call, stackType(row.Name, n), nil)
}

func lowerStackCall(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val { return lw.Stack(e.T, e.Pos) }

// hostStack returns the stack that the event was given, or an empty one.
func hostStack(h *hostCall) (any, error) {
	n := h.within(0, abi.StackFrames, abi.StackFrames)
	return h.Stack(h.name, n), nil
}

// FormattedType returns the type of values in the format that a script declares by name: "kstack",
// "ksym", "ip". It returns nil for other names.
func FormattedType(name string) *types.Type {
	if name == "kstack" || name == "ustack" {
		return stackType(name, abi.StackFrames)
	}
	return types.Declared(name)
}
