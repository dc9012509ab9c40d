package starlarkbind

import (
	"fmt"
	"strings"
	"sync"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// fileOptions selects the dialect: standard Starlark with while, top-level control flow, reassigned
// globals and sets.
var fileOptions = &syntax.FileOptions{While: true, TopLevelControl: true, GlobalReassign: true, Set: true}

// sources keeps the text and syntax tree of every file that was run. They map a function value to
// its syntax, and a call to the variable that its result is assigned to.
type sources struct {
	mu       sync.RWMutex // guards lines, which warnings use while a script runs
	lines    map[string][]string
	funcs    map[place]*resolve.Function
	names    map[place]string // variable that the call with its "(" here is assigned to
	mentions map[string]bool  // attribute names and strings that occur anywhere
	// used counts the uses of each name, except those that only write to a map of that name.
	used map[string]int

	tests hostTests

	probes []*syntax.CallExpr           // calls of probe()
	made   map[place]bool               // those that were executed, by the position of their "("
	defs   map[string]*resolve.Function // functions of all files, by name
}

// A place is a position in a file.
type place struct {
	file      string
	line, col int32
}

func placeOf(p syntax.Position) place { return place{p.Filename(), p.Line, p.Col} }

func newSources() *sources {
	return &sources{lines: map[string][]string{}, funcs: map[place]*resolve.Function{}, names: map[place]string{}, mentions: map[string]bool{}, used: map[string]int{}, defs: map[string]*resolve.Function{}, made: map[place]bool{}, tests: hostTests{}}
}

// add indexes a file. It is called after parsing and before resolving. The resolver later stores
// its functions in the same nodes.
func (s *sources) add(name string, src []byte, f *syntax.File) {
	s.keep(name, src)
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.AssignStmt:
			s.assignment(n.LHS, n.RHS)
			s.written(n.LHS)
		case *syntax.Ident:
			s.used[n.Name]++
		case *syntax.DotExpr:
			s.mentions[n.Name.Name] = true
			if m, ok := n.X.(*syntax.Ident); ok && n.Name.Name == "add" {
				s.used[m.Name]--
			}
		case *syntax.Literal:
			if v, ok := n.Value.(string); ok {
				s.mentions[v] = true
			}
		}
		return true
	})
	s.tests.add(f)
}

// assignment records the variable names in x = f() and in x, y = f(), g().
func (s *sources) assignment(lhs, rhs syntax.Expr) {
	switch l := lhs.(type) {
	case *syntax.ParenExpr:
		s.assignment(l.X, rhs)
	case *syntax.Ident:
		if call, ok := rhs.(*syntax.CallExpr); ok {
			s.names[placeOf(call.Lparen)] = l.Name
		}
	case *syntax.TupleExpr:
		if p, ok := rhs.(*syntax.ParenExpr); ok {
			rhs = p.X
		}
		if r, ok := rhs.(*syntax.TupleExpr); ok && len(r.List) == len(l.List) {
			for i := range l.List {
				s.assignment(l.List[i], r.List[i])
			}
		}
	}
}

// written records that an assignment to x does not read x, and that one to x[k] does not read the
// map x.
func (s *sources) written(lhs syntax.Expr) {
	switch l := lhs.(type) {
	case *syntax.ParenExpr:
		s.written(l.X)
	case *syntax.Ident:
		s.used[l.Name]--
	case *syntax.TupleExpr:
		for _, x := range l.List {
			s.written(x)
		}
	case *syntax.IndexExpr:
		if m, ok := l.X.(*syntax.Ident); ok {
			s.used[m.Name]--
		}
	}
}

// onlyWritten reports whether the script contains this name and never reads the map of that name,
// neither in a handler nor elsewhere.
func (s *sources) onlyWritten(name string) bool {
	n, ok := s.used[name]
	return ok && n == 0
}

// lineEnds normalizes the line ends that the scanner accepts.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// keep stores a file's text.
func (s *sources) keep(name string, src []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[name] = strings.Split(lineEnds.Replace(string(src)), "\n")
}

// resolved indexes the functions of a file after the resolver has processed it.
func (s *sources) resolved(f *syntax.File) {
	for _, st := range f.Stmts {
		if def, ok := st.(*syntax.DefStmt); ok {
			s.defs[def.Name.Name], _ = def.Function.(*resolve.Function)
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		s.tests.undo(n)
		var fn any
		switch n := n.(type) {
		case *syntax.CallExpr:
			if id, ok := n.Fn.(*syntax.Ident); ok && id.Name == "probe" {
				s.probes = append(s.probes, n)
			}
		case *syntax.DefStmt:
			fn = n.Function
		case *syntax.LambdaExpr:
			fn = n.Function
		}
		if r, ok := fn.(*resolve.Function); ok {
			s.funcs[placeOf(r.Pos)] = r
		}
		return true
	})
}

// line returns the text of a line, or "" if it is unknown.
func (s *sources) line(p syntax.Position) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	lines := s.lines[p.Filename()]
	if n := int(p.Line); n >= 1 && n <= len(lines) {
		return strings.TrimRight(lines[n-1], "\r")
	}
	return ""
}

// trimmed returns the text of a line without indentation, or "".
func (s *sources) trimmed(p syntax.Position) string { return strings.TrimSpace(s.line(p)) }

// function returns the syntax of a function value.
func (s *sources) function(fn *starlark.Function) (*resolve.Function, error) {
	r := s.funcs[placeOf(fn.Position())]
	if r == nil {
		return nil, fmt.Errorf("the source of function %s is not available", fn.Name())
	}
	return r, nil
}

// assigned returns the name of the variable that the running call's result is assigned to, or "".
func (s *sources) assigned(thread *starlark.Thread) string {
	if thread.CallStackDepth() < 2 {
		return ""
	}
	return s.names[placeOf(thread.CallFrame(1).Pos)]
}
