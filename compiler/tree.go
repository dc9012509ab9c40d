package compiler

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
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
	// eField reads a builtin field of the event: "pid".
	eField struct {
		node
		name string
	}
	// eArg reads a typed argument of the event. index is the element of an array. max, if not 0, is
	// the number of bytes to read of a string, including the NUL.
	eArg struct {
		node
		f     *abi.Field
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
	// eBuiltin is a call of the builtin of that name.
	eBuiltin struct {
		node
		name string
		args []expr
		aux  any
	}
	// eStr is str(ptr, max). Lowering reads the string directly to its destination.
	eStr struct {
		node
		ptr expr
		max int  // size in bytes, including the NUL
		n   expr // nil, or the number of bytes to read, known only at run time
	}
	// eBuf is buf(ptr, n). Lowering reads the bytes directly to their destination.
	eBuf struct {
		node
		ptr expr
	}
	// ePath is path(p, max). Lowering builds the string directly at its destination.
	ePath struct {
		node
		ptr expr // points to a struct path
		at  *pathLayout
	}
	// eMemRef is a location in memory, at an offset from a pointer: a member of a struct or an
	// element of an array. The offsets of nested members and constant indices add up. The value is
	// read when it is used, unless it is itself a struct or an array.
	eMemRef struct {
		node
		base   expr // a pointer
		off    int  // in bytes
		index  []placeIndex
		c      *ctype.Type
		bit    int // bit field: first bit, counted from off
		bits   int
		space  types.Space
		direct bool   // a plain load works: the verifier knows what base points to
		text   string // source text, for messages
	}
	// placeIndex adds x * size to the offset of a location.
	placeIndex struct {
		x    expr
		size int
		n    int // number of elements; 0 if unknown
		pos  syntax.Position
	}
	// eAddr is the address of a location.
	eAddr struct {
		node
		x *eMemRef
	}
	// eMethod is a call of a method, or an operator that a method implements: "[]", "in".
	eMethod struct {
		node
		kind string // of receiver: "table"
		name string
		recv expr
		m    *Map
		args []expr // in the order of the signature; nil if omitted
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
		top    bool // the handler or the filter itself
	}
)

// A local is a variable of a handler, or of a function that it calls.
type local struct {
	name   string
	t      *types.Type     // join of the types of all assignments
	at     syntax.Position // of the assignment that determined t
	static expr            // if not nil, the variable is this compile-time value
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
		x    expr   // converted to the result type of the call
		call *eCall // that it returns from
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
	Facts
	pid     expr // the event's PID, compared with Request.PIDFilter; nil if that is nil
	filter  expr // a condition; nil if there is none
	handler *eCall
	types   map[*Map]MapTypes // of the maps that they use
}

// Facts states what the host has to know about a handler and cannot see in its instructions.
type Facts struct {
	Maps         []MapUse // sorted by Ref
	Captured     []Captured
	Warnings     diag.List
	ReadsContext bool     // reads fields of the event, so it has to run at the event itself
	ReadsFields  bool     // reads fields that other probes of the kind may not have, or have elsewhere
	Fields       []string // arguments that it reads by name, if ReadsFields
	TypedArgs    bool     // reads arguments from Event.Typed, so it fits this event only
	FollowsArgs  bool     // follows pointers among those arguments
	// Direct reports whether the program loads through pointers whose types the verifier has to
	// know (Features.TaskBTF, Event.BTFArgs).
	Direct bool
	Denies bool // calls deny(), so the program has a result
}

// A MapUse is a map that the program refers to by Map.Ref, with the key and value types inferred so
// far.
type MapUse struct {
	Map   *Map
	Types MapTypes
}

// A Captured is a name from outside the handler that became a constant.
type Captured struct{ Name, Value string }

// MapTypes has the types of a map's keys and values, nil if not known, and the positions of the
// uses that determined them.
type MapTypes struct {
	Key, Val     *types.Type
	KeyAt, ValAt syntax.Position
}

// taskType only names the type: BTF is read for it when a handler follows it.
var taskType = &types.Type{Kind: types.Ptr, Text: "struct task_struct *"}
