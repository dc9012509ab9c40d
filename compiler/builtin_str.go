package compiler

import (
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

func checkStr(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x, n := args[0], int64(256)
	if anyInvalid(args) {
		return invalid(call.Lparen)
	}
	if args[1] != nil {
		k, ok := args[1].(*eConst)
		if !ok {
			return strOfLength(c, call, x, args[1])
		}
		if k.t.Kind != types.Int || word(k.v) < 2 || word(k.v) > MaxStr {
			return c.bad(args[1].position(), "", "str: max must be an int from 2 to %d", MaxStr)
		}
		n = word(k.v)
	}
	t := types.TCut(int(n) - 1)
	// limit the read itself, instead of slicing afterwards
	if p, ok := x.(*eMemRef); ok && p.t.Kind == types.Str {
		q := *p
		if q.t = t; p.c.Len > 0 {
			q.t = types.TCut(min(int(n), p.c.Len) - 1)
		}
		return &q
	}
	x = c.addressOf(x)
	switch x.typ().Kind {
	case types.Str:
		if k, ok := x.(*eConst); ok {
			if s := k.v.(string); int64(len(s)) >= n {
				return c.constant(s[:n-1], k.pos, "the string")
			}
			return x
		}
		if a, ok := x.(*eArg); ok && a.max == 0 && (int64(x.typ().Cap) > n || a.f.Kind == abi.FieldDataLocString || a.f.Kind == abi.FieldRelLocString) {
			return &eArg{node{t, a.pos}, a.f, a.index, int(n)} // limit the read itself
		}
		if int64(x.typ().Cap) <= n {
			return x
		}
		return c.stringSlice(call.Lparen, x, 0, n-1)
	case types.Ptr, types.Int, types.Uint:
		if noAddress(c, x, "str", "the string") {
			return invalid(call.Lparen)
		}
		return &eStr{node{t, call.Lparen}, x, int(n), nil}
	case types.Formatted:
		return c.bad(x.position(), "use it directly: as a key, or in print", "str: %s becomes a string only on the host", x.typ().WithArticle())
	}
	return c.bad(x.position(), `use printf("%d", ...) to show a number`, "str reads the string at an address; %s is not an address", x.typ().WithArticle())
}

// noAddress reports an error and returns true if the int x cannot be an address, because it is a
// constant or narrower than 64 bits in the source. name and what are for the message.
func noAddress(c *checker, x expr, name, what string) bool {
	k, konst := x.(*eConst)
	if t := x.typ(); t.Kind == types.Ptr || t.Addr && !(konst && word(k.v) == 0) {
		return false
	}
	c.errorf(x.position(), `print and keys show a number as it is; if it is an address: `+name+`(cast(x, "char *")`+map[string]string{"buf": ", n"}[name]+`)`,
		"%s reads %s at an address; this int is not an address", name, what)
	return true
}

// strOfLength checks str(ptr, n) with n known only at run time. The maximum is 256 bytes, or MOST
// bytes if n is written as min(n, MOST).
func strOfLength(c *checker, call *syntax.CallExpr, x, n expr) expr {
	n = c.wantInt(n, "max of str")
	if n.typ().Kind == types.Invalid {
		return n
	}
	most := int64(256)
	if m, ok := n.(*eBuiltin); ok && m.name == "min" {
		for _, a := range m.args {
			if k, ok := a.(*eConst); ok && word(k.v) >= 2 && word(k.v) <= MaxStr {
				most = word(k.v)
			}
		}
	}
	x = c.addressOf(x)
	switch x.typ().Kind {
	case types.Str:
		return c.bad(n.position(), "slice it: s[:n]", "str: this is already a string, so it takes no length")
	case types.Ptr, types.Int, types.Uint:
		if noAddress(c, x, "str", "the string") {
			return invalid(call.Lparen)
		}
		return &eStr{node{types.TCut(int(most) - 1), call.Lparen}, x, int(most), n}
	}
	return c.bad(x.position(), "", "str reads the string at an address; %s is not an address", x.typ().WithArticle())
}

func checkBuf(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	if anyInvalid(args) {
		return invalid(call.Lparen)
	}
	k, ok := args[1].(*eConst)
	if !ok || k.t.Kind != types.Int || word(k.v) < 1 || word(k.v) > MaxStr {
		return c.bad(args[1].position(), "read the maximum and slice with constants: buf(ptr, 64)[:16]; a string can have a run-time length: str(ptr, n)", "buf: n must be a constant from 1 to %d", MaxStr)
	}
	if p, ok := args[0].(*eMemRef); ok && p.t.Kind == types.Mem && p.c.Size > 0 && int64(p.c.Size) < word(k.v) {
		return c.bad(args[1].position(), fmt.Sprintf("write buf(x, %d)", p.c.Size), "buf: %s has %d bytes", p.text, p.c.Size)
	}
	switch x := c.addressOf(args[0]); x.typ().Kind {
	case types.Ptr, types.Int, types.Uint:
		if noAddress(c, x, "buf", "the bytes") {
			return invalid(call.Lparen)
		}
		return &eBuf{node{types.TBytes(int(word(k.v))), call.Lparen}, x}
	default:
		return c.bad(x.position(), "", "buf reads the bytes at an address; %s is not an address", x.typ().WithArticle())
	}
}

func checkOrd(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := args[0]
	switch {
	case x.typ().Kind == types.Invalid:
		return x
	case x.typ().Kind == types.Str:
		return c.bad(x.position(), "read bytes: ord(buf(ptr, 8)[i])", "ord() takes bytes of length 1 in a handler, not a string")
	case x.typ().Kind != types.Bytes || x.typ().Len != 1:
		return c.bad(x.position(), "", "ord() takes bytes of length 1 in a handler, not %s", x.typ())
	}
	if k, ok := x.(*eConst); ok {
		return intConst(int64(k.v.(Bytes)[0]), call.Lparen)
	}
	return mk(row, call, types.TNat, args)
}

func checkLen(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := args[0]
	if k, ok := x.(*eConst); ok && k.t.Kind != types.Invalid {
		switch v := k.v.(type) {
		case string:
			return intConst(int64(len(v)), call.Lparen)
		case Bytes:
			return intConst(int64(len(v)), call.Lparen)
		case Tuple:
			return intConst(int64(len(v)), call.Lparen)
		case List:
			return intConst(int64(len(v)), call.Lparen)
		case Set:
			return intConst(int64(len(v)), call.Lparen)
		case Dict:
			return intConst(int64(len(v.Keys)), call.Lparen)
		}
	}
	switch x.typ().Kind {
	case types.Invalid:
		return x
	case types.Tuple:
		return intConst(int64(len(x.typ().Elems)), call.Lparen)
	case types.Bytes:
		return intConst(int64(x.typ().Len), call.Lparen)
	case types.Str:
		return mk(row, call, types.TNat, args)
	}
	return c.bad(x.position(), usage(x.typ()), "%s has no len() in a handler", x.typ().WithArticle())
}

// hostStr cuts a string as a handler does. The text of other values is that of Starlark's str.
func hostStr(h *hostCall) (any, error) {
	switch s := h.Const(h.args[0]).(type) {
	case string:
		if n, ok := h.Const(h.args[1]).(*big.Int); ok && n.IsInt64() && n.Sign() > 0 && int64(len(s)) >= n.Int64() {
			s = s[:n.Int64()-1]
		}
		return s, nil
	case Bytes:
		return string([]rune(s)), nil // bytes that are not UTF-8 are replaced
	}
	return h.Repr(h.args[0])
}

// hostBuf returns the first n bytes of the value that the event has in place of an address, padded
// with zeros.
func hostBuf(h *hostCall) (any, error) {
	n := h.within(1, 0, MaxStr)
	var text string
	switch x := h.Const(h.args[0]).(type) {
	case Bytes:
		text = string(x)
	case string:
		text = x
	default:
		return nil, fmt.Errorf("buf: the script cannot read memory: give the event bytes instead of the address, got %s", h.TypeName(h.args[0]))
	}
	out := make([]byte, n)
	copy(out, text)
	return Bytes(out), nil
}
