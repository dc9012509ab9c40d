// Package tree has what the phases of the compiler hand to each other: the Request, the entities
// that names in a handler refer to, and the typed tree, which package check builds and package
// lower reads. The two phases know nothing of each other.
//
// In the tree every expression has a type, conversions are nodes of their own, and names are
// resolved. An expression that runs a function of the script (CallExpr) has the body of the
// function, checked for the arguments of this call. A call of a builtin, a method or a field of the
// event is a name: what it means is in the tables of package builtin. The types of maps are in the
// Program, because all uses of a map determine them together.
//
//	request.go  what to compile, and what the host offers
//	entity.go   what names outside a handler refer to, and its event
//	tree.go     expressions, statements, Program
//	const.go    the values of constants
//	convert.go  conversions between types and to conditions
//	host.go     what a handler can ask about the host at compile time
//	path.go     where the parts of a path are in the kernel's structs
//	variant.go  forms of loops, of which the verifier may accept one only
//	limits.go   maximum sizes
//
// The package has no policy: it reports no errors to users and emits no code.
package tree

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// An Expr is a checked expression.
type Expr interface {
	Type() *types.Type
	Position() syntax.Position
}

// A Node is what all expressions have: a type and a position.
type Node struct {
	T   *types.Type
	Pos syntax.Position
}

// At returns the node of an expression of type t at pos.
func At(t *types.Type, pos syntax.Position) Node { return Node{t, pos} }

func (n *Node) Type() *types.Type         { return n.T }
func (n *Node) Position() syntax.Position { return n.Pos }

type (
	// ConstExpr is a constant: None, bool, int, string, bytes, tuple or struct; or a list, dict or
	// set, which have no bytes.
	ConstExpr struct {
		Node
		Value any
	}
	// StaticExpr is a value that exists at compile time only: the event, its arguments, a map or a
	// function.
	StaticExpr struct {
		Node
		Entity Entity
	}
	// VarExpr reads a local.
	VarExpr struct {
		Node
		Local *Local
	}
	// FieldExpr reads a builtin field of the event: "pid".
	FieldExpr struct {
		Node
		Name string
	}
	// ArgExpr reads a typed argument of the event. Index is the element of an array. Max, if not 0,
	// is the number of bytes to read of a string, including the NUL.
	ArgExpr struct {
		Node
		Field *abi.Field
		Index int
		Max   int
	}
	BinaryExpr struct {
		Node
		Op   syntax.Token
		X, Y Expr
	}
	UnaryExpr struct { // MINUS, TILDE
		Node
		Op syntax.Token
		X  Expr
	}
	CompareExpr struct {
		Node
		Op   syntax.Token
		X, Y Expr
	}
	NotExpr struct {
		Node
		X Expr
	}
	// LogicExpr is x and y, or x or y; the result is one of the operands.
	LogicExpr struct {
		Node
		Op   syntax.Token
		X, Y Expr
	}
	CondExpr struct {
		Node
		Cond, True, False Expr
	}
	TupleExpr struct {
		Node
		Elems []Expr
	}
	// ElemExpr is an element of a tuple.
	ElemExpr struct {
		Node
		X Expr
		I int
	}
	// InExpr reports whether X is (or, if Not is set, is not) among constants.
	InExpr struct {
		Node
		X    Expr
		List []any
		Not  bool
	}
	// ContainsExpr reports whether Y, a string or bytes, contains X. X may be a number if Y is
	// bytes.
	ContainsExpr struct {
		Node
		X, Y Expr
	}
	// IndexExpr is one byte of X, a string or bytes. It is of the same kind as X.
	IndexExpr struct {
		Node
		X, I Expr
	}
	// SliceExpr is a slice of X, a string or bytes, of at most Most bytes. Negative bounds count
	// from the end; SliceEnd as the upper bound is the end.
	SliceExpr struct {
		Node
		X      Expr
		Lo, Hi int64
		Most   int
		// Bounds that are known only at run time; if nil, Lo or Hi applies.
		XLo, XHi Expr
	}
	// DictExpr looks X up in a constant dict. If Def is nil, a missing key ends the handler. If Of
	// is not nil, the values are the elements of Of, and the dict has each of them twice: under the
	// index from the start and under the index from the end.
	DictExpr struct {
		Node
		X     Expr
		Dict  Dict
		Def   Expr
		Of    Expr
		Index bool // a missing key is reported as an index out of range
	}
	// ConvertExpr converts X to another type that holds all its values.
	ConvertExpr struct {
		Node
		X Expr
	}
	// TruthExpr is X converted to a bool.
	TruthExpr struct {
		Node
		X Expr
	}
	// NarrowExpr is the value of an optional that is known not to be None.
	NarrowExpr struct {
		Node
		X Expr
	}
	// BuiltinExpr is a call of the builtin of that name.
	BuiltinExpr struct {
		Node
		Name string
		Args []Expr
		Aux  any
	}
	// StrExpr is str(ptr, max). Lowering reads the string directly to its destination.
	StrExpr struct {
		Node
		Ptr Expr
		Max int  // size in bytes, including the NUL
		N   Expr // nil, or the number of bytes to read, known only at run time
	}
	// BufExpr is buf(ptr, n). Lowering reads the bytes directly to their destination.
	BufExpr struct {
		Node
		Ptr Expr
	}
	// PathExpr is path(p, max). Lowering builds the string directly at its destination.
	PathExpr struct {
		Node
		Ptr    Expr // points to a struct path
		Layout *PathLayout
	}
	// MemExpr is a location in memory, at an offset from a pointer: a member of a struct or an
	// element of an array. The offsets of nested members and constant indices add up. The value is
	// read when it is used, unless it is itself a struct or an array.
	MemExpr struct {
		Node
		Base    Expr // a pointer
		Off     int  // in bytes
		Index   []MemIndex
		CType   *ctype.Type
		Bit     int // bit field: first bit, counted from off
		Bits    int
		Space   types.Space
		Trusted bool   // a plain load works: the verifier knows what base points to
		Text    string // source text, for messages
	}
	// MemIndex adds X * Size to the offset of a location.
	MemIndex struct {
		X    Expr
		Size int
		N    int // number of elements; 0 if unknown
		Pos  syntax.Position
	}
	// AddrExpr is the address of a location.
	AddrExpr struct {
		Node
		X *MemExpr
	}
	// MethodExpr is a call of a method, or an operator that a method implements: "[]", "in".
	MethodExpr struct {
		Node
		Recv string // the kind of receiver: "table"
		Name string
		X    Expr
		Map  *Map
		Args []Expr // in the order of the signature; nil if omitted
		// Argument names, for a method that accepts any names.
		Names []string
	}
	// CallExpr is an inlined call of a Starlark function.
	CallExpr struct {
		Node
		Func   *Func
		Params []*Local
		Args   []Expr
		Body   []Stmt
		Top    bool // the handler or the filter itself
	}
)

