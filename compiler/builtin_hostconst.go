package compiler

import (
	"fmt"
	"math/big"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// constant evaluates cast(x, type), offsetof or sizeof for constant arguments, as a handler would.
// name is the builtin. The result is a bool or a *big.Int.
func (h *hostCall) constant(name string, args ...any) (any, error) {
	c := newChecker(h.rows, &Request{Types: h, Source: func(syntax.Position) string { return "" }})
	row := h.rows.builtins[name]
	var xs []expr
	for _, a := range args {
		x := c.constant(a, syntax.Position{}, "the argument")
		xs = append(xs, x)
	}
	if anyInvalid(xs) {
		return nil, fmt.Errorf("%s: %s", name, c.diags[0].Msg)
	}
	e := row.check(c, row, &syntax.CallExpr{}, xs)
	if len(c.diags) > 0 {
		d := c.diags[0]
		if d.Hint != "" {
			return nil, fmt.Errorf("%s: %s; %s", name, d.Msg, d.Hint)
		}
		return nil, fmt.Errorf("%s: %s", name, d.Msg)
	}
	if k, ok := e.(*eConst); ok {
		return k.v, nil
	}
	n := word(args[0])
	var ct *ctype.Type
	if call, ok := e.(*eBuiltin); ok {
		ct, _ = call.aux.(*ctype.Type)
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
	if t := e.typ().Underlying(); t.Kind == types.Uint || t.Kind == types.Ptr {
		return new(big.Int).SetUint64(uint64(n)), nil
	}
	return big.NewInt(n), nil
}
