package std_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/cmd/bpfrepl/scripttest"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
	"github.com/bpfrepl/bpfrepl/starlarkbind"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/std"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == loadProgram {
		if err := runLoad(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	remove, err := addToPath()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(leakcheck.Main(m, remove))
}

// A library is the documentation of a module.
type library struct {
	name  string
	doc   source.Doc
	funcs []source.FuncDoc
}

func libraries(t *testing.T) []library {
	t.Helper()
	var out []library
	for _, name := range std.Names() {
		src, err := std.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := source.Parse(name, src)
		if err != nil {
			t.Fatal(err)
		}
		doc, funcs := source.Docs(f)
		out = append(out, library{name, doc, funcs})
	}
	return out
}

// script returns the example of a function as a script.
func (l library) script(fn source.FuncDoc) string {
	var names []string
	for _, f := range l.funcs {
		if regexp.MustCompile(`\b` + f.Name + `\b`).MatchString(fn.Example) {
			names = append(names, fmt.Sprintf("%q", f.Name))
		}
	}
	if l.name == "" {
		return fn.Example
	}
	return fmt.Sprintf("load(%q, %s)\n%s\n", l.name, strings.Join(names, ", "), fn.Example)
}

// TestTests runs the tests that are written in Starlark.
func TestTests(t *testing.T) {
	var out bytes.Buffer
	o := scripttest.Options{Paths: []string{"testdata"}, Timeout: time.Minute, Stdout: &out, Session: starlarkbind.Options{AllowRun: true}}
	passed, err := scripttest.Run(t.Context(), o)
	if err != nil || !passed {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestComplete checks that each module and each function has a description and an example, and that
// a test calls it.
func TestComplete(t *testing.T) {
	for _, l := range libraries(t) {
		if l.doc.Text == "" || len(l.funcs) == 0 {
			t.Errorf("%s has no description or no functions", l.name)
		}
		file := filepath.Join("testdata", strings.TrimSuffix(filepath.Base(l.name), ".star")+"_test.star")
		tests, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, fn := range l.funcs {
			if fn.Text == "" || !strings.Contains(fn.Example, fn.Name) {
				t.Errorf("%s: %s has no description or no example", l.name, fn.Name)
			}
			if !strings.Contains(strings.ReplaceAll(string(tests), fmt.Sprintf("%q", fn.Name), ""), fn.Name) {
				t.Errorf("%s does not test %s", file, fn.Name)
			}
			for line := range strings.SplitSeq(l.script(fn), "\n") {
				if n := len([]rune(line)); n > 130 {
					t.Errorf("%s: %s: a line of its example has %d columns", l.name, fn.Name, n)
				}
			}
		}
	}
}

// TestExamples runs the examples. An example prints what the comments behind its calls say, if
// there are any.
func TestExamples(t *testing.T) {
	libs := append(libraries(t), library{funcs: []source.FuncDoc{{Name: "introduction", Doc: source.Doc{Example: introduction}}}})
	for _, l := range libs {
		for _, fn := range l.funcs {
			t.Run(l.name+"/"+fn.Name, func(t *testing.T) {
				var want []string
				for line := range strings.SplitSeq(fn.Example, "\n") {
					code, comment, ok := strings.Cut(line, "# ")
					if ok && (strings.TrimSpace(code) == "" || strings.HasSuffix(code, ")  ")) {
						want = append(want, comment)
					}
				}
				var out, errs bytes.Buffer
				cmd, err := proc.Start([]string{loadProgram, "exit"}, nil, nil) // whose end ends run()
				if err != nil {
					t.Fatal(err)
				}
				s, err := starlarkbind.New(starlarkbind.Options{Stdout: &out, Stderr: &errs, NoSummary: true, Command: cmd})
				if err != nil {
					t.Fatal(err)
				}
				err = s.ExecFile(context.Background(), "example.star", []byte(l.script(fn)))
				if err != nil {
					t.Error(s.FormatError(err))
				}
				printed := out.String()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if got := strings.TrimSpace(printed); len(want) > 0 && got != strings.Join(want, "\n") {
					t.Errorf("printed\n%s\nwant\n%s", got, strings.Join(want, "\n"))
				}
			})
		}
	}
}

// introduction is the first example of the documentation.
const introduction = `load("std/dicts.star", "by_value")
load("std/net.star", "endpoints", "tcp_state")
load("std/units.star", "duration")

states = count()

def changed(e):
    states.add(by=(tcp_state(e.args.newstate), endpoints(cast(e.args.skaddr, "struct sock"))))

probe("tracepoint:sock:inet_sock_set_state", changed)
start = now()
run(1)
for (state, (local, port, remote, remote_port)), n in by_value(states)[:5]:
    print(state, local, port, remote, remote_port, n)
print("traced for", duration(now() - start))
`

const docFile = "../../docs/std.md"

// TestDocs checks docs/std.md, which is made of the docstrings. UPDATE=1 writes it.
func TestDocs(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "# The standard library\n\n"+
		"This page lists the functions of the modules that are part of bpfrepl. A script\n"+
		"[loads](language.md#loading-other-files) what it needs of them:\n\n```python\n%s```\n\n"+
		"`help(\"std/net.star\")` describes a module at the prompt. The page is made from the docstrings.\n\n"+
		"| module | content |\n|---|---|\n", introduction)
	libs := libraries(t)
	for _, l := range libs {
		first, _, _ := strings.Cut(l.doc.Text, "\n\n")
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", l.name, strings.NewReplacer("/", "", ".", "").Replace(l.name), strings.ReplaceAll(first, "\n", " "))
	}
	for _, l := range libs {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", l.name, l.doc.Text)
		for _, fn := range l.funcs {
			fmt.Fprintf(&b, "\n### %s\n\n`%s`\n\n%s\n\n```python\n%s```\n", fn.Name, fn.Sig, fn.Text, l.script(fn))
		}
	}
	b.WriteString("\n## Limits\n\n" +
		"- Functions whose description does not say that they work in handlers, and that make or take lists,\n" +
		"  dicts or functions, work in the script only.\n" +
		"- Numbers are those of x86-64 and arm64, which some other architectures have replaced.\n")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(docFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/std.md is not what the docstrings say; UPDATE=1 go test ./starlarkbind/std -run TestDocs writes it")
	}
}
