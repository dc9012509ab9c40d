package check

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// An Arithmetic has the result types of a function's operations, so that an interpreter can wrap
// numbers as the compiled function does. A function has one Arithmetic per call, because its types
// depend on the arguments.
type Arithmetic struct {
	// Results has the types of operations, index expressions, slices and calls, by the position of
	// the operator, "[" or "(". Code that the checker did not reach has no entry.
	Results map[syntax.Position]*types.Type
	// Calls has the Arithmetic of each called function, by the position of the "(".
	Calls map[syntax.Position]*Arithmetic
}

// RecordArithmetic checks the handler of a request and returns its Arithmetic. The error is a
// diag.List.
func RecordArithmetic(rows *Tables, req *tree.Request) (*Arithmetic, error) {
	c := New(rows, req)
	c.noting = true
	c.program()
	if len(c.Diags) > 0 {
		return nil, c.Diags.Sort()
	}
	return c.arith, nil
}

// newArithmetic returns an Arithmetic for a function called at pos. If up, the caller's frame, is
// not nil, it is entered in the caller's Calls.
func newArithmetic(up *frame, pos syntax.Position) *Arithmetic {
	a := &Arithmetic{Results: map[syntax.Position]*types.Type{}, Calls: map[syntax.Position]*Arithmetic{}}
	if up != nil {
		up.arith.Calls[pos] = a
	}
	return a
}

// note records the type of an expression and returns the expression. Functions are checked
// repeatedly until no type grows; the last record counts.
func (c *Checker) note(pos syntax.Position, e tree.Expr) tree.Expr {
	if c.frame.arith != nil {
		c.frame.arith.Results[pos] = e.Type()
	}
	return e
}
