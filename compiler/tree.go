package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// The typed tree is what the checker makes and lowering reads. Every expression has a type; conversions stand as
// nodes; names are resolved; calls of Starlark functions carry their body, checked for these arguments.

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
	// eConst is a constant: None, bool, int, string, bytes, tuple; also list, dict, set, which have no bytes.
	eConst struct {
		node
		v any
	}
	// eStatic is what exists at compile time only: the event, its arguments, a map, a function.
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
	// eArg reads a typed argument; index is the element of an array; max, if not 0, is how much of a string is read.
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
	eLogic struct { // AND, OR, giving one of the operands
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
	// eIn tells whether x is among constants.
	eIn struct {
		node
		x    expr
		list []any
		not  bool
	}
	// eContains tells whether y, a string or bytes, holds x; x may be a number where y is bytes.
	eContains struct {
		node
		x, y expr
	}
	// eIndex is a byte of x, a string or bytes, as a string or bytes.
	eIndex struct {
		node
		x, i expr
	}
	// eSlice is part of x, a string or bytes: at most most bytes. Bounds below 0 count from the end, as sliceEnd does.
	eSlice struct {
		node
		x      expr
		lo, hi int64
		most   int
		// the bounds that are known at run time; nil: lo or hi
		xlo, xhi expr
	}
	// eDict looks x up in a constant dict; def nil: a missing key ends the handler. Where of is not nil, the values are its
	// elements, each of them twice: by the index from the start, and by that from the end.
	eDict struct {
		node
		x     expr
		dict  Dict
		def   expr
		of    expr
		index bool // a missing key is an index out of range
	}
	// eConvert gives x as another type that holds it.
	eConvert struct {
		node
		x expr
	}
	// eTruth is x as a bool.
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
	// eMethod is a method of a map or of a string, a row of methods.
	eMethod struct {
		node
		row  *method
		recv expr
		m    *Map
		args []expr // as the row says; nil where left out
		// names of the arguments, of a method that takes any
		names []string
	}
	// eCall is a Starlark function with its arguments, in place.
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
	t      *types.Type // joined over all assignments
	static expr        // not nil: the variable is this, at compile time
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
	// sFor counts v from lo to hi by step.
	sFor struct {
		stmtNode
		v      *local
		lo, hi expr
		step   int64
		body   []stmt
	}
	// sCount runs its body for v from lo to below hi (above, where step is negative), with bounds known at run time.
	sCount struct {
		stmtNode
		v      *local
		lo, hi expr
		step   int64
		body   []stmt
		kept   []*local // what a loop that runs at least once assigns for sure
	}
	sWhile struct {
		stmtNode
		cond expr
		body []stmt
		kept []*local // what the loop gives a value for sure, as it is left by break
	}
	// sItems runs its body for each key of a table or aggregation; v is the key, the value, or both as a tuple.
	sItems struct {
		stmtNode
		v    *local
		m    *Map
		what string // "keys", "values" or "items"
		body []stmt
	}
	// loopStmt is a loop whose length is not known when the handler is compiled.
	loopStmt interface {
		stmt
		statements() []stmt
		keeps() []*local // what is read after the loop, and assigned in it alone
	}
	// sEach runs its body once for each element, which are constants or locals.
	sEach struct {
		stmtNode
		v    *local
		list []expr // of the variable's type
		body []stmt
	}
	sReturn struct {
		stmtNode
		x     expr // already of the frame's type
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
	// sAugment is t[k] += v, for a key that is there.
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

// A treeProgram is a checked handler, with the filter before it.
type treeProgram struct {
	pid     expr // of the event, which has to be that of Request.Process; nil: any will do
	filter  *eCall
	handler *eCall
}
