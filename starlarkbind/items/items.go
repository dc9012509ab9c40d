// Package items runs what is typed at a prompt, item by item. Globals behave as at Python's prompt:
// a function sees the current value of a global, x += 1 works across items, and callers of a
// redefined function see the new definition.
//
// Neither way of executing code in starlark-go provides this alone. A chunk (ExecREPLChunk) gives
// the functions that it defines a copy of the globals, which is never updated. A program
// (FileProgram, Init) looks up names that it does not bind in the dict it was started with, at each
// use. With one dict for the whole session, that is the behaviour we want. But a name that a
// program does bind is unset until it is assigned, so x += 1 fails. Therefore an item is split into
// its statements, and each statement runs as a program of its own over the session's dict. Only a
// statement that binds a name and also reads it outside function bodies runs as a chunk.
package items

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Namespace holds the globals of one session.
type Namespace struct {
	// Globals holds the builtins and everything that items have bound. Functions look names up in
	// this dict.
	Globals starlark.StringDict
	// OnFile is called with each item before it is resolved. OnResolved is called afterwards, when
	// the syntax trees of functions are complete.
	OnFile     func(name string, src []byte, f *syntax.File)
	OnResolved func(f *syntax.File)
	// Check is called with each item before it runs. If it returns an error, the item does not run.
	Check func(f *syntax.File) error

	parse func(name string, src []byte) (*syntax.File, error)
	n     int
}

// New returns a namespace that starts with the given names.
func New(parse func(name string, src []byte) (*syntax.File, error), predeclared starlark.StringDict) *Namespace {
	g := make(starlark.StringDict, len(predeclared))
	for k, v := range predeclared {
		g[k] = v
	}
	return &Namespace{Globals: g, parse: parse}
}

// Exec runs an item under the file name In[n]. If the item is a single expression, Exec returns its
// value and binds it to _ unless it is None. Names that an item binds before it fails stay bound.
func (n *Namespace) Exec(thread *starlark.Thread, src string) (starlark.Value, error) {
	n.n++
	name := fmt.Sprintf("In[%d]", n.n)
	f, err := n.parse(name, []byte(src))
	if err != nil {
		return nil, err
	}
	if n.OnFile != nil {
		n.OnFile(name, []byte(src), f)
	}
	if n.Check != nil {
		if err := n.Check(f); err != nil {
			return nil, err
		}
	}
	if len(f.Stmts) == 1 {
		if e, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
			return n.eval(thread, f, e)
		}
	}
	for _, st := range f.Stmts {
		if err := n.stmt(thread, part(f, st)); err != nil {
			return nil, n.reword(err)
		}
	}
	return nil, nil
}

func part(f *syntax.File, st syntax.Stmt) *syntax.File {
	return &syntax.File{Path: f.Path, Stmts: []syntax.Stmt{st}, Options: f.Options}
}

// result is the name that an expression's value is bound to temporarily. An item cannot contain it.
const result = "(value)"

func (n *Namespace) eval(thread *starlark.Thread, f *syntax.File, e *syntax.ExprStmt) (starlark.Value, error) {
	pos, _ := e.X.Span()
	assign := &syntax.AssignStmt{OpPos: pos, Op: syntax.EQ, LHS: &syntax.Ident{NamePos: pos, Name: result}, RHS: e.X}
	if err := n.stmt(thread, part(f, assign)); err != nil {
		return nil, n.reword(err)
	}
	v := n.Globals[result]
	delete(n.Globals, result)
	if v != starlark.None {
		n.Globals["_"] = v
	}
	return v, nil
}

func (n *Namespace) stmt(thread *starlark.Thread, f *syntax.File) error {
	names := namesOf(f.Stmts[0])
	for b := range names.bound {
		if _, there := n.Globals[b]; there && names.read[b] {
			err := starlark.ExecREPLChunk(f, thread, n.Globals)
			n.resolved(f)
			return err
		}
	}
	// A name that only function bodies read may be defined later.
	prog, err := starlark.FileProgram(f, func(name string) bool {
		return n.Globals.Has(name) || names.inner[name] && !starlark.Universe.Has(name)
	})
	if err != nil {
		return err
	}
	n.resolved(f)
	globals, err := prog.Init(thread, n.Globals)
	for k, v := range globals {
		n.Globals[k] = v
	}
	return err
}

func (n *Namespace) resolved(f *syntax.File) {
	if n.OnResolved != nil {
		n.OnResolved(f)
	}
}

// reword replaces the interpreter's message for a name that was never bound.
func (n *Namespace) reword(err error) error {
	const before, after = "internal error: predeclared variable ", " is uninitialized"
	if e, ok := err.(*starlark.EvalError); ok {
		if name, ok := strings.CutPrefix(e.Msg, before); ok && strings.HasSuffix(name, after) {
			e.Msg = "name " + strings.TrimSuffix(name, after) + " is not defined"
		}
	}
	return err
}

// stmtNames are the names in a statement.
type stmtNames struct {
	bound map[string]bool // bound at top level
	read  map[string]bool // read outside function bodies
	inner map[string]bool // read inside function bodies
}

