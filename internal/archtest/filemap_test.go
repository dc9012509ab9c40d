package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unmapped returns the files of a package that its package comments do not name. A package of three
// files or fewer needs no map.
func unmapped(doc string, files []string) []string {
	files = slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f == "doc.go" })
	if len(files) <= 3 {
		return nil
	}
	return slices.DeleteFunc(files, func(f string) bool {
		return regexp.MustCompile(`(^|[^\w/.])` + regexp.QuoteMeta(f) + `\b`).MatchString(doc)
	})
}

// TestFileMaps checks that the comment of each package tells which file holds what.
func TestFileMaps(t *testing.T) {
	docs, files := map[string]string{}, map[string][]string{}
	eachGoFile(t, func(path string, f *ast.File, _ *token.FileSet) {
		dir := filepath.Dir(path)
		docs[dir] += f.Doc.Text()
		if !strings.HasSuffix(path, "_test.go") && !ast.IsGenerated(f) {
			files[dir] = append(files[dir], filepath.Base(path))
		}
	})
	if len(files) < 30 {
		t.Fatalf("only %d packages found", len(files))
	}
	for dir, names := range files {
		for _, f := range unmapped(docs[dir], names) {
			t.Errorf("%s: the package comment does not name %s", dir, f)
		}
	}
}

func TestUnmappedFinds(t *testing.T) {
	got := unmapped("list.go holds lists, and abi/set.go sets.\nSee dict.go.", []string{"doc.go", "list.go", "set.go", "dict.go", "ist.go"})
	if want := []string{"set.go", "ist.go"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

var (
	firstWord = regexp.MustCompile(`^\w*`)
	mixedCase = regexp.MustCompile(`^[a-z][a-z0-9]+[A-Z]|^[A-Z][a-z0-9]+[A-Z]`)
)

// otherName returns the first word of a declaration's comment if it is a name, but not the one that
// is declared: the same in another case, as before it was exported, or another name in mixed case.
// Otherwise it returns "".
func otherName(doc, name string) string {
	word := firstWord.FindString(doc)
	if word == name || !strings.EqualFold(word, name) && !mixedCase.MatchString(word) {
		return ""
	}
	return word
}

// TestCommentNames checks that comments of declarations begin with the name that is declared.
func TestCommentNames(t *testing.T) {
	type comment struct{ pos, doc, name string }
	var comments []comment
	eachGoFile(t, func(path string, f *ast.File, fset *token.FileSet) {
		note := func(id *ast.Ident, doc *ast.CommentGroup) {
			comments = append(comments, comment{fset.Position(id.Pos()).String(), doc.Text(), id.Name})
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				note(d.Name, d.Doc)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						doc := s.Doc
						if doc == nil && len(d.Specs) == 1 {
							doc = d.Doc
						}
						note(s.Name, doc)
					case *ast.ValueSpec:
						doc := s.Doc
						if doc == nil && len(d.Specs) == 1 {
							doc = d.Doc
						}
						if len(s.Names) == 1 {
							note(s.Names[0], doc)
						}
					}
				}
			}
		}
	})
	for _, c := range comments {
		if w := otherName(c.doc, c.name); w != "" {
			t.Errorf("%s: the comment of %s begins with %s", c.pos, c.name, w)
		}
	}
}

func TestOtherNameFinds(t *testing.T) {
	for _, c := range []struct{ doc, name, want string }{
		{"builtinPlot implements plot().", "Plot", "builtinPlot"},
		{"newExporter returns an exporter.", "New", "newExporter"},
		{"snapshot reads a map.", "Snapshot", "snapshot"},
		{"ReadAll reads a map.", "ReadSome", "ReadAll"},
		{"Snapshot reads a map.", "Snapshot", ""},
		{"A Snapshot has the contents of a map.", "Snapshot", ""},
		{"eBPF needs it.", "stack", ""},
		{"", "stack", ""},
	} {
		if got := otherName(c.doc, c.name); got != c.want {
			t.Errorf("%q, %s: got %q, want %q", c.doc, c.name, got, c.want)
		}
	}
}

// TestCommentWidth checks that comments on lines of their own wrap at 100 columns.
func TestCommentWidth(t *testing.T) {
	const widest = 100
	eachGoFile(t, func(_ string, f *ast.File, fset *token.FileSet) {
		code := map[int]bool{} // lines that have code in front of a comment
		ast.Inspect(f, func(n ast.Node) bool {
			if n == nil {
				return false
			}
			switch n.(type) {
			case *ast.Comment, *ast.CommentGroup:
				return false
			}
			code[fset.Position(n.Pos()).Line], code[fset.Position(n.End()-1).Line] = true, true
			return true
		})
		for _, group := range f.Comments {
			for _, c := range group.List {
				at := fset.Position(c.Pos())
				if width := at.Column - 1 + len(c.Text); width > widest && !code[at.Line] && strings.HasPrefix(c.Text, "// ") {
					t.Errorf("%s: the comment has %d columns", at, width)
				}
			}
		}
	})
}

// eachGoFile parses each Go file of the module, with comments.
func eachGoFile(t *testing.T, fn func(path string, f *ast.File, fset *token.FileSet)) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		fn(strings.TrimPrefix(filepath.ToSlash(path), "../../"), f, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
