package starlarkbind

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler"
)

var updateDocs = flag.Bool("update", false, "rewrite the tables in docs/language.md and docs/script-tests.md")

// The tables of docs/language.md and docs/script-tests.md are those that checker, lowering and help
// use.
func TestLanguageTables(t *testing.T) {
	var fields, host, values, modules, assertions [][]string
	for _, f := range compiler.EventFields() {
		fields = append(fields, []string{code("e." + f[0]), f[1]})
	}
	for _, b := range Builtins {
		host = append(host, []string{code(b.Sig), b.Doc, code(b.Example)})
	}
	for _, t := range topics() {
		switch t.Of {
		case "aggregation", "table", "stream", "probe":
			values = append(values, []string{code(t.Of + "." + t.Sig), t.Doc, code(t.Example)})
		case "json", "math", "time":
			modules = append(modules, []string{code(t.Of + "." + t.Sig), t.Doc, code(t.Example)})
		case "assert":
			assertions = append(assertions, []string{code(t.Of + "." + t.Sig), t.Doc, code(t.Example)})
		}
	}
	rows := func(docs []compiler.Doc, prefix bool) (out [][]string) {
		for _, d := range docs {
			sig := d.Sig
			if recv, _, _ := strings.Cut(d.Name, "."); prefix && !strings.ContainsAny(sig, "[ ") {
				sig = recv + "." + sig
			}
			out = append(out, []string{code(sig), d.Text, code(d.Example)})
		}
		return out
	}
	docTables(t, "../docs/language.md", []docTable{
		{"fields", "field | value", fields},
		{"functions", "function | value | example", rows(compiler.Builtins(), false)},
		{"methods", "method | value | example", rows(compiler.Methods(), true)},
		{"host", "function | what it does | example", host},
		{"values", "method | what it does | example", values},
		{"modules", "member | value | example", modules},
	})
	docTables(t, "../docs/script-tests.md", []docTable{{"assert", "assertion | what must hold | example", assertions}})
}

// A docTable is a table of a document, between the comments <!-- mark --> and <!-- end -->.
type docTable struct {
	mark, head string
	rows       [][]string
}

// docTables compares the tables of a document with those of the code, or rewrites them.
func docTables(t *testing.T, name string, tables []docTable) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, s := range tables {
		var b strings.Builder
		fmt.Fprintf(&b, "<!-- %s -->\n| %s |\n|%s\n", s.mark, s.head, strings.Repeat("---|", strings.Count(s.head, "|")+1))
		for _, r := range s.rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
		}
		before, rest, ok := strings.Cut(doc, "<!-- "+s.mark+" -->\n")
		_, after, ok2 := strings.Cut(rest, "<!-- end -->")
		if !ok || !ok2 {
			t.Fatalf("%s has no place for the table %s", name, s.mark)
		}
		doc = before + b.String() + "<!-- end -->" + after
	}
	if doc == string(text) {
		return
	}
	if !*updateDocs {
		t.Fatalf("the tables of %s are not those of the code: go test ./starlarkbind -run TestLanguageTables -update", name)
	}
	if err := os.WriteFile(name, []byte(doc), 0o644); err != nil {
		t.Fatal(err)
	}
}

// code formats text as code in a table cell.
func code(s string) string { return "`" + strings.ReplaceAll(s, "|", "\\|") + "`" }
