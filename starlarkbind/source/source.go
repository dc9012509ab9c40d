// Package source reads scripts: it parses them, checks their constant formats, and keeps the text
// and the syntax trees of all files of a session, so that errors can quote lines and the compiler
// gets the tree of a function value. It also adds to each function that could be a handler the
// statement by which the script calls a copy of it (hostcall.go). It knows no session.
//
//	source.go        files, their text and trees
//	parse.go         parsing, byte order marks, load()
//	expression.go    an expression as a function
//	format_check.go  constant formats of printf() and %
//	docs.go          docstrings
//	hostcall.go      the statement added to possible handlers
package source

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Options selects the dialect: standard Starlark with while, top-level control flow, reassigned
// globals and sets. Loaded names are globals, so that the items of a prompt share them.
var Options = &syntax.FileOptions{While: true, TopLevelControl: true, GlobalReassign: true, Set: true, LoadBindsGlobally: true}

// Files keeps the text and syntax tree of every file that was run. It maps a function value to
// its syntax, and a call to the variable that its result is assigned to.
type Files struct {
	mu       sync.RWMutex        // guards lines and versions, which warnings use while a script runs
	lines    map[string][]string // of the latest version of each file
	versions map[Place][]string  // of each version
	Funcs    map[Place]*resolve.Function
	names    map[Place]string // variable that the call with its "(" here is assigned to
	mentions map[string]bool  // see Mentions
	// used counts the uses of each name, except those that only write to a map of that name.
	used     map[Global]int
	assigned map[string][]string // the files that assign the result of a call to a variable

	tests hostTests

	Probes []*syntax.CallExpr // calls of probe()
	Made   map[Place]bool     // those that were executed, by the position of their "("

	defs  map[Global]*resolve.Function // functions at the top level of files
	loads map[Global]Global            // loaded names, and what they stand for in the module
}

// A Global is a name at the top level of a file.
type Global struct{ File, Name string }

// A Place is a position in one version of a file: positions of two parses of a file are never equal
// as values, because each parse has its own copy of the file's name.
type Place syntax.Position

func PlaceOf(p syntax.Position) Place { return Place(p) }

// versionOf returns what the places of one version of a file have in common.
func versionOf(p syntax.Position) Place {
	p.Line, p.Col = 0, 0
	return Place(p)
}

func New() *Files {
	return &Files{lines: map[string][]string{}, versions: map[Place][]string{}, Funcs: map[Place]*resolve.Function{}, names: map[Place]string{}, mentions: map[string]bool{}, used: map[Global]int{}, assigned: map[string][]string{}, defs: map[Global]*resolve.Function{}, loads: map[Global]Global{}, Made: map[Place]bool{}, tests: hostTests{}}
}

// Mentions reports whether one of the names occurs anywhere in the files as the name of an
// attribute, or as a string, which getattr could use. Decisions that have to be made
// before a script runs, and that cost every event, depend on this rule: whether maps can be swapped
// ("clear", "delta"), and whether the kernel measures programs ("stats"). It errs on the safe side:
// a name that is mentioned need not be used.
func (s *Files) Mentions(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return s.mentions[n] })
}

