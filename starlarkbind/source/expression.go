package source

import (
	"slices"
	"strings"

	"go.starlark.net/syntax"
)

// FunctionName is the variable to which the file that Expression returns assigns the function.
const FunctionName = "function"

// Expression returns a file that assigns a function to FunctionName: it has these parameters, and
// returns the value of the expression in text, which may be several, separated by commas. parts has
// the text of each. Positions are those in text without surrounding space; name is their file.
func Expression(name, text string, params []string) (f *syntax.File, parts []string, err error) {
	f, err = Parse(name, []byte(text))
	if err != nil {
		return nil, nil, err
	}
	body, err := onlyExpression(f, name)
	if err != nil {
		return nil, nil, err
	}
	all := []syntax.Expr{body}
	if t, ok := body.(*syntax.TupleExpr); ok { // a tuple in parentheses is one expression
		all = t.List
	}
	end := len(text)
	for _, x := range slices.Backward(all) { // Span returns wrong ends of some expressions
		pos, _ := x.Span()
		start := offsetOf([]byte(text), pos)
		parts = append(parts, strings.TrimRight(text[start:end], ", \t\r\n"))
		end = start
	}
	slices.Reverse(parts)
	pos, _ := body.Span()
	fn := &syntax.LambdaExpr{Lambda: pos, Body: body}
	for _, p := range params {
		fn.Params = append(fn.Params, &syntax.Ident{NamePos: pos, Name: p})
	}
	f.Stmts = []syntax.Stmt{&syntax.AssignStmt{OpPos: pos, Op: syntax.EQ, LHS: &syntax.Ident{NamePos: pos, Name: FunctionName}, RHS: fn}}
	return f, parts, nil
}

// onlyExpression returns the expression that is all of a file.
func onlyExpression(f *syntax.File, name string) (syntax.Expr, error) {
	if len(f.Stmts) == 0 {
		return nil, syntax.Error{Pos: syntax.MakePosition(&name, 1, 1), Msg: "the expression is empty"}
	}
	if len(f.Stmts) > 1 {
		pos, _ := f.Stmts[1].Span()
		return nil, syntax.Error{Pos: pos, Msg: "only one expression is allowed; a comma separates several values"}
	}
	switch st := f.Stmts[0].(type) {
	case *syntax.ExprStmt:
		body := st.X
		for {
			p, ok := body.(*syntax.ParenExpr)
			if !ok {
				break
			}
			body = p.X
		}
		if l, ok := body.(*syntax.LambdaExpr); ok {
			return nil, syntax.Error{Pos: l.Lambda, Msg: "write only the expression, without lambda"}
		}
		return st.X, nil
	case *syntax.AssignStmt:
		return nil, syntax.Error{Pos: st.OpPos, Msg: "an expression cannot assign; == compares"}
	}
	pos, _ := f.Stmts[0].Span()
	return nil, syntax.Error{Pos: pos, Msg: "an expression is needed, not a statement"}
}
