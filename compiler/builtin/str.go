package builtin

import (
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

func stringBuiltins() []builtin {
	return []builtin{
		{
			name:    "str",
			sig:     "str(ptr, max=256)",
			doc:     "the string at an address, at most max-1 bytes of it; \"\" if it cannot be read",
			example: `opened.add(by=str(e.args.filename, 64))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkStr,
			host:    hostStr,
		},
		{
			name:    "buf",
			sig:     "buf(ptr, n)",
			doc:     "the n bytes at an address, as bytes; zeros if they cannot be read",
			example: `kinds.add(by=buf(e.args.filename, 4))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkBuf,
			host:    hostBuf,
		},
		{
			name:    "ord",
			sig:     "ord(b)",
			doc:     "the value of a single byte, from bytes of length 1",
			example: `first.add(ord(buf(e.args.filename, 1)))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkOrd,
			lower:   lower.Ord,
		},
		{
			name:    "len",
			sig:     "len(x)",
			doc:     "the number of elements of a tuple or a captured collection, of bytes of a string or of bytes",
			example: "longest.add(len(e.comm))",
			check:   checkLen,
			lower:   lower.Len,
		},
	}
}

func checkStr(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x, n := args[0], int64(256)
	if check.AnyInvalid(args) {
		return tree.Invalid(call.Lparen)
	}
	if args[1] != nil {
		k, ok := args[1].(*tree.ConstExpr)
		if !ok {
			return strOfLength(c, call, x, args[1])
		}
		if k.T.Kind != types.Int || tree.Word(k.Value) < 2 || tree.Word(k.Value) > tree.MaxStr {
			return c.Bad(args[1].Position(), "", "str: max must be an int from 2 to %d", tree.MaxStr)
		}
		n = tree.Word(k.Value)
	}
	t := types.TCut(int(n) - 1)
	// limit the read itself, instead of slicing afterwards
	if p, ok := x.(*tree.MemExpr); ok && p.T.Kind == types.Str {
		q := *p
		if q.T = t; p.CType.Len > 0 {
			q.T = types.TCut(min(int(n), p.CType.Len) - 1)
		}
		return &q
	}
	x = c.AddressOf(x)
	switch x.Type().Kind {
	case types.Str:
		if k, ok := x.(*tree.ConstExpr); ok {
			if s := k.Value.(string); int64(len(s)) >= n {
				return c.Constant(s[:n-1], k.Pos, "the string")
			}
			return x
		}
		if a, ok := x.(*tree.ArgExpr); ok && a.Max == 0 && (int64(x.Type().Cap) > n || a.Field.Kind == abi.FieldDataLocString || a.Field.Kind == abi.FieldRelLocString) {
			return &tree.ArgExpr{Node: tree.At(t, a.Pos), Field: a.Field, Index: a.Index, Max: int(n)} // limit the read itself
		}
		if int64(x.Type().Cap) <= n {
			return x
		}
		return c.StringSlice(call.Lparen, x, 0, n-1)
	case types.Ptr, types.Int, types.Uint:
		if noAddress(c, x, "str", "the string") {
			return tree.Invalid(call.Lparen)
		}
		return &tree.StrExpr{Node: tree.At(t, call.Lparen), Ptr: x, Max: int(n), N: nil}
	case types.Formatted:
		return c.Bad(x.Position(), "use it directly: as a key, or in print", "str: %s becomes a string only on the host", x.Type().WithArticle())
	}
	return c.Bad(x.Position(), `use printf("%d", ...) to show a number`, "str reads the string at an address; %s is not an address", x.Type().WithArticle())
}

// noAddress reports an error and returns true if the int x cannot be an address, because it is a
// constant or narrower than 64 bits in the source. name and what are for the message.
func noAddress(c *check.Checker, x tree.Expr, name, what string) bool {
	k, konst := x.(*tree.ConstExpr)
	if t := x.Type(); t.Kind == types.Ptr || t.Addr && !(konst && tree.Word(k.Value) == 0) {
		return false
	}
	c.Errorf(x.Position(), `print and keys show a number as it is; if it is an address: `+name+`(cast(x, "char *")`+map[string]string{"buf": ", n"}[name]+`)`,
		"%s reads %s at an address; this int is not an address", name, what)
	return true
}

// strOfLength checks str(ptr, n) with n known only at run time. The maximum is 256 bytes, or MOST
// bytes if n is written as min(n, MOST).
func strOfLength(c *check.Checker, call *syntax.CallExpr, x, n tree.Expr) tree.Expr {
	n = c.WantInt(n, "max of str")
	if n.Type().Kind == types.Invalid {
		return n
	}
	most := int64(256)
	if m, ok := n.(*tree.BuiltinExpr); ok && m.Name == "min" {
		for _, a := range m.Args {
			if k, ok := a.(*tree.ConstExpr); ok && tree.Word(k.Value) >= 2 && tree.Word(k.Value) <= tree.MaxStr {
				most = tree.Word(k.Value)
			}
		}
	}
	x = c.AddressOf(x)
	switch x.Type().Kind {
	case types.Str:
		return c.Bad(n.Position(), "slice it: s[:n]", "str: this is already a string, so it takes no length")
	case types.Ptr, types.Int, types.Uint:
		if noAddress(c, x, "str", "the string") {
			return tree.Invalid(call.Lparen)
		}
		return &tree.StrExpr{Node: tree.At(types.TCut(int(most)-1), call.Lparen), Ptr: x, Max: int(most), N: n}
	}
	return c.Bad(x.Position(), "", "str reads the string at an address; %s is not an address", x.Type().WithArticle())
}

func checkBuf(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	if check.AnyInvalid(args) {
		return tree.Invalid(call.Lparen)
	}
	k, ok := args[1].(*tree.ConstExpr)
	if !ok || k.T.Kind != types.Int || tree.Word(k.Value) < 1 || tree.Word(k.Value) > tree.MaxStr {
		return c.Bad(args[1].Position(), "read the maximum and slice with constants: buf(ptr, 64)[:16]; a string can have a run-time length: str(ptr, n)", "buf: n must be a constant from 1 to %d", tree.MaxStr)
	}
	if p, ok := args[0].(*tree.MemExpr); ok && p.T.Kind == types.Mem && p.CType.Size > 0 && int64(p.CType.Size) < tree.Word(k.Value) {
		return c.Bad(args[1].Position(), fmt.Sprintf("write buf(x, %d)", p.CType.Size), "buf: %s has %d bytes", p.Text, p.CType.Size)
	}
	switch x := c.AddressOf(args[0]); x.Type().Kind {
	case types.Ptr, types.Int, types.Uint:
		if noAddress(c, x, "buf", "the bytes") {
			return tree.Invalid(call.Lparen)
		}
		return &tree.BufExpr{Node: tree.At(types.TBytes(int(tree.Word(k.Value))), call.Lparen), Ptr: x}
	default:
		return c.Bad(x.Position(), "", "buf reads the bytes at an address; %s is not an address", x.Type().WithArticle())
	}
}

func checkOrd(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := args[0]
	switch {
	case x.Type().Kind == types.Invalid:
		return x
	case x.Type().Kind == types.Str:
		return c.Bad(x.Position(), "read bytes: ord(buf(ptr, 8)[i])", "ord() takes bytes of length 1 in a handler, not a string")
	case x.Type().Kind != types.Bytes || x.Type().Len != 1:
		return c.Bad(x.Position(), "", "ord() takes bytes of length 1 in a handler, not %s", x.Type())
	}
	if k, ok := x.(*tree.ConstExpr); ok {
		return tree.IntConst(int64(k.Value.(tree.Bytes)[0]), call.Lparen)
	}
	return mk(row, call, types.TNat, args)
}

func checkLen(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	x := args[0]
	if n := c.ConstLen(x, call.Lparen); n != nil {
		return n
	}
	switch x.Type().Kind {
	case types.Invalid:
		return x
	case types.Tuple:
		return tree.IntConst(int64(len(x.Type().Elems)), call.Lparen)
	case types.Bytes:
		return tree.IntConst(int64(x.Type().Len), call.Lparen)
	case types.Str:
		return mk(row, call, types.TNat, args)
	}
	return c.Bad(x.Position(), check.UsageHint(x.Type()), "%s has no len() in a handler", x.Type().WithArticle())
}

// hostStr cuts a string as a handler does. The text of other values is that of Starlark's str.
func hostStr(h *hostCall) (any, error) {
	switch s := h.Const(h.args[0]).(type) {
	case string:
		if n, ok := h.Const(h.args[1]).(*big.Int); ok && n.IsInt64() && n.Sign() > 0 && int64(len(s)) >= n.Int64() {
			s = s[:n.Int64()-1]
		}
		return s, nil
	case tree.Bytes:
		return string([]rune(s)), nil // bytes that are not UTF-8 are replaced
	}
	return h.Repr(h.args[0])
}

// hostBuf returns the first n bytes of the value that the event has in place of an address, padded
// with zeros.
func hostBuf(h *hostCall) (any, error) {
	n := h.within(1, 0, tree.MaxStr)
	var text string
	switch x := h.Const(h.args[0]).(type) {
	case tree.Bytes:
		text = string(x)
	case string:
		text = x
	default:
		return nil, fmt.Errorf("buf: the script cannot read memory: give the event bytes instead of the address, got %s", h.TypeName(h.args[0]))
	}
	out := make([]byte, n)
	copy(out, text)
	return tree.Bytes(out), nil
}
