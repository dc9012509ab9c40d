package compiler

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// valueType returns the type in a handler of a C value in memory of the given space; TInvalid if a
// handler cannot read it.
func (c *checker) valueType(ct *ctype.Type, space types.Space) *types.Type {
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

func (c *checker) enumType(ct *ctype.Type) *types.Type {
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

// lookup returns a C type, or reports that there is none and returns nil.
func (c *checker) lookup(name string, pos syntax.Position) *ctype.Type {
	if t := basicTypes[name]; t != nil {
		return t
	}
	t, err := c.req.Types.Lookup(name)
	if err != nil {
		c.errorf(pos, "", "this needs the kernel's types: %v", err)
		return nil
	}
	if t == nil {
		names, err := c.req.Types.Names(name)
		if err != nil {
			names = nil // report the missing type without suggestions
		}
		c.errorf(pos, didYouMean(name, names), "this kernel has no type %q", name)
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

// typeNamed returns the type of a name that may end in stars. "u64 __user *" is a pointer to user
// memory.
func (c *checker) typeNamed(name string, pos syntax.Position) *ctype.Type {
	if to, user, ok := types.PointsTo(name); ok {
		t := c.typeNamed(to, pos)
		if t == nil {
			return nil
		}
		p := ctype.PointerTo(t)
		p.User = user
		return p
	}
	return c.lookup(types.Unqualified(name), pos)
}

// pointee returns the type that a pointer points to, or reports why it is not known and returns
// nil. The format of a tracepoint has only the type's name, so BTF is read when a handler follows
// the pointer.
func (c *checker) pointee(t *types.Type, pos syntax.Position) *ctype.Type {
	if t.C != nil {
		return t.C
	}
	return c.typeNamed(types.Pointee(t.Text), pos)
}

// textOf returns the source text of an expression for messages.
func textOf(x expr) string {
	switch x := x.(type) {
	case *eMemRef:
		return x.text
	case *eField:
		return "e." + x.name
	case *eArg:
		if x.f.Result {
			return "e.ret"
		}
		return "e.args." + x.f.Name
	case *eVar:
		return x.v.name
	case *eConvert:
		return textOf(x.x)
	case *eNarrow:
		return textOf(x.x)
	}
	return "(...)"
}

// deref returns the location that a pointer points to, or x itself if it is a location. After an
// error, which it reports, it returns nil.
func (c *checker) deref(x expr, pos syntax.Position, verb string) *eMemRef {
	t := x.typ()
	switch t.Kind {
	case types.Mem:
		return x.(*eMemRef)
	case types.Ptr:
		ct := c.pointee(t, pos)
		if ct == nil {
			return nil
		}
		if a, ok := x.(*eArg); ok && a.f.C != nil && ct.Kind == ctype.Struct {
			c.facts.FollowsArgs = true
		}
		return &eMemRef{node: node{pos: pos}, base: x, c: ct, space: t.Space, direct: c.trustedBase(x, ct), text: textOf(x)}
	case types.Opt:
		if t.Elem.Kind == types.Ptr {
			c.errorf(pos, "compare it with None first: if x != None: ...", "%s may be None", textOf(x))
			return nil
		}
	}
	c.errorf(pos, usage(t), "%s cannot be %s in a handler", t.WithArticle(), verb)
	return nil
}

// trustedBase reports whether the verifier knows what x points to, so that plain loads can follow
// it.
func (c *checker) trustedBase(x expr, ct *ctype.Type) bool {
	if ct.Kind != ctype.Struct || ct.Name == "" || x.typ().Space == types.User {
		return false
	}
	switch x := x.(type) {
	case *eArg:
		return c.req.Event.BTFArgs && x.f.Kind == abi.FieldPointer
	case *eField:
		return x.name == "task" && c.req.Features.TaskBTF
	case *eMemRef:
		return x.direct && !x.c.PerCPU
	}
	return false
}

// finishMemRef sets the type of a location to that of its value.
func (c *checker) finishMemRef(p *eMemRef, pos syntax.Position) expr {
	p.pos = pos
	p.t = c.valueType(p.c, p.space)
	if p.bits > 0 && p.bits < 64 && !p.c.Signed && p.t.IsInt() {
		p.t = types.TNat
	}
	if p.t.Kind == types.Invalid {
		return c.bad(pos, "", "a handler cannot read %s: its type is %s", p.text, p.c)
	}
	// for the loader: the verifier may reject the program because of it
	if p.direct && p.t.Kind != types.Mem {
		c.facts.Direct = true
	}
	return p
}

// member checks x.name for a pointer to a struct or for a struct in memory.
func (c *checker) member(x expr, name string, pos syntax.Position) expr {
	p := c.deref(x, pos, "followed with ."+name)
	if p == nil {
		return invalid(pos)
	}
	if !p.c.IsRecord() {
		hint := ""
		if p.c.Kind == ctype.Void || p.c.Kind == ctype.Int {
			hint = `say what it points to: cast(x, "struct NAME")`
		}
		if p.c.Kind == ctype.Pointer {
			hint = "it points to a pointer: write x[0]." + name
		}
		if p.c.Kind == ctype.Other {
			return c.bad(pos, `say what it points to: cast(x, "struct NAME")`, "%s has no member %s: this kernel does not describe the contents of %s", p.text, name, types.WithArticle(p.c.String()))
		}
		if hint == "" {
			hint = `if it points to a struct: cast(x, "struct NAME")`
		}
		return c.bad(pos, hint, "%s has no member %s: its type is %s", p.text, name, typeText(x, p.c))
	}
	m, ok := p.c.Find(name)
	if !ok {
		return c.bad(pos, didYouMean(name, p.c.MemberNames()), "%s has no member %s on this kernel", p.c, name)
	}
	q := *p
	q.c, q.bit, q.bits = m.Type, m.Off, m.Bits
	if m.Bits == 0 {
		q.off, q.bit = p.off+m.Off/8, 0
	} else {
		q.off, q.bit = p.off+m.Off/8, m.Off%8
	}
	q.direct = p.direct && !m.InUnion && m.Bits == 0 && m.Type.Kind != ctype.Union && m.Type.Kind != ctype.Array && q.off < maxLoad
	q.text = p.text + "." + name
	return c.finishMemRef(&q, pos)
}

// typeText returns the C type of x, which is ct or a pointer to it.
func typeText(x expr, ct *ctype.Type) string {
	if x.typ().Kind == types.Ptr {
		return ctype.PointerTo(ct).String()
	}
	return ct.String()
}

// element checks x[i] for an array or, as in C, for a pointer.
func (c *checker) element(x, i expr, pos syntax.Position) expr {
	i = c.wantInt(i, "the index")
	if i.typ().Kind == types.Invalid {
		return invalid(pos)
	}
	p := c.deref(x, pos, "indexed")
	if p == nil {
		return invalid(pos)
	}
	q := *p
	n, bounded := 0, false
	if p.c.Kind == ctype.Array {
		q.c, n = p.c.Elem(), p.c.Len
		bounded = n > 0
	}
	if q.c.Size == 0 {
		return c.bad(pos, `say what it points to: cast(x, "struct NAME *")`, "%s cannot be indexed: the size of %s is not known", p.text, q.c)
	}
	q.text = p.text + "[...]"
	if k, ok := i.(*eConst); ok {
		at := word(k.v)
		if bounded && at < 0 {
			at += int64(n)
		}
		if bounded && (at < 0 || at >= int64(n)) {
			return c.bad(i.position(), "", "index out of range: %s has %s", p.text, countOf(int(n), "element"))
		}
		if at > maxOffset/int64(q.c.Size) || at < -maxOffset/int64(q.c.Size) {
			return c.bad(i.position(), "", "the index is too large")
		}
		q.off += int(at) * q.c.Size
		q.text = fmt.Sprintf("%s[%d]", p.text, at)
		q.direct = p.direct && p.c.Kind != ctype.Array && at == 0
		return c.finishMemRef(&q, pos)
	}
	q.direct = false
	q.index = append(append([]placeIndex{}, p.index...), placeIndex{i, q.c.Size, n, pos})
	return c.finishMemRef(&q, pos)
}

// maxOffset is the maximum constant offset, which must fit in a 32-bit immediate.
const maxOffset = 1 << 30

// maxLoad is the limit for the offset of a plain load, which has 16 bits including the sign.
const maxLoad = 1 << 15

// held checks an expression whose value is stored. For a struct or an array, also inside a tuple,
// the value is its address.
func (c *checker) held(x syntax.Expr) expr {
	if t, ok := unparen(x).(*syntax.TupleExpr); ok {
		return c.tuple(t, t.List, c.held)
	}
	return c.addressOf(c.expr(x))
}

// addressOf returns the address of x if x is a struct or an array in memory, and otherwise x. The
// result can be stored and passed on.
func (c *checker) addressOf(x expr) expr {
	p, ok := x.(*eMemRef)
	if !ok || p.t.Kind != types.Mem {
		return x
	}
	return &eAddr{node{types.TPtr(p.c, p.space), p.pos}, p}
}

// offsetIn returns the offset in bytes of a member, which may be nested ("a.b").
func (c *checker) offsetIn(ct *ctype.Type, member string, pos syntax.Position) (off int, ok bool) {
	at := ct
	for part := range strings.SplitSeq(member, ".") {
		if !at.IsRecord() {
			c.errorf(pos, "", "%s is not a struct: it has no member %s", at, part)
			return 0, false
		}
		m, found := at.Find(part)
		if !found {
			c.errorf(pos, didYouMean(part, at.MemberNames()), "%s has no member %s on this kernel", at, part)
			return 0, false
		}
		if m.Bits != 0 {
			c.errorf(pos, "", "%s is a bit field: it has no offset in bytes", part)
			return 0, false
		}
		off += m.Off / 8
		at = m.Type
	}
	return off, true
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
