package builtin

import (
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// constant evaluates cast(x, type), offsetof or sizeof for constant arguments, as a handler would.
// name is the builtin. The result is a bool or a *big.Int.
func (h *hostCall) constant(name string, args ...any) (any, error) {
	c := check.New(h.rows, &tree.Request{Types: h, Source: func(syntax.Position) string { return "" }})
	row := h.rows.Builtins[name]
	var xs []tree.Expr
	for _, a := range args {
		x := c.Constant(a, syntax.Position{}, "the argument")
		xs = append(xs, x)
	}
	if check.AnyInvalid(xs) {
		return nil, fmt.Errorf("%s: %s", name, c.Diags[0].Msg)
	}
	e := row.Check(c, row, &syntax.CallExpr{}, xs)
	if len(c.Diags) > 0 {
		d := c.Diags[0]
		if d.Hint != "" {
			return nil, fmt.Errorf("%s: %s; %s", name, d.Msg, d.Hint)
		}
		return nil, fmt.Errorf("%s: %s", name, d.Msg)
	}
	if k, ok := e.(*tree.ConstExpr); ok {
		return k.Value, nil
	}
	n := tree.Word(args[0])
	var ct *ctype.Type
	if call, ok := e.(*tree.BuiltinExpr); ok {
		ct, _ = call.Aux.(*ctype.Type)
	}
	sized := ct != nil
	switch {
	case sized && ct.Kind == ctype.Bool:
		return n != 0, nil
	case sized && ct.Size < 8:
		bits := 64 - 8*ct.Size
		if n <<= bits; ct.Signed {
			n >>= bits
		} else {
			n = int64(uint64(n) >> bits)
		}
	}
	if t := e.Type().Underlying(); t.Kind == types.Uint || t.Kind == types.Ptr {
		return new(big.Int).SetUint64(uint64(n)), nil
	}
	return big.NewInt(n), nil
}
