package builtin

import (
	"cmp"
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// netBuiltins returns the builtins that format network addresses.
func netBuiltins() []builtin {
	return []builtin{
		{
			name:    "ntop",
			sig:     "ntop(family_or_addr, addr=None)",
			doc:     "an IP address as text: from an int or 4 bytes in network order, from 16 bytes (of the event, or from buf()), or, given the family (2 or 10), from the memory a pointer points to",
			example: "peers.add(by=ntop(e.args.daddr))",
			probe:   "tracepoint:sock:inet_sock_set_state",
			check:   checkNtop,
			lower:   lower.NetAddress,
			host:    hostNtop,
		},
		{
			name:    "macaddr",
			sig:     "macaddr(addr)",
			doc:     "a hardware address as text, from the first 6 bytes of a bytes value or of the memory a pointer points to",
			example: "neighbours.add(by=macaddr(e.args.lladdr))",
			probe:   "tracepoint:neigh:neigh_update",
			check:   checkMAC,
			lower:   lower.NetAddress,
			host:    hostMAC,
		},
	}
}

// Address families, as in C.
const (
	afINET  = 2
	afINET6 = 10
)

func checkNtop(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	if check.AnyInvalid(args) {
		return tree.Invalid(call.Lparen)
	}
	addr, family := args[0], int64(0)
	if args[1] != nil {
		addr = args[1]
		f := c.WantInt(args[0], "the family")
		if f.Type().Kind == types.Invalid {
			return f
		}
		if k, ok := f.(*tree.ConstExpr); ok {
			if family = tree.Word(k.Value); family != afINET && family != afINET6 {
				return c.Bad(f.Position(), "2 is AF_INET, 10 is AF_INET6", "ntop: no address family %d", family)
			}
		}
	}
	// a struct or array member is read in place
	if p, ok := addr.(*tree.MemExpr); ok && p.T.Kind == types.Mem {
		n := map[int64]int{afINET: 4, afINET6: 16}[family]
		switch {
		case p.CType.Size != 4 && p.CType.Size != 16:
			return c.Bad(addr.Position(), "read 4 or 16 bytes: buf(ptr, 4), buf(ptr, 16)", "ntop: an address has 4 or 16 bytes; %s has %d", p.Text, p.CType.Size)
		case family != 0 && p.CType.Size != n, args[1] != nil && family == 0:
			return c.Bad(addr.Position(), "omit the family", "ntop: %s has %d bytes, which determine the family", p.Text, p.CType.Size)
		case p.CType.Size == 4:
			family = afINET
		default:
			family = afINET6
		}
		addr = c.AddressOf(p)
	}
	size, isBytes := 0, true // size of the address if its bytes are given
	if a, ok := addr.(*tree.ArgExpr); ok && a.T.Kind == types.Array {
		size = a.Field.ElemSize * a.Field.Len
	} else if t := addr.Type(); t.Kind == types.Bytes {
		size = t.Len
	} else {
		isBytes = false
	}
	if isBytes && size != 4 && size != 16 {
		return c.Bad(addr.Position(), "read 4 or 16 bytes: buf(ptr, 4), buf(ptr, 16)", "ntop: an address has 4 or 16 bytes; this has %d", size)
	}
	if isBytes && args[1] != nil && family == 0 {
		return c.Bad(addr.Position(), "omit the family", "ntop: this address has %d bytes, which determine the family", size)
	}
	switch t := addr.Type(); {
	case size == 4 && family == afINET6, size == 16 && family == afINET:
		return c.Bad(addr.Position(), "omit the family", "ntop: %d bytes are not an address of family %d", size, family)
	case size == 16, t.Kind == types.Ptr && family == afINET6:
		return mk(row, call, types.TIP6, []tree.Expr{addr})
	case size == 4, t.Kind == types.Ptr && family == afINET:
		return mk(row, call, types.TIP4, []tree.Expr{addr})
	case t.Kind == types.Ptr:
		return c.Bad(addr.Position(), "write ntop(2, ptr) for IPv4, ntop(10, ptr) for IPv6", "ntop: the family must be a constant for a pointer, because it determines the length of the address")
	case args[1] != nil && family == 0:
		return c.Bad(addr.Position(), "test the family and write ntop(x) for an int; or pass a pointer or bytes", "ntop: an int can hold only an IPv4 address, and this family is known only at run time")
	case family == afINET6:
		return c.Bad(addr.Position(), "pass a pointer to it, or the 16 bytes", "ntop: an IPv6 address does not fit in an int")
	}
	if addr = c.WantInt(addr, "the address"); addr.Type().Kind == types.Invalid {
		return addr
	}
	return mk(row, call, types.TIP4, []tree.Expr{addr})
}

func checkMAC(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	if p, ok := args[0].(*tree.MemExpr); ok && p.T.Kind == types.Mem && p.CType.Size < 6 {
		return c.Bad(p.Pos, "", "macaddr: an address has 6 bytes; %s has %d", p.Text, p.CType.Size)
	}
	args[0] = c.AddressOf(args[0])
	x := args[0]
	a, isArg := x.(*tree.ArgExpr)
	switch {
	case x.Type().Kind == types.Invalid:
		return x
	case x.Type().Kind == types.Ptr, x.Type().Kind == types.Bytes && x.Type().Len >= 6, isArg && a.T.Kind == types.Array && a.Field.ElemSize == 1 && a.Field.Len >= 6:
		return mk(row, call, types.TMAC, args)
	}
	return c.Bad(x.Position(), "", "macaddr takes a pointer, or 6 bytes or more; this is %s", x.Type().WithArticle())
}

// hostNtop accepts what an event can hold in place of an address: an int, the bytes of the address,
// or its text.
func hostNtop(h *hostCall) (any, error) {
	x := h.args[0]
	if h.given(1) {
		if f, ok := h.Const(x).(*big.Int); !ok || tree.Word(f) != afINET && tree.Word(f) != afINET6 {
			s, err := h.Repr(x)
			return nil, cmp.Or(err, fmt.Errorf("ntop: no address family %s; 2 is AF_INET, 10 is AF_INET6", s))
		}
		x = h.args[1]
	}
	switch b, _ := h.bytes(x); len(b) {
	case 4:
		return formatted(types.TIP4, littleEndian(b)), nil
	case 16:
		return formatted(types.TIP6, littleEndian(b[:8]), littleEndian(b[8:])), nil
	}
	switch x := h.Const(x).(type) {
	case string:
		return x, nil
	case *big.Int:
		return formatted(types.TIP4, uint64(tree.Word(x))), nil
	}
	s, err := h.Repr(x)
	return nil, cmp.Or(err, fmt.Errorf("ntop: %s is not an address", s))
}

func hostMAC(h *hostCall) (any, error) {
	if b, ok := h.bytes(h.args[0]); ok && len(b) >= 6 {
		return formatted(types.TMAC, littleEndian(b[:6])), nil
	}
	if s, ok := h.Const(h.args[0]).(string); ok {
		return s, nil
	}
	s, err := h.Repr(h.args[0])
	return nil, cmp.Or(err, fmt.Errorf("macaddr: %s is not a 6-byte address", s))
}

// bytes returns the bytes of a bytes value, or of a list of ints below 256.
func (h *hostCall) bytes(v any) ([]byte, bool) {
	if b, ok := h.Const(v).(tree.Bytes); ok {
		return []byte(b), true
	}
	return h.ByteList(v)
}

// littleEndian returns up to 8 bytes as a number.
func littleEndian(b []byte) uint64 {
	n := uint64(0)
	for i, x := range b {
		n |= uint64(x) << (8 * i)
	}
	return n
}
