package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const starlarkstruct = "go.starlark.net/starlarkstruct"

// foreignStructs returns the names that a file uses from starlarkstruct, except Module.
func foreignStructs(f *ast.File) (names []string) {
	pkg := ""
	for _, imp := range f.Imports {
		if imp.Path.Value == `"`+starlarkstruct+`"` {
			pkg = "starlarkstruct"
			if imp.Name != nil {
				pkg = imp.Name.Name
			}
		}
	}
	if pkg == "" {
		return nil
	}
	if pkg == "." {
		return []string{"all of it"}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name != "Module" {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == pkg {
				names = append(names, sel.Sel.Name)
			}
		}
		return true
	})
	return names
}

// TestStructs checks that only starlarkbind/structs provides structs. Those of starlarkstruct sort
// their fields alphabetically, so the columns of a CSV file would not have the order in which the
// script names them.
func TestStructs(t *testing.T) {
	fset, files := token.NewFileSet(), 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files++
		for _, name := range foreignStructs(f) {
			t.Errorf("%s uses %s of %s: use starlarkbind/structs", path, name, starlarkstruct)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Fatal(files, err)
	}
}

func TestStructsFinds(t *testing.T) {
	for src, want := range map[string]int{
		`import s "go.starlark.net/starlarkstruct"; var x = s.FromKeywords(s.Default, nil)`:   2,
		`import "go.starlark.net/starlarkstruct"; var x = &starlarkstruct.Module{}`:           0,
		`import "go.starlark.net/starlarkstruct"; var x *starlarkstruct.Struct`:               1,
		`import . "go.starlark.net/starlarkstruct"; var x = Default`:                          1,
		`import starlarkstruct "example.org/other"; var x = starlarkstruct.FromKeywords(nil)`: 0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+src, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := foreignStructs(f); len(got) != want {
			t.Errorf("%s: found %q, want %d", src, got, want)
		}
	}
}
