package starlarkbind

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// TestLive runs the scripts in testdata/live on the kernel of this host and compares what they
// print. A case is two files of an archive: NAME.star, the script, and NAME.want, its output. The
// script begins with a comment that says what it shows. A line in this comment may be
//
//	# needs: FEATURE...
//
// with features of the kernel (docs/kernels.md) without which the case is skipped. make(ARG...)
// runs the load generator (internal/testkit/loadgen) to its end, "load" stands for the name of its
// threads, and me is the PID of the test.
func TestLive(t *testing.T) {
	files, err := filepath.Glob("testdata/live/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			if len(a.Files) == 0 || len(a.Files)%2 != 0 {
				t.Fatal("the files must come in pairs, NAME.star and NAME.want")
			}
			for i := 0; i < len(a.Files); i += 2 {
				script, want := a.Files[i], a.Files[i+1]
				name := strings.TrimSuffix(script.Name, ".star")
				if script.Name != name+".star" || want.Name != name+".want" {
					t.Fatalf("%s and %s are not a pair", script.Name, want.Name)
				}
				t.Run(name, func(t *testing.T) {
					bpftest.Need(t, needs(string(script.Data))...)
					expect(t, string(script.Data), string(want.Data))
				})
			}
		})
	}
}

// needs returns the features that a script's first comment names.
func needs(script string) (features []string) {
	for line := range strings.Lines(script) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		if list, ok := strings.CutPrefix(line, "# needs:"); ok {
			features = append(features, strings.Fields(list)...)
		}
	}
	return features
}
