package check

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
	"github.com/bpfrepl/bpfrepl/internal/plural"
)

// ValueType returns the type in a handler of a C value in memory of the given space; TInvalid if a
// handler cannot read it.
func (c *Checker) ValueType(ct *ctype.Type, space types.Space) *types.Type {
	switch ct.Kind {
	case ctype.Int, ctype.Char:
		return intType(ct.Size, ct.Signed)
	case ctype.Bool:
		return types.TBool
	case ctype.Enum:
		return c.enumType(ct)
	case ctype.Pointer:
		if ct.User || space == types.User {
			return types.TPtr(ct.Elem(), types.User)
		}
		return types.TPtr(ct.Elem(), types.AnySpace) // struct iovec in kernel memory points to user memory
	case ctype.Array:
		if ct.Elem().Kind == ctype.Char {
			return types.TCut(charLen(ct) - 1)
		}
		return types.TMem(ct, space)
	case ctype.Struct, ctype.Union:
		return types.TMem(ct, space)
	}
	return types.TInvalid
}

// charLen returns the number of bytes to read of a char array: all of it, the last byte being the
// NUL. If the array is long or has no length, it returns the limit for other strings of unknown
// length. str(x, n) reads another length.
func charLen(ct *ctype.Type) int {
	if ct.Len == 0 {
		return dataLocLen + 1
	}
	return min(ct.Len, dataLocLen+1)
}

func (c *Checker) enumType(ct *ctype.Type) *types.Type {
	if t := c.enums[ct]; t != nil {
		return t
	}
	names := map[int64]string{}
	for _, v := range ct.Values() {
		// Of several names, take the first in the kernel source.
		if _, ok := names[v.N]; !ok {
			names[v.N] = v.Name
		}
	}
	t := types.TFormatted(intType(min(ct.Size, 4), ct.Signed), &types.Format{Name: "enum", Noun: ct.String(), Arg: ct.Name, Names: names, Numeric: true})
	c.enums[ct] = t
	return t
}

// LookupType returns a C type, or reports an error and returns nil if the kernel has no such type.
func (c *Checker) LookupType(name string, pos syntax.Position) *ctype.Type {
	if t := basicTypes[name]; t != nil {
		return t
	}
	t, err := c.Req.Types.Lookup(name)
	if err != nil {
		c.Errorf(pos, "", "this needs the kernel's types: %v", err)
		return nil
	}
	if t == nil {
		names, err := c.Req.Types.Names(name)
		if err != nil {
			names = nil // report the missing type without suggestions
		}
		c.Errorf(pos, DidYouMean(name, names), "this kernel has no type %q", name)
	}
	return t
}

// basicTypes has the types of every kernel, so that they do not require reading BTF.
var basicTypes = func() map[string]*ctype.Type {
	m := map[string]*ctype.Type{"void": {Kind: ctype.Void}, "char": {Kind: ctype.Char, Name: "char", Size: 1, Signed: true},
		"bool": {Kind: ctype.Bool, Name: "bool", Size: 1}, "_Bool": {Kind: ctype.Bool, Name: "_Bool", Size: 1}}
	for size, names := range map[int][][2]string{
		1: {{"s8", "u8"}, {"__s8", "__u8"}, {"int8_t", "uint8_t"}, {"signed char", "unsigned char"}},
		2: {{"s16", "u16"}, {"__s16", "__u16"}, {"int16_t", "uint16_t"}, {"short", "unsigned short"}},
		4: {{"s32", "u32"}, {"__s32", "__u32"}, {"int32_t", "uint32_t"}, {"int", "unsigned int"}, {"int", "unsigned"}},
		8: {{"s64", "u64"}, {"__s64", "__u64"}, {"int64_t", "uint64_t"}, {"long", "unsigned long"}, {"long long", "unsigned long long"}, {"ssize_t", "size_t"}},
	} {
		for _, n := range names {
			m[n[0]] = &ctype.Type{Kind: ctype.Int, Name: n[0], Size: size, Signed: true}
			m[n[1]] = &ctype.Type{Kind: ctype.Int, Name: n[1], Size: size}
		}
	}
	return m
}()

// TypeNamed returns the type of a name that may end in stars. "u64 __user *" is a pointer to user
// memory.
func (c *Checker) TypeNamed(name string, pos syntax.Position) *ctype.Type {
	if to, user, ok := types.PointsTo(name); ok {
		t := c.TypeNamed(to, pos)
		if t == nil {
			return nil
		}
		p := ctype.PointerTo(t)
		p.User = user
		return p
	}
	return c.LookupType(types.Unqualified(name), pos)
}

// Pointee returns the type that a pointer points to, or reports why it is not known and returns
// nil. The format of a tracepoint has only the type's name, so BTF is read when a handler follows
// the pointer.
func (c *Checker) Pointee(t *types.Type, pos syntax.Position) *ctype.Type {
	if t.C != nil {
		return t.C
	}
	return c.TypeNamed(types.Pointee(t.Text), pos)
}

