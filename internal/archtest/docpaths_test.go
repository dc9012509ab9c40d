package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goPath = regexp.MustCompile("`([a-z]\\w*(?:/\\w+)+\\.go)`")
	// named is an identifier and the file that has it: `Attach` in `bpf/attach.go`
	named = regexp.MustCompile("`(?:[a-z]+\\.)?([A-Za-z]+)(?:\\.([A-Za-z]+))?`\\s+(?:in\\s+|\\()`([a-z]\\w*(?:/\\w+)+\\.go)`")
)

// TestDocPaths checks that the Go files that docs and CONTRIBUTING.md name exist, and that they
// declare what is said to be in them.
func TestDocPaths(t *testing.T) {
	declared := map[string]map[string]bool{} // by file
	eachGoFile(t, func(path string, f *ast.File, _ *token.FileSet) {
		names := map[string]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				names[n.Name.Name] = true
			case *ast.TypeSpec:
				names[n.Name.Name] = true
			case *ast.ValueSpec:
				for _, id := range n.Names {
					names[id.Name] = true
				}
			case *ast.Field:
				for _, id := range n.Names {
					names[id.Name] = true
				}
			}
			return true
		})
		declared[path] = names
	})
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	paths, names := 0, 0
	for _, page := range append(pages, "../../CONTRIBUTING.md", "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goPath.FindAllStringSubmatch(string(text), -1) {
			paths++
			if declared[m[1]] == nil {
				t.Errorf("%s: no file %s", filepath.Base(page), m[1])
			}
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			names++
			name := m[1]
			if m[2] != "" {
				name = m[2]
			}
			if have := declared[m[3]]; have != nil && !have[name] {
				t.Errorf("%s: %s declares no %s", filepath.Base(page), m[3], strings.Trim(m[1]+"."+m[2], "."))
			}
		}
	}
	if paths < 50 || names < 15 {
		t.Errorf("only %d paths and %d names found", paths, names)
	}
}
