package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// The checker builds a typed tree, and lowering reads it. Every expression has a type, conversions
// are nodes, and names are resolved. A call of a Starlark function carries the function's body,
// checked for the arguments of this call.

type expr interface {
	typ() *types.Type
	position() syntax.Position
}

type node struct {
	t   *types.Type
	pos syntax.Position
}

func (n *node) typ() *types.Type          { return n.t }
func (n *node) position() syntax.Position { return n.pos }

type (
	// eConst is a constant: None, bool, int, string, bytes or tuple; or a list, dict or set, which
	// have no bytes.
	eConst struct {
		node
		v any
	}
	// eStatic is a value that exists at compile time only: the event, its arguments, a map or a
	// function.
	eStatic struct {
		node
		ent Entity
	}
	// eVar reads a local.
	eVar struct {
		node
		v *local
	}
	// eField reads a builtin field of the event, a row of eventFields.
	eField struct {
		node
		row *eventField
	}
	// eArg reads a typed argument of the event. index is the element of an array. max, if not 0, is
	// the number of bytes to read of a string, including the NUL.
	eArg struct {
		node
		f     *Field
		index int
		max   int
	}
	eBinary struct {
		node
		op   syntax.Token
		x, y expr
	}
	eUnary struct { // MINUS, TILDE
		node
		op syntax.Token
		x  expr
	}
	eCompare struct {
		node
		op   syntax.Token
		x, y expr
	}
	eNot struct {
		node
		x expr
	}
	// AND, OR; the result is one of the operands
	eLogic struct {
		node
		op   syntax.Token
		x, y expr
	}
	eCond struct {
		node
		c, t, f expr
	}
	eTuple struct {
		node
		elems []expr
	}
	// eElem is an element of a tuple.
	eElem struct {
		node
		x expr
		i int
	}
	// eIn reports whether x is (or, if not is set, is not) among constants.
	eIn struct {
		node
		x    expr
		list []any
		not  bool
	}
	// eContains reports whether y, a string or bytes, contains x. x may be a number if y is bytes.
	eContains struct {
		node
		x, y expr
	}
	// eIndex is one byte of x, a string or bytes. Its type is the same as that of x.
	eIndex struct {
		node
		x, i expr
	}
	// eSlice is a slice of x, a string or bytes, of at most most bytes. Negative bounds count from
	// the end; sliceEnd as the upper bound is the end.
	eSlice struct {
		node
		x      expr
		lo, hi int64
		most   int
		// Bounds that are known only at run time; if nil, lo or hi applies.
		xlo, xhi expr
	}
	// eDict looks x up in a constant dict. If def is nil, a missing key ends the handler. If of is
	// not nil, the values are the elements of of, and the dict has each of them twice: under the
	// index from the start and under the index from the end.
	eDict struct {
		node
		x     expr
		dict  Dict
		def   expr
		of    expr
		index bool // a missing key is reported as an index out of range
	}
	// eConvert converts x to another type that holds all its values.
	eConvert struct {
		node
		x expr
	}
	// eTruth is x converted to a bool.
	eTruth struct {
		node
		x expr
	}
	// eNarrow is the value of an optional that is known not to be None.
	eNarrow struct {
		node
		x expr
	}
	// eBuiltin is a call of a builtin, a row of builtins.
	eBuiltin struct {
		node
		row  *builtin
		args []expr
		aux  any
	}
	// eMethod is a method call, of a row of methods.
	eMethod struct {
		node
		row  *method
		recv expr
		m    *Map
		args []expr // in the order of row.sig; nil if omitted
		// Argument names, for a method that accepts any names.
		names []string
	}
	// eCall is an inlined call of a Starlark function.
	eCall struct {
		node
		fn     *Func
		params []*local
		args   []expr
		body   []stmt
		frame  *frame
	}
)

// A local is a variable of a handler, or of a function that it calls.
type local struct {
	name   string
	t      *types.Type // join of the types of all assignments
	static expr        // if not nil, the variable is this compile-time value
}

type stmt interface{ position() syntax.Position }

type stmtNode struct{ pos syntax.Position }

func (n stmtNode) position() syntax.Position { return n.pos }

type (
	sAssign struct {
		stmtNode
		v *local
		x expr
	}
	sExpr struct {
		stmtNode
		x expr
	}
	sIf struct {
		stmtNode
		c    expr
		t, f []stmt
	}
	// sFor counts v from lo to hi, both inclusive, by step.
	sFor struct {
		stmtNode
		v      *local
		lo, hi expr
		step   int64
		body   []stmt
	}
	// sCount runs its body with v counting from lo to below hi (above hi if step is negative). The
	// bounds are known only at run time.
	sCount struct {
		stmtNode
		v      *local
		lo, hi expr
		step   int64
		body   []stmt
		kept   []*local // locals that are certainly assigned if the loop runs at least once
	}
	sWhile struct {
		stmtNode
		cond expr
		body []stmt
		kept []*local // locals that are certainly assigned when break leaves the loop
	}
	// sItems runs its body for each key of a table or aggregation; v is the key, the value, or both
	// as a tuple.
	sItems struct {
		stmtNode
		v    *local
		m    *Map
		what string // "keys", "values" or "items"
		body []stmt
	}
	// loopStmt is a loop whose length is not known at compile time.
	loopStmt interface {
		stmt
		statements() []stmt
		keeps() []*local // locals that are assigned only in the loop and read after it
	}
	// sEach runs its body once for each element of list, which are constants or locals.
	sEach struct {
		stmtNode
		v    *local
		list []expr // converted to the variable's type
		body []stmt
	}
	sReturn struct {
		stmtNode
		x     expr // converted to the frame's result type
		frame *frame
	}
	sBranch struct { // BREAK, CONTINUE
		stmtNode
		tok syntax.Token
	}
	// sSet is t[k] = v.
	sSet struct {
		stmtNode
		m        *Map
		key, val expr
	}
	// sAugment is t[k] += v. The key must exist.
	sAugment struct {
		stmtNode
		m        *Map
		key, val expr
	}
)

func (s *sCount) statements() []stmt { return s.body }
func (s *sWhile) statements() []stmt { return s.body }
func (s *sCount) keeps() []*local    { return s.kept }
func (s *sWhile) keeps() []*local    { return s.kept }

// A treeProgram is a checked handler with its filter.
type treeProgram struct {
	pid     expr // the event's PID, compared with Request.PIDFilter; nil if that is nil
	filter  *eCall
	handler *eCall
}
