package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// ctypeBuiltins returns the builtins that deal with C types.
func ctypeBuiltins() []builtin {
	return []builtin{
		{"cast", "cast(x, type)", `an address as a pointer to a kernel type ("struct sock" and "struct sock *" mean the same), or an int as a C integer type or enum`,
			`state = cast(e.args.skaddr, "struct sock").__sk_common.skc_state`, checkCast, lowerCast},
		{"container_of", "container_of(ptr, type, member)", "the struct that contains the member at an address", `parent = container_of(e.task.sibling.next, "struct task_struct", "sibling")`,
			checkContainerOf, lowerCast},
		{"offsetof", "offsetof(type, member)", "the offset of a member in bytes", `off = offsetof("struct task_struct", "se.vruntime")`, checkOffsetof, nil},
		{"sizeof", "sizeof(type)", "the size in bytes of a C type, or of a value", `size = sizeof("struct task_struct")`, checkSizeof, nil},
		{"getattr", "getattr(x, name)", "x.name, for a member whose name is a Starlark keyword", `n = getattr(e.task, "pid")`, checkGetattr, nil},
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

// memberOffset returns a type and the offset in bytes of its member, which may be nested ("a.b").
func (c *checker) memberOffset(typ, member expr) (ct *ctype.Type, off int, ok bool) {
	name, ok1 := c.constString(typ, "the type")
	path, ok2 := c.constString(member, "the member")
	if !ok1 || !ok2 {
		return nil, 0, false
	}
	if ct = c.typeNamed(name, typ.position()); ct == nil {
		return nil, 0, false
	}
	if off, ok = c.offsetIn(ct, path, member.position()); !ok {
		return nil, 0, false
	}
	return ct, off, true
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
	return c.bad(x.position(), `name a type: sizeof("struct sock")`, "a %s has no size in a handler", x.typ())
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