// textOf returns the source text of an expression for messages.
func textOf(x tree.Expr) string {
	switch x := x.(type) {
	case *tree.MemExpr:
		return x.Text
	case *tree.FieldExpr:
		return "e." + x.Name
	case *tree.ArgExpr:
		if x.Field.Result {
			return "e.ret"
		}
		return "e.args." + x.Field.Name
	case *tree.VarExpr:
		return x.Local.Name
	case *tree.ConvertExpr:
		return textOf(x.X)
	case *tree.NarrowExpr:
		return textOf(x.X)
	}
	return "(...)"
}

// deref returns the location that a pointer points to, or x itself if it is a location. After an
// error, which it reports, it returns nil.
func (c *Checker) deref(x tree.Expr, pos syntax.Position, verb string) *tree.MemExpr {
	t := x.Type()
	switch t.Kind {
	case types.Mem:
		return x.(*tree.MemExpr)
	case types.Ptr:
		ct := c.Pointee(t, pos)
		if ct == nil {
			return nil
		}
		if a, ok := x.(*tree.ArgExpr); ok && a.Field.C != nil && ct.Kind == ctype.Struct {
			c.Facts.FollowsArgs = true
		}
		return &tree.MemExpr{Node: tree.Node{Pos: pos}, Base: x, CType: ct, Space: t.Space, Trusted: c.trustedBase(x, ct), Text: textOf(x)}
	case types.Opt:
		if t.Elem.Kind == types.Ptr {
			c.Errorf(pos, "compare it with None first: if x != None: ...", "%s may be None", textOf(x))
			return nil
		}
	}
	c.Errorf(pos, UsageHint(t), "%s cannot be %s in a handler", t.WithArticle(), verb)
	return nil
}

// trustedBase reports whether the verifier knows what x points to, so that plain loads can follow
// it.
func (c *Checker) trustedBase(x tree.Expr, ct *ctype.Type) bool {
	if ct.Kind != ctype.Struct || ct.Name == "" || x.Type().Space == types.User {
		return false
	}
	switch x := x.(type) {
	case *tree.ArgExpr:
		return c.Req.Event.BTFArgs && x.Field.Kind == abi.FieldPointer
	case *tree.FieldExpr:
		return x.Name == "task" && c.Req.Features.TaskBTF
	case *tree.MemExpr:
		return x.Trusted && !x.CType.PerCPU
	}
	return false
}

// finishMemRef sets the type of a location to that of its value.
func (c *Checker) finishMemRef(p *tree.MemExpr, pos syntax.Position) tree.Expr {
	p.Pos = pos
	p.T = c.ValueType(p.CType, p.Space)
	if p.Bits > 0 && p.Bits < 64 && !p.CType.Signed && p.T.IsInt() {
		p.T = types.TNat
	}
	if p.T.Kind == types.Invalid {
		return c.Bad(pos, "", "a handler cannot read %s: its type is %s", p.Text, p.CType)
	}
	// for the loader: the verifier may reject the program because of it
	if p.Trusted && p.T.Kind != types.Mem {
		c.Facts.TrustedLoads = true
	}
	return p
}

// Member checks x.name for a pointer to a struct or for a struct in memory.
func (c *Checker) Member(x tree.Expr, name string, pos syntax.Position) tree.Expr {
	p := c.deref(x, pos, "followed with ."+name)
	if p == nil {
		return tree.Invalid(pos)
	}
	if !p.CType.IsRecord() {
		hint := ""
		if p.CType.Kind == ctype.Void || p.CType.Kind == ctype.Int {
			hint = `say what it points to: cast(x, "struct NAME")`
		}
		if p.CType.Kind == ctype.Pointer {
			hint = "it points to a pointer: write x[0]." + name
		}
		if p.CType.Kind == ctype.Other {
			return c.Bad(pos, `say what it points to: cast(x, "struct NAME")`, "%s has no member %s: this kernel does not describe the contents of %s", p.Text, name, types.WithArticle(p.CType.String()))
		}
		if hint == "" {
			hint = `if it points to a struct: cast(x, "struct NAME")`
		}
		return c.Bad(pos, hint, "%s has no member %s: its type is %s", p.Text, name, typeText(x, p.CType))
	}
	m, ok := p.CType.Find(name)
	if !ok {
		return c.Bad(pos, DidYouMean(name, p.CType.MemberNames()), "%s has no member %s on this kernel", p.CType, name)
	}
	q := *p
	q.CType, q.Bit, q.Bits = m.Type, m.Off, m.Bits
	if m.Bits == 0 {
		q.Off, q.Bit = p.Off+m.Off/8, 0
	} else {
		q.Off, q.Bit = p.Off+m.Off/8, m.Off%8
	}
	q.Trusted = p.Trusted && !m.InUnion && m.Bits == 0 && m.Type.Kind != ctype.Union && m.Type.Kind != ctype.Array && q.Off < maxLoad
	q.Text = p.Text + "." + name
	return c.finishMemRef(&q, pos)
}

