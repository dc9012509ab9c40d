package archtest

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An arrow is the use, in one file of a package, of something that another file declares.
type arrow struct{ from, to, name string }

// Reasons for a use that closes a cycle between files.
const (
	nests  = "expressions, statements and types contain each other"
	state  = "the type of a field of the central struct, whose methods are in the subjects' files"
	mutual = "two types refer to each other"
	entry  = "a step that several files reach, and that uses them"
)

// upward lists what closes a cycle between the files of a package, by package and reason. Without
// the uses of these names, the files of each package can be put in an order in which each file uses
// only files below it.
var upward = map[string]map[string][]string{
	"bpf":            {mutual: {"Target"}}, // a driver attaches programs, which know their targets
	"bpf/kernelfunc": {entry: {"Traceable"}},
	"bpf/kinds":      {entry: {"attachRawTracepoint"}, mutual: {"tracepointProvider"}},
	"compiler/check": {
		nests: {"Checker.ConstString", "Checker.Constant", "Checker.bind", "Checker.block", "Checker.call", "Checker.checkArgs",
			"Checker.comprehension", "Checker.forChosen", "Checker.forCollections",
			"Checker.elem", "Checker.entity", "Checker.expr", "Checker.ident", "Checker.in", "Checker.logic", "Checker.sequence",
			"Checker.tuple", "Checker.tupleOf", "Checker.unknownSide"},
		state:  {"Arithmetic", "chosenExpr", "mapTyping", "tableRead"},
		mutual: {"Checker", "Checker.storeInt", "signs", "signs.of", "dataLocLen", "intType"},
		entry:  {"Checker.program"},
	},
	"compiler/codegen": {entry: {"allocate"}},
	"compiler/lower": {
		nests: {"Lowerer.SelectValue", "Lowerer.Value", "Lowerer.block", "Lowerer.contains", "Lowerer.convert", "Lowerer.getOrPop", "Lowerer.homeOf",
			"Lowerer.search", "Lowerer.str", "Lowerer.syscallEntry"},
		state: {"budget", "callbackBody", "callbackBody.copyOf", "scratch", "scratch.free", "stackStore", "storage", "subprog"},
		entry: {"Lowerer.weighCall"},
	},
	"compiler/tree": {mutual: {"Request"}},
	"compiler/types": {
		nests:  {"Type.IsComposed", "Type.IsEither", "Type.IsStruct", "Type.IsText", "Type.canBeEither", "joinComposed"},
		mutual: {"Pointee", "TFormatted", "Type.uniqueText", "composedHints"},
	},
	"starlarkbind": {
		state:  {"Session"},
		mutual: {"program", "Builtins"},
		entry: {"Probe.attach", "Probe.detach", "Probe.overheadError", "Session.checkFlags", "Session.errorList", "Session.load",
			"loader.nextType", "loader.reloadUntrusted", "registry.remember"},
	},
	"starlarkbind/assert":   {mutual: {"Env", "Env.show"}},
	"starlarkbind/codec":    {mutual: {"Codec", "stackFormat"}, nests: {"Codec.compose", "Codec.takeApart"}},
	"starlarkbind/complete": {nests: {"Completer.eventAttributes", "Completer.localAttributes"}},
	"starlarkbind/help":     {state: {"Help"}},
	"starlarkbind/hostrun":  {entry: {"Handlers.callBuiltins", "Handlers.hostHalf"}},
	"starlarkbind/maps": {
		mutual: {"Aggregation", "Table", "Table.Name"},
		state:  {"usage"},
		entry:  {"Aggregation.readMap", "Aggregation.uniqueKeys", "Aggregation.warnForgotten"},
	},
	"starlarkbind/modules":  {mutual: {"module"}, entry: {"Loader"}},
	"starlarkbind/records":  {mutual: {"Env", "Stream", "Stream.Name", "Stream.decode"}},
	"starlarkbind/runner":   {mutual: {"Ending"}},
	"starlarkbind/terminal": {entry: {"Output.Object", "PrintedLine"}},
	"starlarkbind/universe": {entry: {"Guards.Repr"}},
}

