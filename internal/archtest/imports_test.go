// Package archtest checks the direction of imports, cmd/bpfrepl -> repl -> starlarkbind ->
// {compiler, bpf}, and other rules about the source code as a whole.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bpfrepl/bpfrepl/"

// A rule lists imports that the packages below a directory must not have.
type rule struct {
	folder string
	banned []string // import paths; subpackages are banned too
	why    string
}

var rules = []rule{
	{"compiler", []string{module + "bpf", module + "repl", module + "starlarkbind", module + "cmd"}, "the compiler is below them"},
	{"compiler", []string{"go.starlark.net/starlark", "go.starlark.net/starlarkstruct"}, "the compiler knows no Starlark values"},
	{"compiler", []string{"os", "syscall", "net", "unsafe", "golang.org/x/sys", "github.com/cilium/ebpf/link", "github.com/cilium/ebpf/ringbuf"}, "the compiler makes no system calls"},
	{"compiler/types", compilerPackages("tree", "check", "lower", "builtin", "ir", "codegen"), "types are below the phases"},
	{"compiler/tree", compilerPackages("check", "lower", "builtin", "codegen"), "the tree is below the phases that build and read it"},
	{"compiler/check", compilerPackages("lower", "builtin", "ir", "codegen"), "the checker knows no lowering, and gets its rows from the compiler"},
	{"compiler/lower", compilerPackages("check", "builtin", "codegen"), "lowering knows no checker, and gets its rows from the compiler"},
	{"compiler/builtin", compilerPackages("codegen"), "builtins are lowered to package ir"},
	{"compiler/ir", compilerPackages("tree", "check", "lower", "builtin", "types", "codegen"), "the IR knows no handler"},
	{"compiler/codegen", compilerPackages("tree", "check", "lower", "builtin", "types"), "the code generator knows the IR only"},
	{"bpf", []string{module + "compiler", module + "repl", module + "starlarkbind", module + "cmd"}, "bpf is below them, and beside the compiler"},
	{"bpf", []string{"go.starlark.net"}, "bpf knows no Starlark"},
	{"bpf/kmap", []string{module + "bpf/symbol", module + "bpf/exe", module + "bpf/kbtf"}, "maps know nothing of symbols"},
	{"bpf/exe", []string{module + "bpf/kmap", module + "bpf/symbol", module + "bpf/kernelfunc", module + "bpf/kbtf"}, "exe deals with files only"},
	{"bpf/symbol", []string{"debug/elf"}, "package exe reads ELF files"},
	{"bpf/symbol", []string{module + "bpf/kmap", module + "bpf/kernelfunc", module + "bpf/kbtf"}, "symbols know nothing of maps and probes"},
	{"bpf/tracefmt", []string{module + "bpf/kmap", module + "bpf/symbol", module + "bpf/exe", module + "bpf/kernelfunc", module + "bpf/kbtf"}, "a format file is text"},
	{"bpf/kernelfunc", []string{module + "bpf/tracefmt", module + "bpf/kmap", module + "bpf/exe"}, "lists of functions know nothing of maps and files"},
	{"bpf/kbtf", []string{module + "bpf/kernelfunc", module + "bpf/kmap", module + "bpf/symbol", module + "bpf/exe"}, "kernel types know nothing of maps and symbols"},
	{"internal/ctype", []string{"os", "syscall", "unsafe", "golang.org/x/sys", "github.com/cilium/ebpf"}, "types are read from bytes, without system calls"},
	{"bpf/sys", []string{module + "bpf/kmap", module + "bpf/symbol", module + "bpf/exe", module + "bpf/kbtf"}, "sys is below the rest of bpf"},
	{"starlarkbind", []string{module + "repl", module + "cmd"}, "starlarkbind is below them"},
	{"examples", []string{module + "compiler", module + "bpf", module + "repl", module + "starlarkbind", module + "cmd"}, "examples are files, which cmd reads"},
	{"repl", []string{module + "compiler", module + "bpf", module + "starlarkbind", module + "cmd"}, "the prompt declares the interpreter that it wants"},
	{"cmd/bpfrepl/scripttest", []string{module + "compiler", module + "bpf", module + "repl"}, "tests of scripts need a session only"},
	{"internal", []string{module + "compiler", module + "bpf", module + "repl", module + "starlarkbind", module + "cmd"}, "everybody may use internal"},
	{"internal/abi", []string{"go.starlark.net", "github.com/cilium/ebpf", "os", "syscall", "unsafe", "golang.org/x/sys", module + "internal/testkit"}, "the contract is data and arithmetic, which both sides may import"},
}

// compilerPackages returns the import paths of subpackages of the compiler.
func compilerPackages(names ...string) []string {
	for i, n := range names {
		names[i] = module + "compiler/" + n
	}
	return names
}

