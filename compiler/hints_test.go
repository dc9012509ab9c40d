package compiler

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
)

// Hints contain code: what follows "write", "use" or a colon, or is in back quotes. This test
// extracts the hints from the source of the package. Each must contain a piece of code that
// compiles. The names used as variables in hints (s, t, ptr, key) are variables in the test too.

// hintTexts returns the string literals that are hints, with their positions. Parts of a hint that
// are not literals are replaced by the name X.
func hintTexts(t *testing.T) map[string]token.Position {
	t.Helper()
	var files []string
	for _, dir := range []string{"check", "lower", "builtin"} {
		more, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	out := map[string]token.Position{}
	fset := token.NewFileSet()
	add := func(x ast.Expr) {
		if s, ok := hintText(x); ok && s != "" {
			out[s] = fset.Position(x.Pos())
		}
	}
	isHint := func(name string) bool { return strings.EqualFold(name, "hint") }
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Bad" || sel.Sel.Name == "Errorf") && len(n.Args) > 2 {
					add(n.Args[1])
				}
			case *ast.AssignStmt:
				if id, ok := n.Lhs[0].(*ast.Ident); ok && isHint(id.Name) {
					add(n.Rhs[0])
				}
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok && isHint(id.Name) {
					add(n.Value)
				}
			case *ast.ValueSpec:
				if isHint(n.Names[0].Name) && len(n.Values) > 0 {
					add(n.Values[0])
				}
				if m, ok := n.Values, len(n.Values) > 0 && (n.Names[0].Name == "hostOnly" || n.Names[0].Name == "hostMethods" || n.Names[0].Name == "textMethods"); ok {
					for _, e := range m[0].(*ast.CompositeLit).Elts {
						add(e.(*ast.KeyValueExpr).Value)
					}
				}
			}
			return true
		})
	}
	return out
}

func hintText(x ast.Expr) (string, bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			s, err := strconv.Unquote(x.Value)
			return s, err == nil
		}
	case *ast.BinaryExpr:
		a, ok1 := hintText(x.X)
		b, ok2 := hintText(x.Y)
		if ok1 || ok2 {
			if !ok1 {
				a = "X"
			}
			if !ok2 {
				b = "X"
			}
			return a + b, true
		}
	case *ast.IndexExpr: // an optional part
		return "", true
	case *ast.CallExpr: // fmt.Sprintf
		if len(x.Args) > 1 {
			s, ok := hintText(x.Args[0])
			return strings.NewReplacer("%s", "X", "%d", "8", "%q", `"X"`).Replace(s), ok
		}
	}
	return "", false
}

var (
	callName   = regexp.MustCompile(`\b([a-z_]\w*)\(\)`)
	hintMarker = regexp.MustCompile("(write |use |with |over |: |, |`)")
)

// hintPrelude defines the variables used in hints. X is tried as each thing that a name can refer
// to.
const hintPrelude = `calls = count()
t = table()
start = table()
used = stream()
names = {0: "a", 1: "b"}
XDECL
def h(e):
    ptr = e.args.filename
    s = e.comm
    y, a, i, n, key, value, k, addr, ns = e.pid, e.tid, 1, 2, 3, 4, 5, e.args.u64, 6
    x, b = XVALUES
    t[1] = 1
    start[1] = e.time
`

// hintCompiles reports whether a piece of code is a statement of a handler, or a function.
func hintCompiles(t *testing.T, code string) bool {
	code = strings.TrimSpace(code)
	if code == "" || !strings.ContainsAny(code, "([=.") && !strings.Contains(code, " in ") {
		return false
	}
	code = strings.NewReplacer("default)", "0)", `"name"`, `"vfs_read"`, `uaddr("name", "path")`, `uaddr("main", "/x")`, "struct sock", "struct task_struct", "X(name=", "used.emit(name=", "].X", "].pid", ": ...", ": pass", "(format, ...)", `("%d\n", x)`, "...)", "1)", "NAME", "task_struct", "TYPE", "struct task_struct").Replace(code)
	values := []string{"e.args.i32, buf(ptr, 8)", "e.comm, e.pid", `cast(e.args.u64, "struct task_struct **"), e.pid`, "(e.pid, e.tid), e.pid", "e.args.p, e.args.args", "e.args.i32, e.pid"}
	for _, form := range []string{code, "_ = " + code, "_ = t" + code, "calls" + code, "calls.add(" + code + ")", code + ": pass", "for _ in " + code + ": pass"} {
		for n, decl := range []string{"X = count()", "X = 1", "X = table()", "X = lambda v: 1", "X = 2", "X = lambda v: 2"} {
			src := strings.NewReplacer("XDECL", decl, "XVALUES", values[n]).Replace(hintPrelude) + "    " + strings.ReplaceAll(strings.ReplaceAll(form, "e.args.X", "e.args.filename"), "e.X", "e.pid") + "\n"
			if strings.HasPrefix(code, "def ") {
				src = decl + "\n" + code + "\n"
			}
			s, err := readSource("hint.star", src)
			if err != nil || s.last == nil {
				continue
			}
			_, err = Compile(s.request(t))
			var ds diag.List
			if err == nil {
				return true
			} else if !errors.As(err, &ds) {
				t.Fatal(err)
			}
		}
	}
	return false
}