// arrowsOf returns the arrows between the files of a package. exports opens the export data of the
// packages that it imports.
func arrowsOf(path string, files []string, exports func(string) (io.ReadCloser, error)) (map[arrow]bool, error) {
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range files {
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", exports)}
	pkg, err := conf.Check(path, fset, parsed, info)
	if err != nil {
		return nil, err
	}
	file := func(p token.Pos) string { return filepath.Base(fset.Position(p).Filename) }
	arrows := map[arrow]bool{}
	for id, o := range info.Uses {
		if o.Pkg() != pkg || !o.Pos().IsValid() {
			continue
		}
		if f, ok := o.(*types.Func); ok {
			o = f.Origin()
		}
		a := arrow{file(id.Pos()), file(o.Pos()), objectName(o)}
		if a.from != a.to && a.name != "" {
			arrows[a] = true
		}
	}
	return arrows, nil
}

// objectName returns Name for what a package declares, Type.Name for a method, and "" for what a
// function or a struct declares.
func objectName(o types.Object) string {
	if f, ok := o.(*types.Func); ok {
		if r := f.Signature().Recv(); r != nil {
			t := r.Type()
			if p, ok := t.(*types.Pointer); ok {
				t = p.Elem()
			}
			if n, ok := t.(*types.Named); ok {
				return n.Obj().Name() + "." + o.Name()
			}
			return ""
		}
	}
	if o.Parent() != o.Pkg().Scope() {
		return ""
	}
	return o.Name()
}

// cyclic returns the arrows between files that reach each other, if the uses of the names in
// without are left out.
func cyclic(arrows map[arrow]bool, without []string) []arrow {
	next := map[string][]string{}
	for a := range arrows {
		if !slices.Contains(without, a.name) {
			next[a.from] = append(next[a.from], a.to)
		}
	}
	reached := map[string]map[string]bool{} // by file
	for from := range next {
		seen, todo := map[string]bool{}, []string{from}
		for len(todo) > 0 {
			n := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			for _, m := range next[n] {
				if !seen[m] {
					seen[m] = true
					todo = append(todo, m)
				}
			}
		}
		reached[from] = seen
	}
	var out []arrow
	for a := range arrows {
		if !slices.Contains(without, a.name) && reached[a.to][a.from] {
			out = append(out, a)
		}
	}
	return out
}

// TestFileArrows checks that the files of a package use each other in one direction, but for the
// names in upward, and that each of these names is needed there.
func TestFileArrows(t *testing.T) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", `{{.ImportPath}}	{{.Export}}	{{.Dir}}	{{join .GoFiles " "}}`, "./compiler/...", "./bpf/...", "./starlarkbind/...", "./internal/ctype")
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	export, files := map[string]string{}, map[string][]string{}
	for l := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(l, "\n"), "\t")
		export[f[0]] = f[1]
		rest, ours := strings.CutPrefix(f[0], "github.com/bpfrepl/bpfrepl/")
		if names := strings.Fields(f[3]); ours && !strings.HasPrefix(rest, "internal/testkit") && len(names) > 1 {
			for _, n := range names {
				files[f[0]] = append(files[f[0]], filepath.Join(f[2], n))
			}
		}
	}
	if len(files) < 30 {
		t.Fatalf("only %d packages with several files", len(files))
	}
	open := func(path string) (io.ReadCloser, error) { return os.Open(export[path]) }
	known := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		arrows, err := arrowsOf(path, files[path], open)
		if err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimPrefix(path, "github.com/bpfrepl/bpfrepl/")
		known[pkg] = true
		allowed := slices.Concat(slices.Collect(maps.Values(upward[pkg]))...)
		for _, a := range cyclic(arrows, allowed) {
			t.Errorf("%s: %s uses %s of %s, which closes a cycle; move one of the two, or give the reason in upward", pkg, a.from, a.name, a.to)
		}
		for i, name := range allowed {
			if len(cyclic(arrows, slices.Delete(slices.Clone(allowed), i, i+1))) == 0 {
				t.Errorf("%s: %s closes no cycle any more: remove it from the table", pkg, name)
			}
		}
	}
	for pkg := range upward {
		if !known[pkg] {
			t.Errorf("no package %s with several files", pkg)
		}
	}
}

func TestCyclic(t *testing.T) {
	arrows := map[arrow]bool{{"a.go", "b.go", "f"}: true, {"b.go", "a.go", "g"}: true, {"a.go", "c.go", "h"}: true}
	if got := cyclic(arrows, nil); len(got) != 2 {
		t.Errorf("got %v, want the two arrows between a.go and b.go", got)
	}
	if got := cyclic(arrows, []string{"g"}); got != nil {
		t.Errorf("got %v, want none", got)
	}
}