// A Local is a variable of a handler, or of a function that it calls.
type Local struct {
	Name   string
	T      *types.Type     // join of the types of all assignments
	At     syntax.Position // of the assignment that determined T
	Static Expr            // if not nil, the variable is this compile-time value
}

// A Stmt is a checked statement.
type Stmt interface{ Position() syntax.Position }

// A StmtNode is what all statements have.
type StmtNode struct{ Pos syntax.Position }

// StmtAt returns the node of a statement at pos.
func StmtAt(pos syntax.Position) StmtNode { return StmtNode{pos} }

func (n StmtNode) Position() syntax.Position { return n.Pos }

type (
	AssignStmt struct {
		StmtNode
		Local *Local
		X     Expr
	}
	ExprStmt struct {
		StmtNode
		X Expr
	}
	IfStmt struct {
		StmtNode
		Cond        Expr
		True, False []Stmt
	}
	// ForStmt counts Local from Lo to Hi, both inclusive, by Step.
	ForStmt struct {
		StmtNode
		Local  *Local
		Lo, Hi Expr
		Step   int64
		Body   []Stmt
	}
	// CountStmt runs its body with Local counting from Lo to below Hi (above Hi if Step is
	// negative). The bounds are known only at run time.
	CountStmt struct {
		StmtNode
		Local  *Local
		Lo, Hi Expr
		Step   int64
		Body   []Stmt
		Kept   []*Local // locals that are certainly assigned if the loop runs at least once
	}
	WhileStmt struct {
		StmtNode
		Cond Expr
		Body []Stmt
		Kept []*Local // locals that are certainly assigned when break leaves the loop
	}
	// ItemsStmt runs its body for each key of a table or aggregation; Local is the key, the
	// value, or both as a tuple.
	ItemsStmt struct {
		StmtNode
		Local *Local
		Map   *Map
		What  string // "keys", "values" or "items"
		Body  []Stmt
	}
	// LoopStmt is a loop whose length is not known at compile time.
	LoopStmt interface {
		Stmt
		Statements() []Stmt
		Keeps() []*Local // locals that are assigned only in the loop and read after it
	}
	// EachStmt runs its body once for each element of List, which are constants or locals.
	EachStmt struct {
		StmtNode
		Local *Local
		List  []Expr // converted to the variable's type
		Body  []Stmt
	}
	ReturnStmt struct {
		StmtNode
		X    Expr      // converted to the result type of the call
		Call *CallExpr // that it returns from
	}
	BranchStmt struct { // BREAK, CONTINUE
		StmtNode
		Tok syntax.Token
	}
	// SetStmt is t[k] = v.
	SetStmt struct {
		StmtNode
		Map      *Map
		Key, Val Expr
	}
	// AugmentStmt is t[k] += v. The key must exist.
	AugmentStmt struct {
		StmtNode
		Map      *Map
		Key, Val Expr
	}
)

func (s *CountStmt) Statements() []Stmt { return s.Body }
func (s *WhileStmt) Statements() []Stmt { return s.Body }
func (s *CountStmt) Keeps() []*Local    { return s.Kept }
func (s *WhileStmt) Keeps() []*Local    { return s.Kept }

// A Program is a checked handler with its filter.
type Program struct {
	Facts
	PID     Expr // the event's PID, compared with Request.PIDFilter; nil if that is nil
	Filter  Expr // a condition; nil if there is none
	Handler *CallExpr
	Types   map[*Map]MapTypes // of the maps that they use
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
	// TrustedLoads reports whether the program loads through pointers whose types the verifier has to
	// know (Features.TaskBTF, Event.BTFArgs).
	TrustedLoads bool
	Denies       bool // calls deny(), so the program has a result
}

// A MapUse is a map that the program refers to by Map.Ref, with the key and value types inferred so
// far.
type MapUse struct {
	Map   *Map
	Types MapTypes
}

// A Captured is a name from outside the handler that became a constant.
type Captured struct{ Name, Value string }

// TaskType only names the type: BTF is read for it when a handler follows it.
var TaskType = &types.Type{Kind: types.Ptr, Text: "struct task_struct *"}
