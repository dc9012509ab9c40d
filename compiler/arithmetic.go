package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// An Arithmetic holds the types of the results of a function's operations, so that an interpreter can wrap numbers as the
// compiled function does. A function has one for each of its calls, since its types depend on the arguments.
type Arithmetic struct {
	// Results holds the types of operations, indexings, slices and calls, by the position of the operator, "[" or "(".
	// Code that the checker did not reach is missing.
	Results map[syntax.Position]*types.Type
	// Calls holds the functions that are called, by the position of the "(".
	Calls map[syntax.Position]*Arithmetic
}

// CheckArithmetic checks the handler of a request and returns its Arithmetic. The error is a diag.List.
func CheckArithmetic(req *Request) (*Arithmetic, error) {
	c := newChecker(req)
	c.noting = true
	tree := c.program()
	if len(c.diags) > 0 {
		return nil, c.diags.Sort()
	}
	return tree.handler.frame.arith, nil
}

// newArithmetic returns the Arithmetic of a function that is called at pos by the function of frame up, which may be nil.
func newArithmetic(up *frame, pos syntax.Position) *Arithmetic {
	a := &Arithmetic{Results: map[syntax.Position]*types.Type{}, Calls: map[syntax.Position]*Arithmetic{}}
	if up != nil {
		up.arith.Calls[pos] = a
	}
	return a
}

// note notes the type of an expression. Functions are checked repeatedly until no type grows; the last time counts.
func (c *checker) note(pos syntax.Position, e expr) expr {
	if c.frame.arith != nil {
		c.frame.arith.Results[pos] = e.typ()
	}
	return e
}