// typeText returns the C type of x, which is ct or a pointer to it.
func typeText(x tree.Expr, ct *ctype.Type) string {
	if x.Type().Kind == types.Ptr {
		return ctype.PointerTo(ct).String()
	}
	return ct.String()
}

// element checks x[i] for an array or, as in C, for a pointer.
func (c *Checker) element(x, i tree.Expr, pos syntax.Position) tree.Expr {
	i = c.WantInt(i, "the index")
	if i.Type().Kind == types.Invalid {
		return tree.Invalid(pos)
	}
	p := c.deref(x, pos, "indexed")
	if p == nil {
		return tree.Invalid(pos)
	}
	q := *p
	n, bounded := 0, false
	if p.CType.Kind == ctype.Array {
		q.CType, n = p.CType.Elem(), p.CType.Len
		bounded = n > 0
	}
	if q.CType.Size == 0 {
		return c.Bad(pos, `say what it points to: cast(x, "struct NAME *")`, "%s cannot be indexed: the size of %s is not known", p.Text, q.CType)
	}
	q.Text = p.Text + "[...]"
	if k, ok := i.(*tree.ConstExpr); ok {
		at := tree.Word(k.Value)
		if bounded && at < 0 {
			at += int64(n)
		}
		if bounded && (at < 0 || at >= int64(n)) {
			return c.Bad(i.Position(), "", "index out of range: %s has %s", p.Text, plural.Of(int(n), "element"))
		}
		if at > maxOffset/int64(q.CType.Size) || at < -maxOffset/int64(q.CType.Size) {
			return c.Bad(i.Position(), "", "the index is too large")
		}
		q.Off += int(at) * q.CType.Size
		q.Text = fmt.Sprintf("%s[%d]", p.Text, at)
		q.Trusted = p.Trusted && p.CType.Kind != ctype.Array && at == 0
		return c.finishMemRef(&q, pos)
	}
	q.Trusted = false
	q.Index = append(append([]tree.MemIndex{}, p.Index...), tree.MemIndex{X: i, Size: q.CType.Size, N: n, Pos: pos})
	return c.finishMemRef(&q, pos)
}

// maxOffset is the maximum constant offset, which must fit in a 32-bit immediate.
const maxOffset = 1 << 30

// maxLoad is the limit for the offset of a plain load, which has 16 bits including the sign.
const maxLoad = 1 << 15

// held checks an expression whose value is stored. For a struct or an array, also inside a tuple,
// the value is its address.
func (c *Checker) held(x syntax.Expr) tree.Expr {
	if t, ok := unparen(x).(*syntax.TupleExpr); ok {
		return c.tuple(t, t.List, c.held)
	}
	return c.AddressOf(c.expr(x))
}

// AddressOf returns the address of x if x is a struct or an array in memory, and otherwise x. The
// result can be stored and passed on.
func (c *Checker) AddressOf(x tree.Expr) tree.Expr {
	p, ok := x.(*tree.MemExpr)
	if !ok || p.T.Kind != types.Mem {
		return x
	}
	return &tree.AddrExpr{Node: tree.At(types.TPtr(p.CType, p.Space), p.Pos), X: p}
}

// OffsetIn returns the offset in bytes of a member, which may be nested ("a.b").
func (c *Checker) OffsetIn(ct *ctype.Type, member string, pos syntax.Position) (off int, ok bool) {
	at := ct
	for part := range strings.SplitSeq(member, ".") {
		if !at.IsRecord() {
			c.Errorf(pos, "", "%s is not a struct: it has no member %s", at, part)
			return 0, false
		}
		m, found := at.Find(part)
		if !found {
			c.Errorf(pos, DidYouMean(part, at.MemberNames()), "%s has no member %s on this kernel", at, part)
			return 0, false
		}
		if m.Bits != 0 {
			c.Errorf(pos, "", "%s is a bit field: it has no offset in bytes", part)
			return 0, false
		}
		off += m.Off / 8
		at = m.Type
	}
	return off, true
}

// MemberOffset returns a type and the offset in bytes of its member, which may be nested ("a.b").
func (c *Checker) MemberOffset(typ, member tree.Expr) (ct *ctype.Type, off int, ok bool) {
	name, ok1 := c.ConstString(typ, "the type")
	path, ok2 := c.ConstString(member, "the member")
	if !ok1 || !ok2 {
		return nil, 0, false
	}
	if ct = c.TypeNamed(name, typ.Position()); ct == nil {
		return nil, 0, false
	}
	if off, ok = c.OffsetIn(ct, path, member.Position()); !ok {
		return nil, 0, false
	}
	return ct, off, true
}
