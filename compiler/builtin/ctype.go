package builtin

import (
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// ctypeBuiltins returns the builtins that deal with C types.
func ctypeBuiltins() []builtin {
	return []builtin{
		{
			name:    "cast",
			sig:     "cast(x, type)",
			doc:     `an address as a pointer to a kernel type ("struct sock" and "struct sock *" mean the same), or an int as a C integer type or enum`,
			example: `state = cast(e.args.skaddr, "struct sock").__sk_common.skc_state`,
			probe:   "tracepoint:sock:inet_sock_set_state",
			check:   checkCast,
			lower:   lowerCast,
			host:    hostCast,
		},
		{
			name:    "container_of",
			sig:     "container_of(ptr, type, member)",
			doc:     "the struct that contains the member at an address",
			example: `parent = container_of(e.task.sibling.next, "struct task_struct", "sibling")`,
			check:   checkContainerOf,
			lower:   lowerCast,
			host:    hostContainerOf,
		},
		{
			name:    "offsetof",
			sig:     "offsetof(type, member)",
			doc:     "the offset of a member in bytes",
			example: `off = offsetof("struct task_struct", "se.vruntime")`,
			check:   checkOffsetof,
			host:    hostOffsetof,
		},
		{
			name:    "sizeof",
			sig:     "sizeof(type)",
			doc:     "the size in bytes of a C type, or of a value",
			example: `size = sizeof("struct task_struct")`,
			check:   checkSizeof,
			host:    hostSizeof,
		},
		{
			name:    "getattr",
			sig:     "getattr(x, name)",
			doc:     "x.name, for a member whose name is a Starlark keyword",
			example: `n = getattr(e.task, "pid")`,
			check:   checkGetattr,
		},
	}
}

func checkCast(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	name, ok := c.ConstString(args[1], "the type")
	if !ok || args[0].Type().Kind == types.Invalid {
		return tree.Invalid(call.Lparen)
	}
	ct := c.TypeNamed(name, args[1].Position())
	if ct == nil {
		return tree.Invalid(call.Lparen)
	}
	x := c.AddressOf(args[0])
	space := addressSpace(x)
	if x.Type().Kind == types.Bool {
		x = &tree.ConvertExpr{Node: tree.At(types.TInt, x.Position()), X: x}
	}
	if x = c.WantInt(x, "the operand of cast"); x.Type().Kind == types.Invalid {
		return x
	}
	e := mk(row, call, nil, []tree.Expr{x})
	switch ct.Kind {
	case ctype.Struct, ctype.Union:
		e.T = types.TPtr(ct, space)
	case ctype.Pointer:
		if ct.User {
			space = types.User
		}
		e.T = types.TPtr(ct.Elem(), space)
	case ctype.Int, ctype.Char, ctype.Enum, ctype.Bool:
		if k, ok := x.(*tree.ConstExpr); ok && ct.Kind == ctype.Int {
			return c.Constant(lower.Narrow(k, ct), k.Pos, "the number")
		}
		e.T = c.ValueType(ct, types.Kernel)
		e.Aux = ct
	default:
		return c.Bad(args[1].Position(), "", "a value cannot be cast to %s", ct)
	}
	return e
}

// addressSpace returns the memory that the address x belongs to. For a number, that is known only
// at run time.
func addressSpace(x tree.Expr) types.Space {
	if x.Type().Kind == types.Ptr {
		return x.Type().Space
	}
	return types.AnySpace
}

func checkContainerOf(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	ct, off, ok := c.MemberOffset(args[1], args[2])
	if !ok || args[0].Type().Kind == types.Invalid {
		return tree.Invalid(call.Lparen)
	}
	x := c.AddressOf(args[0])
	space := addressSpace(x)
	if x = c.WantInt(x, "the address"); x.Type().Kind == types.Invalid {
		return x
	}
	x = &tree.BinaryExpr{Node: tree.At(types.TUint, call.Lparen), Op: syntax.MINUS, X: x, Y: tree.IntConst(int64(off), call.Lparen)}
	return mk(row, call, types.TPtr(ct, space), []tree.Expr{x})
}

func checkOffsetof(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	_, off, ok := c.MemberOffset(args[0], args[1])
	if !ok {
		return tree.Invalid(call.Lparen)
	}
	return tree.IntConst(int64(off), call.Lparen)
}

func checkSizeof(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := args[0]
	if k, ok := x.(*tree.ConstExpr); ok && k.T.Kind == types.Str {
		ct := c.TypeNamed(k.Value.(string), k.Pos)
		if ct == nil {
			return tree.Invalid(call.Lparen)
		}
		if ct.Size == 0 && !ct.IsRecord() {
			return c.Bad(k.Pos, "", "the size of %s is not known", ct)
		}
		return tree.IntConst(int64(ct.Size), call.Lparen)
	}
	switch x := x.(type) {
	case *tree.MemExpr:
		if x.Bits != 0 {
			return c.Bad(x.Pos, "take the size of its struct, or of its type: sizeof(\"u32\")", "%s is a bit field: it has no size in bytes", x.Text)
		}
		return tree.IntConst(int64(x.CType.Size), call.Lparen)
	case *tree.ArgExpr:
		return tree.IntConst(int64(x.Field.Size), call.Lparen)
	}
	switch t := x.Type(); {
	case t.Kind == types.Invalid:
		return x
	case t.IsInt(), t.Kind == types.Ptr:
		return tree.IntConst(8, call.Lparen)
	}
	return c.Bad(x.Position(), `name a type: sizeof("struct sock")`, "%s has no size in a handler", x.Type().WithArticle())
}

func checkGetattr(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	name, ok := c.ConstString(args[1], "the name")
	if !ok || args[0].Type().Kind == types.Invalid {
		return tree.Invalid(call.Lparen)
	}
	return c.Attr(args[0], name, args[1].Position())
}

// lowerCast narrows or extends an int to the width of a C type. Addresses stay as they are.
func lowerCast(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
	w := lw.Value(e.Args[0]).W
	ct, ok := e.Aux.(*ctype.Type)
	switch {
	case !ok || ct.Size == 8:
	case ct.Kind == ctype.Bool:
		return lw.SelectValue(e.T, func(yes, no *ir.Block) { lw.B.If(ir.NE, w, lw.B.Const(0), yes, no) }, tree.BoolConst(true, e.Pos), tree.BoolConst(false, e.Pos))
	default:
		w = lw.Extend(w, 0, 8*ct.Size, ct.Signed)
	}
	return lower.Scalar(e.T, w)
}

// On the host an event holds values in place of addresses. The functions below that take an address
// read these values.

// hostCast converts an int to the width of a C type. A struct in place of an address is returned
// unchanged.
func hostCast(h *hostCall) (any, error) {
	typ := h.text(1)
	switch x := h.Const(h.args[0]).(type) {
	case *big.Int:
		return h.constant("cast", x, typ)
	case bool:
		return h.constant("cast", big.NewInt(tree.Word(x)), typ)
	}
	return h.args[0], nil
}

// hostContainerOf subtracts the member's offset from an int, which is an address. A struct stands
// for the enclosing one and is returned unchanged.
func hostContainerOf(h *hostCall) (any, error) {
	off, err := h.constant("offsetof", h.text(1), h.text(2))
	if err != nil {
		return nil, err
	}
	if x, ok := h.Const(h.args[0]).(*big.Int); ok {
		return new(big.Int).Sub(x, off.(*big.Int)), nil
	}
	return h.args[0], nil
}

func hostOffsetof(h *hostCall) (any, error) { return h.constant("offsetof", h.text(0), h.text(1)) }

func hostSizeof(h *hostCall) (any, error) {
	switch x := h.Const(h.args[0]).(type) {
	case string:
		return h.constant("sizeof", x)
	case *big.Int:
		return big.NewInt(8), nil
	}
	return nil, fmt.Errorf("sizeof: the size of a %s is not known; name its type: sizeof(\"struct sock\")", h.TypeName(h.args[0]))
}
