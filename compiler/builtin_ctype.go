package compiler

import (
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
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

func checkCast(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	name, ok := c.constString(args[1], "the type")
	if !ok || args[0].typ().Kind == types.Invalid {
		return invalid(call.Lparen)
	}
	ct := c.typeNamed(name, args[1].position())
	if ct == nil {
		return invalid(call.Lparen)
	}
	x := c.addressOf(args[0])
	space := addressSpace(x)
	if x.typ().Kind == types.Bool {
		x = &eConvert{node{types.TInt, x.position()}, x}
	}
	if x = c.wantInt(x, "the operand of cast"); x.typ().Kind == types.Invalid {
		return x
	}
	e := mk(row, call, nil, []expr{x})
	switch ct.Kind {
	case ctype.Struct, ctype.Union:
		e.t = types.TPtr(ct, space)
	case ctype.Pointer:
		if ct.User {
			space = types.User
		}
		e.t = types.TPtr(ct.Elem(), space)
	case ctype.Int, ctype.Char, ctype.Enum, ctype.Bool:
		if k, ok := x.(*eConst); ok && ct.Kind == ctype.Int {
			return c.constant(narrow(k, ct), k.pos, "the number")
		}
		e.t = c.valueType(ct, types.Kernel)
		e.aux = ct
	default:
		return c.bad(args[1].position(), "", "a value cannot be cast to %s", ct)
	}
	return e
}

// addressSpace returns the memory that the address x belongs to. For a number, that is known only
// at run time.
func addressSpace(x expr) types.Space {
	if x.typ().Kind == types.Ptr {
		return x.typ().Space
	}
	return types.AnySpace
}

func checkContainerOf(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	ct, off, ok := c.memberOffset(args[1], args[2])
	if !ok || args[0].typ().Kind == types.Invalid {
		return invalid(call.Lparen)
	}
	x := c.addressOf(args[0])
	space := addressSpace(x)
	if x = c.wantInt(x, "the address"); x.typ().Kind == types.Invalid {
		return x
	}
	x = &eBinary{node{types.TUint, call.Lparen}, syntax.MINUS, x, intConst(int64(off), call.Lparen)}
	return mk(row, call, types.TPtr(ct, space), []expr{x})
}

func checkOffsetof(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	_, off, ok := c.memberOffset(args[0], args[1])
	if !ok {
		return invalid(call.Lparen)
	}
	return intConst(int64(off), call.Lparen)
}

func checkSizeof(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := args[0]
	if k, ok := x.(*eConst); ok && k.t.Kind == types.Str {
		ct := c.typeNamed(k.v.(string), k.pos)
		if ct == nil {
			return invalid(call.Lparen)
		}
		if ct.Size == 0 && !ct.IsRecord() {
			return c.bad(k.pos, "", "the size of %s is not known", ct)
		}
		return intConst(int64(ct.Size), call.Lparen)
	}
	switch x := x.(type) {
	case *eMemRef:
		if x.bits != 0 {
			return c.bad(x.pos, "take the size of its struct, or of its type: sizeof(\"u32\")", "%s is a bit field: it has no size in bytes", x.text)
		}
		return intConst(int64(x.c.Size), call.Lparen)
	case *eArg:
		return intConst(int64(x.f.Size), call.Lparen)
	}
	switch t := x.typ(); {
	case t.Kind == types.Invalid:
		return x
	case t.IsInt(), t.Kind == types.Ptr:
		return intConst(8, call.Lparen)
	}
	return c.bad(x.position(), `name a type: sizeof("struct sock")`, "%s has no size in a handler", x.typ().WithArticle())
}

func checkGetattr(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	name, ok := c.constString(args[1], "the name")
	if !ok || args[0].typ().Kind == types.Invalid {
		return invalid(call.Lparen)
	}
	return c.attr(args[0], name, args[1].position())
}

// lowerCast narrows or extends an int to the width of a C type. Addresses stay as they are.
func lowerCast(lw *lowerer, e *eBuiltin) val {
	w := lw.value(e.args[0]).w
	ct, ok := e.aux.(*ctype.Type)
	switch {
	case !ok || ct.Size == 8:
	case ct.Kind == ctype.Bool:
		return lw.selectValue(e.t, func(yes, no *ir.Block) { lw.b.If(ir.NE, w, lw.b.Const(0), yes, no) }, boolConst(true, e.pos), boolConst(false, e.pos))
	default:
		w = lw.extend(w, 0, 8*ct.Size, ct.Signed)
	}
	return scalar(e.t, w)
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
		return h.constant("cast", big.NewInt(word(x)), typ)
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
