package compiler

import (
	"cmp"
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

// dot checks x.name outside a call.
func (c *checker) dot(x *syntax.DotExpr) expr {
	n := len(c.diags)
	recv := c.expr(x.X)
	if id, ok := x.X.(*syntax.Ident); ok && recv.typ().Kind == types.List && len(c.diags) == n {
		return c.bad(x.Name.NamePos, cmp.Or(wordHint(wordlist.Name(id.Name)), usage(recv.typ())), "a list has no attribute %s in a handler", x.Name.Name)
	}
	return c.attr(recv, x.Name.Name, x.Name.NamePos)
}

func (c *checker) attr(recv expr, name string, pos syntax.Position) expr {
	switch recv.typ().Kind {
	case types.Invalid:
		return recv
	case types.Event:
		var names []string
		for _, f := range c.rows.fields {
			if f.name == name {
				if o := c.req.Event.Override(name); o != nil {
					return c.arg(o, pos)
				}
				if f.check != nil {
					return f.check(c, pos)
				}
				return &eField{node{f.t, pos}, name}
			}
			names = append(names, f.name)
		}
		hint := didYouMean(name, names)
		if w := wordlist.Field(name); w != nil {
			hint = w.Hint()
		}
		if c.req.Event.Field(name) != nil {
			hint = "write e.args." + name
		}
		if hint == "" {
			hint = "it has " + strings.Join(names, ", ")
		}
		return c.bad(pos, hint, "an event has no field %s", name)
	case types.Args:
		f := c.req.Event.Field(name)
		if f == nil && c.req.Event.Typed != nil {
			return c.typedArg(name, pos)
		}
		if f == nil {
			var names []string
			for _, g := range c.req.Event.Fields {
				names = append(names, g.Name)
			}
			hint := didYouMean(name, names)
			if hint == "" && len(names) > 0 {
				hint = "it has " + strings.Join(names, ", ")
			}
			return c.bad(pos, hint, "%s has no argument %s", c.req.Name, name)
		}
		return c.arg(f, pos)
	case types.Stream:
		return c.bad(pos, cmp.Or(hostMethods[name], usage(types.TStream)), "%s.%s cannot be read in a handler", recv.(*eStatic).ent.(*Stream).Name, name)
	case types.Map:
		m := recv.(*eStatic).ent.(*Map)
		return c.bad(pos, cmp.Or(hostMethods[name], usage(types.TMap)), "%s.%s cannot be read in a handler", m.Name, name)
	case types.Ptr, types.Mem, types.Opt:
		return c.member(recv, name, pos)
	}
	return c.bad(pos, usage(recv.typ()), "%s has no attribute %s in a handler", recv.typ().WithArticle(), name)
}

// arg returns the expression that reads an argument by name.
func (c *checker) arg(f *abi.Field, pos syntax.Position) expr {
	c.facts.ReadsContext, c.facts.ReadsFields = true, true
	c.fields[f.Name] = true
	return c.argExpr(f, pos)
}

func (c *checker) argExpr(f *abi.Field, pos syntax.Position) expr {
	n := node{types.TInt, pos}
	switch f.Kind {
	case abi.FieldInt, abi.FieldMemory:
		switch {
		case f.Kind == abi.FieldMemory && strings.Contains(f.CType, "*"):
			n.t = &types.Type{Kind: types.Ptr, Space: spaceOf(f), Text: f.CType}
		default:
			n.t = intType(f.Size, f.Signed)
		}
		if f.C != nil {
			n.t = c.valueType(f.C, types.Kernel)
		}
	case abi.FieldConst:
		return intConst(f.Value, pos)
	case abi.FieldBool:
		n.t = types.TBool
	case abi.FieldPointer:
		n.t = &types.Type{Kind: types.Ptr, Space: spaceOf(f), Text: f.CType}
		if f.C != nil {
			n.t = types.TPtr(f.C.Elem(), spaceOf(f))
		}
	case abi.FieldCharArray:
		n.t = types.TStr(f.Size)
	case abi.FieldMemoryString:
		n.t = types.TCut(f.Size - 1)
	case abi.FieldDataLocString, abi.FieldRelLocString:
		n.t = types.TCut(dataLocLen)
	case abi.FieldArray:
		n.t = &types.Type{Kind: types.Array, Elem: intType(f.ElemSize, f.Signed)}
	case abi.FieldValue:
		n.t = typeOfValue(f)
	default:
		if f.Why != "" {
			return c.bad(pos, "", "%s", f.Why)
		}
		return c.bad(pos, "", "a handler cannot read %s: its type is %s", f.Name, f.CType)
	}
	e := &eArg{n, f, 0, 0}
	e.t = c.narrowInt(e, e.t)
	return e
}

// typeOfValue returns the type of a field of kind FieldValue.
func typeOfValue(f *abi.Field) *types.Type { return f.Type.(*types.Type) }

// spaceOf returns the memory that a pointer argument points to. Only the mark __user says so. Most
// kernels describe their functions and events without it, so an unmarked pointer may point to
// either memory.
func spaceOf(f *abi.Field) types.Space {
	if f.User {
		return types.User
	}
	return types.AnySpace
}

// intType returns the type of an integer of the source. It is unsigned only if it is 64 bits wide.
func intType(size int, signed bool) *types.Type {
	switch {
	case size == 8 && signed:
		return types.TLong
	case size == 8:
		return types.TUint
	case signed:
		return types.TInt
	}
	return types.TNat
}

// dataLocLen is the number of bytes that are read of a string in the record's tail.
// str(e.args.name, n) reads n-1 bytes instead.
const dataLocLen = 255

// indexedArg checks e.args[i].
func (c *checker) indexedArg(x *syntax.IndexExpr, i expr) expr {
	k, ok := i.(*eConst)
	if !ok || k.t.Kind != types.Int {
		return c.bad(i.position(), "", "the index of e.args must be a constant int")
	}
	n := word(k.v)
	if args := c.req.Event.Args; args != nil {
		if n < 0 || n >= int64(len(args)) {
			return c.bad(i.position(), "", "index out of range: %s has %s", c.req.Name, countOf(len(args), "argument"))
		}
		c.facts.ReadsContext = true
		c.facts.ReadsFields = c.facts.ReadsFields || !c.req.Event.SameArgs
		return c.argExpr(&args[n], x.Lbrack)
	}
	if !c.req.Event.RawArgs {
		return c.bad(x.Lbrack, "read one of them: e.args.NAME", "the arguments of %s have names", c.req.Name)
	}
	if n < 0 || n > 11 {
		return c.bad(i.position(), "", "index out of range: a raw tracepoint has at most 12 arguments")
	}
	c.facts.ReadsContext = true
	return &eArg{node{types.TUint, x.Lbrack}, &abi.Field{Kind: abi.FieldInt, Offset: int(8 * n), Size: 8, CType: "u64"}, 0, 0}
}

// arrayElem checks e.args.NAME[i].
func (c *checker) arrayElem(x *syntax.IndexExpr, a *eArg, i expr) expr {
	k, ok := i.(*eConst)
	if !ok || k.t.Kind != types.Int {
		return c.bad(i.position(), "", "the index of e.args.%s must be a constant int", a.f.Name)
	}
	n := word(k.v)
	if n < 0 {
		n += int64(a.f.Len)
	}
	if n < 0 || n >= int64(a.f.Len) {
		return c.bad(i.position(), "", "index out of range: e.args.%s has %s", a.f.Name, countOf(int(a.f.Len), "element"))
	}
	e := &eArg{node{a.t.Elem, x.Lbrack}, a.f, int(n), 0}
	e.t = c.narrowInt(e, e.t)
	return e
}

func countOf(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// eventPID returns the expression e.pid.
func (c *checker) eventPID() expr {
	return c.attr(&eStatic{node: node{types.TEvent, c.req.Handler.Pos}}, "pid", c.req.Handler.Pos)
}

// compat returns the expression e.compat.
func (c *checker) compat(pos syntax.Position) expr {
	c.facts.Direct = c.facts.Direct || c.req.Compat != nil && c.req.Features.TaskBTF
	return &eField{node{types.TBool, pos}, "compat"}
}
