package source

import (
	"strings"

	"go.starlark.net/syntax"
)

// A Doc is a docstring: its text, and the example after a line "Example:".
type Doc struct{ Text, Example string }

// A FuncDoc is what a file says about a function that others can load.
type FuncDoc struct {
	Name, Sig string
	Doc
}

// NewDoc returns the parts of a docstring, without the indentation of the function's body.
func NewDoc(text string) Doc {
	lines := strings.Split(text, "\n")
	indent := -1
	for _, l := range lines[1:] {
		if rest := strings.TrimLeft(l, " \t"); rest != "" && (indent < 0 || len(l)-len(rest) < indent) {
			indent = len(l) - len(rest)
		}
	}
	for i, l := range lines {
		if i == 0 {
			lines[i] = strings.TrimSpace(l)
		} else {
			lines[i] = strings.TrimRight(l[min(max(indent, 0), len(l)):], " \t")
		}
	}
	before, after, _ := strings.Cut(strings.Join(lines, "\n"), "\nExample:\n")
	example := strings.Split(strings.TrimRight(after, "\n"), "\n")
	for i, l := range example {
		example[i] = strings.TrimPrefix(l, "    ")
	}
	return Doc{strings.TrimSpace(before), strings.Join(example, "\n")}
}

// Docs returns the docstring of a file, and those of the functions that others can load.
func Docs(f *syntax.File) (file Doc, funcs []FuncDoc) {
	file = docOf(f.Stmts)
	for _, st := range f.Stmts {
		if def, ok := st.(*syntax.DefStmt); ok && !strings.HasPrefix(def.Name.Name, "_") {
			var params []string
			for _, p := range def.Params {
				params = append(params, paramText(p))
			}
			funcs = append(funcs, FuncDoc{def.Name.Name, def.Name.Name + "(" + strings.Join(params, ", ") + ")", docOf(def.Body)})
		}
	}
	return file, funcs
}

// Defines returns the names that a file binds at its top level with def or = and that others can
// load.
func Defines(f *syntax.File) []string {
	var out []string
	add := func(x syntax.Expr) {
		if id, ok := x.(*syntax.Ident); ok && !strings.HasPrefix(id.Name, "_") {
			out = append(out, id.Name)
		}
	}
	for _, st := range f.Stmts {
		switch st := st.(type) {
		case *syntax.DefStmt:
			add(st.Name)
		case *syntax.AssignStmt:
			if t, ok := st.LHS.(*syntax.TupleExpr); ok {
				for _, x := range t.List {
					add(x)
				}
			}
			add(st.LHS)
		}
	}
	return out
}

// docOf returns the docstring at the beginning of a body.
func docOf(body []syntax.Stmt) Doc {
	if len(body) == 0 {
		return Doc{}
	}
	if x, ok := body[0].(*syntax.ExprStmt); ok {
		if l, ok := x.X.(*syntax.Literal); ok && l.Token == syntax.STRING {
			return NewDoc(l.Value.(string))
		}
	}
	return Doc{}
}

// paramText returns a parameter as it is written. A default that is not a name or a constant is
// shown as "...".
func paramText(p syntax.Expr) string {
	switch p := p.(type) {
	case *syntax.Ident:
		return p.Name
	case *syntax.Literal:
		return p.Raw
	case *syntax.BinaryExpr:
		return paramText(p.X) + "=" + paramText(p.Y)
	case *syntax.UnaryExpr:
		if p.X == nil {
			return p.Op.String()
		}
		return p.Op.String() + paramText(p.X)
	case *syntax.TupleExpr:
		if len(p.List) == 0 {
			return "()"
		}
	case *syntax.ListExpr:
		if len(p.List) == 0 {
			return "[]"
		}
	}
	return "..."
}
