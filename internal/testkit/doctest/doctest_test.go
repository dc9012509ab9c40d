package doctest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m, buildbin.Clean)) }

// A block is a fenced code block of a document.
type block struct {
	lang, text string
	line       int
}

func blocks(text string) []block {
	var out []block
	var cur *block
	for i, l := range strings.Split(text, "\n") {
		switch {
		case cur == nil && strings.HasPrefix(l, "```"):
			cur = &block{lang: strings.TrimPrefix(l, "```"), line: i + 2}
		case cur != nil && l == "```":
			out = append(out, *cur)
			cur = nil
		case cur != nil:
			cur.text += l + "\n"
		}
	}
	return out
}

// A document is a Markdown file of docs, or README.md.
type document struct{ file, text string }

func documents(t *testing.T) []document {
	t.Helper()
	files, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []document
	for _, file := range append(files, "../../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, document{file, string(text)})
	}
	return out
}

func TestBlocks(t *testing.T) {
	gen, err := buildbin.Build("internal/testkit/loadgen")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, doc := range documents(t) {
		shell := ""
		for _, b := range blocks(doc.text) {
			if b.lang == "console" {
				shell += b.text
			}
		}
		if filepath.Base(doc.file) == "std.md" {
			continue // its blocks are examples that the tests of starlarkbind/std run
		}
		for _, b := range blocks(doc.text) {
			kind, name, _ := strings.Cut(b.lang, " ")
			if kind != "python" || name != "" && strings.Contains(shell, name) {
				continue // TestSessions runs it, as the document says
			}
			n++
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(doc.file), b.line), func(t *testing.T) {
				script := filepath.Join(t.TempDir(), "block.star")
				if err := os.WriteFile(script, []byte(b.text), 0o600); err != nil {
					t.Fatal(err)
				}
				// run() ends when the -c command ends. A script that waits for a fixed time takes
				// that long.
				cmd := exec.Command(bin, "--allow-run", "-c", gen+" getppid 1000", script)
				var errs bytes.Buffer
				cmd.Stderr = &errs
				out, err := cmd.Output()
				if err != nil {
					t.Errorf("%v\n%s%s", err, out, errs.String())
				}
			})
		}
	}
	if n == 0 {
		t.Error("no block was found")
	}
}
