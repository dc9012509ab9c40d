package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A kindOwner is the file in package kinds that has the provider of a kind of probe.
type kindOwner struct{ kind, file string }

// kindOwners returns the owner of each kind: the file with its Provider.
func kindOwners(files map[string]*ast.File) (out []kindOwner) {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		ast.Inspect(files[file], func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if typ, ok := lit.Type.(*ast.Ident); !ok || typ.Name != "Provider" {
				return true
			}
			for _, e := range lit.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok && kv.Key.(*ast.Ident).Name == "Kind" {
					if kind, ok := text(kv.Value); ok {
						out = append(out, kindOwner{kind, file})
					}
				}
			}
			return true
		})
	}
	return out
}

// text returns the value of a string literal.
func text(e ast.Node) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// owns reports whether a file belongs to the provider in the file own: kprobe_event.go belongs to
// kprobe.go.
func owns(own, file string) bool {
	return file == own || strings.HasPrefix(file, strings.TrimSuffix(own, ".go")+"_")
}

// words are the kinds that are also English words. Only a comparison with a Kind, or a colon, shows
// that the kind is meant.
var words = []string{"end", "function", "return"}

// kindLiterals returns the positions of the string literals that name a kind of probe outside the
// files of its provider: the kind itself, or the kind and a colon.
func kindLiterals(fset *token.FileSet, files map[string]*ast.File, owners []kindOwner) (out []string) {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		compared := map[ast.Expr]bool{} // with a field named Kind
		ast.Inspect(files[file], func(n ast.Node) bool {
			if cmp, ok := n.(*ast.BinaryExpr); ok {
				compared[cmp.X], compared[cmp.Y] = isKind(cmp.Y), isKind(cmp.X)
			}
			s, ok := text(n)
			if !ok {
				return true
			}
			kind, colon := strings.CutSuffix(s, ":")
			for _, o := range owners {
				if kind == o.kind && !owns(o.file, file) && (colon || compared[n.(ast.Expr)] || !slices.Contains(words, kind)) {
					out = append(out, fset.Position(n.Pos()).String()+" names the kind "+strconv.Quote(o.kind))
				}
			}
			return true
		})
	}
	return out
}

// isKind reports whether an expression is x.Kind.
func isKind(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Kind"
}

// parseFolders parses the source files below some folders of the repository, without the tests.
func parseFolders(t *testing.T, fset *token.FileSet, folders ...string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	root := os.DirFS("../..")
	for _, folder := range folders {
		err := fs.WalkDir(root, folder, func(name string, _ fs.DirEntry, err error) error {
			if err != nil || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			src, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			files[name], err = parser.ParseFile(fset, name, src, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestKindsAreNamedByTheirProviders checks that whatever depends on the kind of a probe is a field
// of its Provider, and not a comparison elsewhere.
func TestKindsAreNamedByTheirProviders(t *testing.T) {
	fset := token.NewFileSet()
	files := parseFolders(t, fset, "bpf", "compiler", "repl", "starlarkbind")
	owners := kindOwners(files)
	if len(owners) < 20 {
		t.Fatalf("found only the providers %v", owners)
	}
	for _, bad := range kindLiterals(fset, files, owners) {
		t.Error(bad)
	}
}

func TestKindLiteralsAreFound(t *testing.T) {
	fset := token.NewFileSet()
	files := map[string]*ast.File{}
	for name, src := range map[string]string{
		"bpf/kinds/kprobe.go":       `package kinds; var p = Provider{Kind: "kprobe", Doc: "d"}; var q = Provider{Kind: "end"}; var k = "kprobe:"`,
		"bpf/kinds/kprobe_event.go": `package kinds; var a = "kprobe"`,
		"bpf/attach.go":             `package bpf; var b = t.Kind == "kprobe"; var c = t.Kind != "end"; var d = "end"; var e = "write kprobe:NAME"`,
		"repl/tab.go":               `package repl; var f = "kprobe:"`,
	} {
		f, err := parser.ParseFile(fset, name, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	got := kindLiterals(fset, files, kindOwners(files))
	want := []string{`bpf/attach.go:1:32 names the kind "kprobe"`, `bpf/attach.go:1:60 names the kind "end"`, `repl/tab.go:1:23 names the kind "kprobe"`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