// Add indexes a file. It is called after parsing and before resolving. The resolver later stores
// its functions in the same nodes.
func (s *Files) Add(name string, src []byte, f *syntax.File) {
	s.Keep(name, src)
	if len(f.Stmts) > 0 {
		start, _ := f.Stmts[0].Span()
		s.mu.Lock()
		s.versions[versionOf(start)] = s.lines[name]
		s.mu.Unlock()
	}
	s.Probes = slices.DeleteFunc(s.Probes, func(call *syntax.CallExpr) bool { return call.Lparen.Filename() == name })
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.LoadStmt: // does not read what it loads
			return false
		case *syntax.AssignStmt:
			s.assignment(n.LHS, n.RHS)
			s.written(n.LHS)
		case *syntax.Ident:
			s.use(n, 1)
		case *syntax.DotExpr:
			s.mentions[n.Name.Name] = true
		case *syntax.ExprStmt:
			s.added(n.X)
		case *syntax.LambdaExpr:
			s.added(n.Body)
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
func (s *Files) assignment(lhs, rhs syntax.Expr) {
	switch l := lhs.(type) {
	case *syntax.ParenExpr:
		s.assignment(l.X, rhs)
	case *syntax.Ident:
		if call, ok := rhs.(*syntax.CallExpr); ok {
			s.names[PlaceOf(call.Lparen)] = l.Name
			s.assigned[l.Name] = append(s.assigned[l.Name], l.NamePos.Filename())
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
func (s *Files) written(lhs syntax.Expr) {
	switch l := lhs.(type) {
	case *syntax.ParenExpr:
		s.written(l.X)
	case *syntax.Ident:
		s.use(l, -1)
	case *syntax.TupleExpr:
		for _, x := range l.List {
			s.written(x)
		}
	case *syntax.IndexExpr:
		if m, ok := l.X.(*syntax.Ident); ok {
			s.use(m, -1)
		}
	}
}

// added records that x.add() does not read the map x if nothing uses its result: as a statement, or
// as the body of a lambda, which usually is a handler.
func (s *Files) added(x syntax.Expr) {
	call, ok := x.(*syntax.CallExpr)
	if !ok {
		return
	}
	if method, ok := call.Fn.(*syntax.DotExpr); ok && method.Name.Name == "add" {
		if m, ok := method.X.(*syntax.Ident); ok {
			s.use(m, -1)
		}
	}
}

func (s *Files) use(id *syntax.Ident, n int) {
	s.used[Global{id.NamePos.Filename(), id.Name}] += n
}

// OnlyWritten reports whether a file assigns a map to this name and nothing reads the map: neither
// the file, in a handler or elsewhere, nor one that loads the name from it.
func (s *Files) OnlyWritten(name string) bool {
	files := s.assigned[name]
	return len(files) > 0 && !slices.ContainsFunc(files, func(file string) bool { return s.reads(Global{file, name}) })
}

func (s *Files) reads(g Global) bool {
	if s.used[g] != 0 {
		return true
	}
	for to, from := range s.loads {
		if from == g && s.reads(to) {
			return true
		}
	}
	return false
}

// lineEnds normalizes the line ends that the scanner accepts.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// Keep stores a file's text.
func (s *Files) Keep(name string, src []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[name] = strings.Split(lineEnds.Replace(string(src)), "\n")
}

// Has reports whether the text of a file is stored.
func (s *Files) Has(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lines[name] != nil
}

// Resolved indexes the functions of a file after the resolver has processed it.
func (s *Files) Resolved(f *syntax.File) {
	for _, st := range f.Stmts {
		if def, ok := st.(*syntax.DefStmt); ok {
			s.defs[Global{f.Path, def.Name.Name}], _ = def.Function.(*resolve.Function)
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		s.tests.undo(n)
		var fn any
		switch n := n.(type) {
		case *syntax.CallExpr:
			if id, ok := n.Fn.(*syntax.Ident); ok && id.Name == "probe" {
				s.Probes = append(s.Probes, n)
			}
		case *syntax.DefStmt:
			fn = n.Function
		case *syntax.LambdaExpr:
			fn = n.Function
		}
		if r, ok := fn.(*resolve.Function); ok {
			s.Funcs[PlaceOf(r.Pos)] = r
		}
		return true
	})
}

// AddLoad records that the name to of a file is loaded from another file.
func (s *Files) AddLoad(to, from Global) { s.loads[to] = from }

// Def returns the function that a file defines at its top level, or nil if there is none of the
// name.
func (s *Files) Def(g Global) *resolve.Function { return s.defs[g] }

// Loaded returns what a loaded name stands for in its module.
func (s *Files) Loaded(g Global) (from Global, ok bool) {
	from, ok = s.loads[g]
	return from, ok
}

// Line returns the text of a line, or "" if it is unknown.
func (s *Files) Line(p syntax.Position) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	lines, ok := s.versions[versionOf(p)]
	if !ok {
		lines = s.lines[p.Filename()]
	}
	if n := int(p.Line); n >= 1 && n <= len(lines) {
		return strings.TrimRight(lines[n-1], "\r")
	}
	return ""
}

// Trimmed returns the text of a line without indentation, or "".
func (s *Files) Trimmed(p syntax.Position) string { return strings.TrimSpace(s.Line(p)) }

// Function returns the syntax of a function value.
func (s *Files) Function(fn *starlark.Function) (*resolve.Function, error) {
	r := s.Funcs[PlaceOf(fn.Position())]
	if r == nil {
		return nil, fmt.Errorf("the source of function %s is not available", fn.Name())
	}
	return r, nil
}

// Assigned returns the name of the variable that the running call's result is assigned to, or "".
func (s *Files) Assigned(thread *starlark.Thread) string {
	if thread.CallStackDepth() < 2 {
		return ""
	}
	return s.names[PlaceOf(thread.CallFrame(1).Pos)]
}
