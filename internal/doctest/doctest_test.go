package doctest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/gobin"
	"github.com/bpfrepl/bpfrepl/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m, gobin.Clean)) }

// A block is a fenced block of a document.
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

func documents(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(docs, "../../README.md")
}

func TestBlocks(t *testing.T) {
	gen, err := gobin.Build("internal/load")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := gobin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, doc := range documents(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks(string(text)) {
			if kind, _, _ := strings.Cut(b.lang, " "); kind != "python" {
				continue
			}
			n++
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(doc), b.line), func(t *testing.T) {
				script := filepath.Join(t.TempDir(), "block.star")
				if err := os.WriteFile(script, []byte(b.text), 0o600); err != nil {
					t.Fatal(err)
				}
				// run() ends with the command; what waits for a time waits that long
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