// pkg is the part of the output of `go list -json` that the rules need.
type pkg struct {
	ImportPath string
	Imports    []string
}

// check returns a message for each import that breaks a rule.
func check(pkgs []pkg) []string {
	var bad []string
	for _, p := range pkgs {
		path := strings.TrimPrefix(p.ImportPath, module)
		for _, r := range rules {
			if path != r.folder && !strings.HasPrefix(path, r.folder+"/") {
				continue
			}
			for _, imp := range p.Imports {
				for _, b := range r.banned {
					if imp == b || strings.HasPrefix(imp, strings.TrimSuffix(b, "/")+"/") {
						bad = append(bad, p.ImportPath+" imports "+imp+": "+r.why)
					}
				}
			}
		}
	}
	return bad
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var pkgs []pkg
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

func TestImports(t *testing.T) {
	pkgs := list(t)
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages listed", len(pkgs))
	}
	for _, b := range check(pkgs) {
		t.Error(b)
	}
}

func TestCheckFinds(t *testing.T) {
	bad := check([]pkg{
		{module + "compiler/ir", []string{"fmt", module + "bpf", "os"}},
		{module + "bpf", []string{"go.starlark.net/syntax", "os"}},
		{module + "repl", []string{module + "starlarkbind/items"}},
		{module + "cmd/bpfrepl", []string{module + "repl", module + "starlarkbind"}},
	})
	if len(bad) != 4 {
		t.Errorf("found %d faults, want 4:\n%s", len(bad), strings.Join(bad, "\n"))
	}
}

// starlarkbindImports lists, for each package below starlarkbind, what it may import of this module
// besides internal: other packages below starlarkbind, and compiler or bpf with their subpackages.
var starlarkbindImports = map[string][]string{
	"assert":     {"compiler"},
	"cfmt":       {},
	"codec":      {"bpf", "cfmt", "compiler", "structs"},
	"complete":   {"bpf", "compiler", "ktypes", "source"},
	"dictbuild":  {"runner"},
	"export":     {"bpf", "codec", "files", "flame", "hist", "plot", "pprof", "render", "runner", "terminal"},
	"files":      {"runner"},
	"flags":      {},
	"flame":      {},
	"help":       {"bpf", "compiler", "ktypes", "methods", "source"},
	"helpererr":  {"compiler"},
	"hints":      {},
	"hist":       {},
	"hostrun":    {"bpf", "codec", "compiler", "ktypes", "maps", "source", "universe"},
	"items":      {},
	"kernelinfo": {"bpf", "ktypes", "render"},
	"ktypes":     {"bpf", "compiler"},
	"maps":       {"bpf", "codec", "compiler", "dictbuild", "helpererr", "hist", "methods", "render", "runner", "structs", "terminal"},
	"methods":    {},
	"modules":    {"names", "source", "std"},
	"names":      {"bpf", "compiler", "items", "ktypes", "maps", "source", "structs"},
	"overhead":   {"bpf", "runner"},
	"plot":       {},
	"pprof":      {},
	"proc":       {},
	"records":    {"bpf", "cfmt", "codec", "compiler", "methods", "render", "runner", "structs", "terminal", "warnings"},
	"render":     {"hist", "structs"},
	"runner":     {},
	"source":     {"cfmt"},
	"std":        {},
	"structs":    {},
	"terminal":   {"compiler", "hist", "render", "runner"},
	"universe":   {"runner"},
	"warnings":   {"bpf", "cfmt", "compiler", "helpererr", "render", "source", "terminal"},
}

// TestStarlarkbind checks that the packages below starlarkbind import only what their rows allow,
// and that each has a row.
func TestStarlarkbind(t *testing.T) {
	const prefix = module + "starlarkbind/"
	seen := 0
	for _, p := range list(t) {
		name, ok := strings.CutPrefix(p.ImportPath, prefix)
		if !ok {
			continue
		}
		may, ok := starlarkbindImports[name]
		if !ok {
			t.Errorf("starlarkbind/%s has no row in starlarkbindImports", name)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			path, ours := strings.CutPrefix(imp, module)
			if !ours || strings.HasPrefix(path, "internal/") {
				continue
			}
			path = strings.TrimPrefix(path, "starlarkbind/")
			top, _, _ := strings.Cut(path, "/")
			if !slices.Contains(may, top) {
				t.Errorf("starlarkbind/%s imports %s: its row in starlarkbindImports does not allow that", name, imp)
			}
		}
	}
	if seen != len(starlarkbindImports) {
		t.Errorf("%d packages below starlarkbind, but %d rows", seen, len(starlarkbindImports))
	}
}

// TestTopLevel checks that the top-level directories are exactly the expected ones.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bench", "bpf", "cmd", "compiler", "docs", "examples", "internal", "repl", "starlarkbind"}
	var got []string
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '.' {
			got = append(got, e.Name())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("folders %q, want %q", got, want)
	}
}
