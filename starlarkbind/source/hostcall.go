package source

import (
	"slices"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// Names used by the test. A script cannot contain them.
const (
	EventName   = "event@"
	HandledName = "handled@"
	ResultName  = "result@"
)

// hostTests maps each function that has a test to a function that removes the test.
type hostTests map[syntax.Node]func()

// add adds the test for an event to the functions of a file that could be handlers. It must be
// called before the file is resolved.
func (h hostTests) add(f *syntax.File) {
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			if id := onlyParam(n.Params); id != nil {
				body := n.Body
				test := &syntax.IfStmt{If: n.Def, Cond: eventTest(n.Def, id.Name), True: []syntax.Stmt{&syntax.ReturnStmt{Return: n.Def, Result: callAt(n.Def, ResultName)}}}
				doc := 0 // the docstring stays first
				if x, ok := body[0].(*syntax.ExprStmt); ok {
					if l, ok := x.X.(*syntax.Literal); ok && l.Token == syntax.STRING {
						doc = 1
					}
				}
				n.Body = slices.Insert(slices.Clone(body), doc, syntax.Stmt(test))
				h[n] = func() { n.Body, n.Function.(*resolve.Function).Body = body, body }
			}
		case *syntax.LambdaExpr:
			if id := onlyParam(n.Params); id != nil {
				body := n.Body
				n.Body = &syntax.CondExpr{If: n.Lambda, Cond: eventTest(n.Lambda, id.Name), True: callAt(n.Lambda, ResultName), ElsePos: n.Lambda, False: body}
				h[n] = func() {
					n.Body, n.Function.(*resolve.Function).Body = body, []syntax.Stmt{&syntax.ReturnStmt{Result: body}}
				}
			}
		}
		return true
	})
}

// undo removes the test from a function after the resolver has processed it.
func (h hostTests) undo(n syntax.Node) {
	if undo := h[n]; undo != nil {
		undo()
		delete(h, n)
	}
}

// onlyParam returns the parameter of a function that has exactly one, or nil.
func onlyParam(params []syntax.Expr) *syntax.Ident {
	if len(params) != 1 {
		return nil
	}
	id, _ := params[0].(*syntax.Ident)
	return id
}

// eventTest returns the condition of the test for a parameter. pos is its source position.
func eventTest(pos syntax.Position, param string) syntax.Expr {
	isEvent := &syntax.BinaryExpr{X: &syntax.Ident{NamePos: pos, Name: param}, OpPos: pos, Op: syntax.EQL, Y: &syntax.Ident{NamePos: pos, Name: EventName}}
	return &syntax.BinaryExpr{X: isEvent, OpPos: pos, Op: syntax.AND, Y: callAt(pos, HandledName, param)}
}

// callAt returns a call of the named function with names as arguments. pos is its source position.
func callAt(pos syntax.Position, name string, args ...string) *syntax.CallExpr {
	call := &syntax.CallExpr{Fn: &syntax.Ident{NamePos: pos, Name: name}, Lparen: pos, Rparen: pos}
	for _, a := range args {
		call.Args = append(call.Args, &syntax.Ident{NamePos: pos, Name: a})
	}
	return call
}
