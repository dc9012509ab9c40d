package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// Each file in testdata/golden contains a handler. Its first line names what to print: compiler
// passes ("lower", "fold"...), after each of which the IR is printed, and "asm" for the
// instructions. The expected output is in the file of the same name that ends in .txt.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	shown := map[string]bool{}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			show := map[string]bool{}
			for _, w := range strings.Fields(strings.TrimPrefix(first, "# show:")) {
				show[w], shown[w] = true, true
			}
			var out strings.Builder
			req := parseSource(t, filepath.Base(name), string(text)).request(t)
			// a raw tracepoint, loaded with BTF argument types
			if strings.Contains(string(text), "\n# event: typed\n") {
				req.Event = typedEvent(nil)
				req.Event.BTFArgs, req.Features.TaskBTF = true, true
			}
			if _, of, ok := strings.Cut(string(text), "\n# process: "); ok { // 1234, or 7 in 4:4026532281
				var p PIDFilter
				if _, err := fmt.Sscanf(of, "%d in %d:%d", &p.PID, &p.Dev, &p.Ino); p.PID == 0 {
					t.Fatal(err)
				}
				req.PIDFilter = &p
			}
			verify := req.Pass
			req.Pass = func(pass string, f *ir.Func) {
				verify(pass, f)
				if show[pass] && f.Name == "handler" {
					out.WriteString("== " + pass + "\n" + f.String())
				}
			}
			p, err := Compile(req)
			if err != nil {
				t.Fatal(err)
			}
			if show["asm"] {
				out.WriteString("== asm\n" + p.Listing())
			}
			golden := strings.TrimSuffix(name, ".star") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
	for _, p := range ir.Passes {
		if !shown[p.Name] {
			t.Errorf("pass %s has no golden", p.Name)
		}
	}
}