// hintExceptions lists, with the reason, hints that contain no code or whose code needs more than
// the fake kernel of these tests has.
var hintExceptions = map[string]string{
	`path(e.args.file), path(e.task.fs.pwd), path(cast(addr, "struct path"))`: "the fake kernel has no struct path",
	`write deny("EPERM")`:                                                                 "needs --unsafe and a security hook: TestDeny compiles it",
	"read one of them: e.args.NAME":                                                       "the names are those of the event",
	"read the raw arguments by index: e.args[0]":                                          "the fake event has names",
	"fill a table() from the script and use `in` on that":                                 "the operator alone",
	"use `in`, which searches, or a table()":                                              "the operator alone",
	"a member is read without (): omit them":                                              "parentheses alone",
	"leave out by= here, or make another X()":                                             "an argument that is too many",
	"write X.add(X, by=X), which adds in one step":                                        "X is a table, a key and a number: TestRaceWarnings compiles it",
	"write X.add(by=X), which adds in one step":                                           "X is a table and a key: TestRaceWarnings compiles it",
	"write X[X] -= X, which subtracts in one step":                                        "X is a table, a key and a number: TestRaceWarnings compiles it",
	"shorten these with str(ptr, n), or use the longest strings first":                    "n is what the user chooses",
	"shorten these with str(ptr, n), or declare the longest: X = table(X=X)":              "a line of the script, tested in starlarkbind (TestMapTypeErrors)",
	"assign to it in a probe of this script, or declare its values: X = table(value=int)": "a line of the script, tested in starlarkbind (TestMapTypeErrors)",
	"write X = int(X) outside of the handler, which has no floats":                        "a line of the script",
}

func TestHintsCompile(t *testing.T) {
	for h := range hintExceptions {
		if _, ok := hintTexts(t)[h]; !ok {
			t.Errorf("no such hint: %s", h)
		}
	}
	known := map[string]bool{}
	for _, d := range Builtins() {
		known[d.Name] = true
	}
	for _, name := range []string{"table", "stream", "count", "errors", "run", "probe", "stop", "help", "X", "len", "add", "keys"} {
		known[name] = true
	}
	hints, code := hintTexts(t), 0
	for h, pos := range hints {
		for _, m := range callName.FindAllStringSubmatch(h, -1) {
			if !known[m[1]] {
				t.Errorf("%s: %s() is no function: %s", pos, m[1], h)
			}
		}
		if rest := strings.ReplaceAll(callName.ReplaceAllString(h, ""), " ()", ""); !strings.ContainsAny(rest, "([=`") && !strings.Contains(rest, "e.") {
			continue
		}
		if hintExceptions[h] != "" {
			continue
		}
		code++
		ok := false
		for _, at := range append(hintMarker.FindAllStringIndex(h, -1), []int{0, 0}) {
			words := strings.SplitAfter(h[at[1]:], " ")
			for n := len(words); n > 0 && !ok; n-- {
				ok = hintCompiles(t, strings.Trim(strings.TrimSpace(strings.Join(words[:n], "")), "`,;"))
			}
		}
		if !ok {
			t.Errorf("%s: no code in this hint compiles; mend it, or say in hintExceptions why it cannot compile here: %s", pos, h)
		}
	}
	if len(hints) < 80 || code < 30 {
		t.Errorf("found %d hints, %d with code", len(hints), code)
	}
}