func namesOf(st syntax.Stmt) stmtNames {
	s := stmtNames{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	s.walk(st, false)
	return s
}

func (s stmtNames) walk(n syntax.Node, inFunc bool) {
	syntax.Walk(n, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			if !inFunc {
				s.bound[n.Name.Name] = true
			}
			s.params(n.Params, inFunc)
			for _, b := range n.Body {
				s.walk(b, true)
			}
			return false
		case *syntax.LambdaExpr:
			s.params(n.Params, inFunc)
			s.walk(n.Body, true)
			return false
		case *syntax.AssignStmt:
			if !inFunc {
				s.targets(n.LHS)
				if n.Op != syntax.EQ {
					s.walk(n.LHS, inFunc)
				} else if _, plain := n.LHS.(*syntax.Ident); !plain {
					s.walkTargets(n.LHS, inFunc)
				}
				s.walk(n.RHS, inFunc)
				return false
			}
		case *syntax.ForStmt:
			if !inFunc {
				s.targets(n.Vars)
				s.walk(n.X, inFunc)
				for _, b := range n.Body {
					s.walk(b, inFunc)
				}
				return false
			}
		case *syntax.LoadStmt:
			for _, to := range n.To {
				s.bound[to.Name] = true
			}
			return false
		case *syntax.Ident:
			if inFunc {
				s.inner[n.Name] = true
			} else {
				s.read[n.Name] = true
			}
		case *syntax.DotExpr:
			s.walk(n.X, inFunc)
			return false
		}
		return true
	})
}

func (s stmtNames) params(ps []syntax.Expr, inFunc bool) {
	for _, p := range ps {
		if b, ok := p.(*syntax.BinaryExpr); ok {
			s.walk(b.Y, inFunc) // defaults are evaluated where the function is defined
		}
	}
}

// targets records the names that an assignment binds.
func (s stmtNames) targets(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.Ident:
		s.bound[x.Name] = true
	case *syntax.ParenExpr:
		s.targets(x.X)
	case *syntax.TupleExpr:
		for _, e := range x.List {
			s.targets(e)
		}
	case *syntax.ListExpr:
		for _, e := range x.List {
			s.targets(e)
		}
	}
}

// walkTargets records the names that an assignment to an element or attribute reads.
func (s stmtNames) walkTargets(x syntax.Expr, inFunc bool) {
	switch x := x.(type) {
	case *syntax.ParenExpr:
		s.walkTargets(x.X, inFunc)
	case *syntax.TupleExpr:
		for _, e := range x.List {
			s.walkTargets(e, inFunc)
		}
	case *syntax.ListExpr:
		for _, e := range x.List {
			s.walkTargets(e, inFunc)
		}
	case *syntax.IndexExpr, *syntax.DotExpr:
		s.walk(x, inFunc)
	}
}

// Complete reports whether src is a whole item: no bracket or string is open, no line is continued,
// and a statement with a block is followed by an empty line.
func Complete(parse func(name string, src []byte) (*syntax.File, error), src string) bool {
	f, err := parse("item", []byte(src+"\n"))
	if err != nil {
		return !atEnd(err, src)
	}
	lines := strings.Split(strings.TrimRight(src, " \t"), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" || len(f.Stmts) == 0 {
		return true
	}
	switch f.Stmts[len(f.Stmts)-1].(type) {
	case *syntax.DefStmt, *syntax.IfStmt, *syntax.ForStmt, *syntax.WhileStmt:
		return false
	}
	return !strings.HasSuffix(last, "\\")
}

// atEnd reports whether err means that the parser expected more input at the end of src.
func atEnd(err error, src string) bool {
	e, ok := err.(syntax.Error)
	if !ok {
		return false
	}
	if strings.Contains(e.Msg, "unexpected EOF") || strings.Contains(e.Msg, "end of file") || strings.Contains(e.Msg, "got end of file") {
		return true
	}
	lines := strings.Split(src, "\n")
	// Inside a block, the parser sees the end of a line there, not the end of the file.
	if int(e.Pos.Line) >= len(lines) && openBrackets(src) {
		return true
	}
	// The body of a block has not begun ("want indent"), or a line ends in a backslash.
	blank := strings.TrimSpace(lines[len(lines)-1]) == "" && len(lines) > 1
	return strings.Contains(e.Msg, "want indent") && !blank && int(e.Pos.Line) >= len(lines)
}

// openBrackets reports whether a bracket is open at the end of src. It ignores brackets in strings
// and comments.
func openBrackets(src string) bool {
	depth, quote := 0, ""
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case quote != "" && c == '\\':
			i++
		case quote != "":
			if strings.HasPrefix(src[i:], quote) {
				i += len(quote) - 1
				quote = ""
			} else if c == '\n' && len(quote) == 1 {
				return false // a syntax error
			}
		case c == '"' || c == '\'':
			quote = src[i : i+1]
			if triple := strings.Repeat(quote, 3); strings.HasPrefix(src[i:], triple) {
				quote = triple
				i += 2
			}
		case c == '#':
			if n := strings.IndexByte(src[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(src)
			}
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		}
	}
	return depth > 0 && quote == ""
}
