package archtest

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestJSONLines checks that each type of line that -f json can print has a row in JSONLines
// (starlarkbind/terminal/jsonlines.go), with a row for each of its members.
func TestJSONLines(t *testing.T) {
	const folder = "../../starlarkbind"
	files, err := filepath.Glob(folder + "/*.go")
	below, err2 := filepath.Glob(folder + "/*/*.go")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	files = append(files, below...)
	fset := token.NewFileSet()
	rows := map[string][]string{}
	calls := 0
	var parsed []*ast.File
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Names[0].Name != "JSONLines" {
				return true
			}
			for _, row := range spec.Values[0].(*ast.CompositeLit).Elts {
				row := row.(*ast.CompositeLit)
				var members []string
				if list, ok := row.Elts[2].(*ast.CompositeLit); ok {
					for _, m := range list.Elts {
						if m, ok := m.(*ast.CompositeLit); ok {
							members = append(members, literal(m.Elts[0]))
						}
					}
				}
				rows[literal(row.Elts[0])] = members
			}
			return false
		})
	}
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Warn" && sel.Sel.Name != "Object" || literal(call.Args[0]) == "" {
				return true
			}
			calls++
			typ := literal(call.Args[0])
			members, ok := rows[typ]
			if !ok {
				t.Errorf("%s: add a row for %q to JSONLines in starlarkbind/terminal/jsonlines.go", fset.Position(call.Pos()), typ)
			}
			fields, _ := call.Args[1].(*ast.CompositeLit)
			if fields == nil {
				return true
			}
			for _, e := range fields.Elts {
				if name := literal(e.(*ast.KeyValueExpr).Key); ok && !slices.Contains(members, name) {
					t.Errorf("%s: add a row for the member %q of %q to JSONLines in starlarkbind/terminal/jsonlines.go", fset.Position(call.Pos()), name, typ)
				}
			}
			return true
		})
	}
	if len(rows) < 20 || calls < 8 {
		t.Errorf("found %d rows and %d calls", len(rows), calls)
	}
}

// literal returns the value of a string literal, or "".
func literal(x ast.Expr) string {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}
