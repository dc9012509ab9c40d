package check

import (
	"cmp"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

// dot checks x.name outside a call.
func (c *Checker) dot(x *syntax.DotExpr) tree.Expr {
	n := len(c.Diags)
	recv := c.expr(x.X)
	if id, ok := x.X.(*syntax.Ident); ok && recv.Type().Kind == types.List && len(c.Diags) == n {
		return c.Bad(x.Name.NamePos, cmp.Or(wordHint(wordlist.Name(id.Name)), UsageHint(recv.Type())), "a list has no attribute %s in a handler", x.Name.Name)
	}
	return c.Attr(recv, x.Name.Name, x.Name.NamePos)
}

// Attr checks recv.name: a field of the event, an argument, or a member of a struct.
func (c *Checker) Attr(recv tree.Expr, name string, pos syntax.Position) tree.Expr {
	switch recv.Type().Kind {
	case types.Invalid:
		return recv
	case types.Event:
		var names []string
		for _, f := range c.rows.Fields {
			if f.Name == name {
				if o := c.Req.Event.Override(name); o != nil {
					return c.Arg(o, pos)
				}
				if f.Check != nil {
					return f.Check(c, pos)
				}
				return &tree.FieldExpr{Node: tree.At(f.T, pos), Name: name}
			}
			names = append(names, f.Name)
		}
		hint := DidYouMean(name, names)
		if w := wordlist.Field(name); w != nil {
			hint = w.Hint()
		}
		if c.Req.Event.Field(name) != nil {
			hint = "write e.args." + name
		}
		if hint == "" {
			hint = "it has " + strings.Join(names, ", ")
		}
		return c.Bad(pos, hint, "an event has no field %s", name)
	case types.Args:
		f := c.Req.Event.Field(name)
		if f == nil && c.Req.Event.Typed != nil {
			return c.typedArg(name, pos)
		}
		if f == nil {
			var names []string
			for _, g := range c.Req.Event.Fields {
				names = append(names, g.Name)
			}
			hint := DidYouMean(name, names)
			if hint == "" && len(names) > 0 {
				hint = "it has " + strings.Join(names, ", ")
			}
			return c.Bad(pos, hint, "%s has no argument %s", c.Req.Name, name)
		}
		return c.Arg(f, pos)
	case types.Stream:
		return c.Bad(pos, cmp.Or(hostMethods[name], UsageHint(types.TStream)), "%s.%s cannot be read in a handler", recv.(*tree.StaticExpr).Entity.(*tree.Stream).Name, name)
	case types.Map:
		m := recv.(*tree.StaticExpr).Entity.(*tree.Map)
		return c.Bad(pos, cmp.Or(hostMethods[name], UsageHint(types.TMap)), "%s.%s cannot be read in a handler", m.Name, name)
	case types.Formatted:
		if recv.Type().IsStruct() {
			return c.structField(recv, name, pos)
		}
	case types.Ptr, types.Mem, types.Opt:
		if recv.Type().Kind == types.Opt && recv.Type().Elem.IsStruct() {
			return c.Bad(pos, UsageHint(recv.Type()), "the struct may be None")
		}
		return c.Member(recv, name, pos)
	}
	return c.Bad(pos, UsageHint(recv.Type()), "%s has no attribute %s in a handler", recv.Type().WithArticle(), name)
}

// Arg returns the expression that reads an argument by name.
func (c *Checker) Arg(f *abi.Field, pos syntax.Position) tree.Expr {
	c.Facts.ReadsContext, c.Facts.ReadsFields = true, true
	c.fields[f.Name] = true
	return c.argExpr(f, pos)
}

func (c *Checker) argExpr(f *abi.Field, pos syntax.Position) tree.Expr {
	n := tree.At(types.TInt, pos)
	switch f.Kind {
	case abi.FieldInt, abi.FieldMemory:
		switch {
		case f.Kind == abi.FieldMemory && strings.Contains(f.CType, "*"):
			n.T = &types.Type{Kind: types.Ptr, Space: spaceOf(f), Text: f.CType}
		default:
			n.T = intType(f.Size, f.Signed)
		}
		if f.C != nil {
			n.T = c.ValueType(f.C, types.Kernel)
		}
	case abi.FieldConst:
		return tree.IntConst(f.Value, pos)
	case abi.FieldBool:
		n.T = types.TBool
	case abi.FieldPointer:
		n.T = &types.Type{Kind: types.Ptr, Space: spaceOf(f), Text: f.CType}
		if f.C != nil {
			n.T = types.TPtr(f.C.Elem(), spaceOf(f))
		}
		// for the loader: the verifier may reject the program because of it
		c.Facts.TrustedLoads = c.Facts.TrustedLoads || f.ToNumber() && c.Req.Event.BTFArgs
	case abi.FieldCharArray:
		n.T = types.TStr(f.Size)
	case abi.FieldMemoryString:
		n.T = types.TCut(f.Size - 1)
	case abi.FieldDataLocString, abi.FieldRelLocString:
		n.T = types.TCut(dataLocLen)
	case abi.FieldArray:
		n.T = &types.Type{Kind: types.Array, Elem: intType(f.ElemSize, f.Signed)}
	case abi.FieldValue:
		n.T = tree.TypeOfValue(f)
	default:
		if f.Why != "" {
			return c.Bad(pos, "", "%s", f.Why)
		}
		return c.Bad(pos, "", "a handler cannot read %s: its type is %s", f.Name, f.CType)
	}
	e := &tree.ArgExpr{Node: n, Field: f, Index: 0, Max: 0}
	e.T = c.narrowInt(e, e.T)
	return e
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
func (c *Checker) indexedArg(x *syntax.IndexExpr, i tree.Expr) tree.Expr {
	k, ok := i.(*tree.ConstExpr)
	if !ok || k.T.Kind != types.Int {
		return c.Bad(i.Position(), "", "the index of e.args must be a constant int")
	}
	n := tree.Word(k.Value)
	if args := c.Req.Event.Args; args != nil {
		if n < 0 || n >= int64(len(args)) {
			return c.Bad(i.Position(), "", "index out of range: %s has %s", c.Req.Name, plural.Of(len(args), "argument"))
		}
		c.Facts.ReadsContext = true
		c.Facts.ReadsFields = c.Facts.ReadsFields || !c.Req.Event.SameArgs
		return c.argExpr(&args[n], x.Lbrack)
	}
	if !c.Req.Event.RawArgs {
		return c.Bad(x.Lbrack, "read one of them: e.args.NAME", "the arguments of %s have names", c.Req.Name)
	}
	if n < 0 || n > 11 {
		return c.Bad(i.Position(), "", "index out of range: a raw tracepoint has at most 12 arguments")
	}
	c.Facts.ReadsContext = true
	return &tree.ArgExpr{Node: tree.At(types.TUint, x.Lbrack), Field: &abi.Field{Kind: abi.FieldInt, Offset: int(8 * n), Size: 8, CType: "u64"}, Index: 0, Max: 0}
}

// arrayElem checks e.args.NAME[i].
func (c *Checker) arrayElem(x *syntax.IndexExpr, a *tree.ArgExpr, i tree.Expr) tree.Expr {
	k, ok := i.(*tree.ConstExpr)
	if !ok || k.T.Kind != types.Int {
		return c.Bad(i.Position(), "", "the index of e.args.%s must be a constant int", a.Field.Name)
	}
	n := tree.Word(k.Value)
	if n < 0 {
		n += int64(a.Field.Len)
	}
	if n < 0 || n >= int64(a.Field.Len) {
		return c.Bad(i.Position(), "", "index out of range: e.args.%s has %s", a.Field.Name, plural.Of(int(a.Field.Len), "element"))
	}
	e := &tree.ArgExpr{Node: tree.At(a.T.Elem, x.Lbrack), Field: a.Field, Index: int(n), Max: 0}
	e.T = c.narrowInt(e, e.T)
	return e
}

// eventPID returns the expression e.pid.
func (c *Checker) eventPID() tree.Expr {
	return c.Attr(&tree.StaticExpr{Node: tree.At(types.TEvent, c.Req.Handler.Pos)}, "pid", c.Req.Handler.Pos)
}

// Compat returns the expression e.compat.
func (c *Checker) Compat(pos syntax.Position) tree.Expr {
	c.Facts.TrustedLoads = c.Facts.TrustedLoads || c.Req.Compat != nil && c.Req.Features.TaskBTF
	return &tree.FieldExpr{Node: tree.At(types.TBool, pos), Name: "compat"}
}

// spaceOf returns the memory that a pointer argument points to. Only the mark __user says so. Most
// kernels describe their functions and events without it, so an unmarked pointer may point to
// either memory.
func spaceOf(f *abi.Field) types.Space {
	if f.User {
		return types.User
	}
	return types.AnySpace
}

// typedArg checks e.args.NAME if only BTF has the names.
func (c *Checker) typedArg(name string, pos syntax.Position) tree.Expr {
	if c.typed == nil && c.typedErr == nil {
		c.typed, c.typedErr = c.Req.Event.Typed()
	}
	if c.typedErr != nil {
		return c.Bad(pos, "read the raw arguments by index: e.args[0]", "the argument names of %s are unknown: %v", c.Req.Name, c.typedErr)
	}
	var names []string
	for i := range c.typed {
		if f := &c.typed[i]; f.Name == name {
			c.Facts.TypedArgs = true
			return c.Arg(f, pos)
		}
		names = append(names, c.typed[i].Name)
	}
	hint := DidYouMean(name, names)
	if hint == "" && len(names) > 0 {
		hint = "it has " + strings.Join(names, ", ")
	}
	return c.Bad(pos, hint, "%s has no argument %s", c.Req.Name, name)
}
