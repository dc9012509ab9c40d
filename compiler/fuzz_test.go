package compiler

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/internal/testkit/cputime"
)

// fuzzLimit is the maximum CPU time for compiling any source text. Wall-clock time would also count
// other work of the host.
const fuzzLimit = 10 * time.Second

// An alarm ends the process if the compiler hangs.
type alarm struct {
	timer *time.Timer
	began time.Duration
}

func newAlarm(text string) *alarm {
	a := &alarm{began: cputime.Used()}
	a.timer = time.AfterFunc(fuzzLimit, func() {
		if cputime.Used()-a.began > fuzzLimit {
			panic("the compiler hangs on:\n" + text)
		}
		a.timer.Reset(fuzzLimit)
	})
	return a
}

// Any text is either rejected with error positions or compiled: the compiler does not panic and
// does not hang, and everything the checker accepts passes ir.Verify after each pass and register
// allocation. Whether the kernel's verifier accepts it too is tested by the oracle (package
// starlarkbind).
func FuzzCompile(f *testing.F) {
	for _, text := range fuzzSeeds(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		defer newAlarm(text).timer.Stop()
		src, err := readSource("fuzz.star", text)
		if err != nil || src.last == nil {
			return // not input that the compiler receives
		}
		_, err = Compile(src.request(t))
		var ds diag.List
		switch {
		case err == nil:
		case !errors.As(err, &ds):
			t.Fatalf("%v\n%s", err, text)
		default:
			checkFaults(t, src, ds)
		}
	})
}

// checkFaults checks that each error has a message and a position.
func checkFaults(t *testing.T, src *source, ds diag.List) {
	if len(ds) == 0 {
		t.Error("an error without a fault")
	}
	for _, d := range ds {
		line, col := int(d.Pos.Line), int(d.Pos.Col)
		if d.Msg == "" || line < 1 || line > len(src.lines) || col < 1 || col > len([]rune(src.lines[line-1]))+1 {
			t.Errorf("the fault %q stands at %d:%d, which is not in the text", d.Msg, line, col)
		}
	}
	if strings.TrimSpace(ds.Error()) == "" {
		t.Error("the error has no text")
	}
}

// fuzzSeeds returns the handlers of testdata, both valid and invalid, and those of the examples.
func fuzzSeeds(f *testing.F) (seeds []string) {
	for _, pattern := range []string{"testdata/errors/*.star", "testdata/golden/*.star", "../examples/*.star"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no files: ", pattern, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			for _, chunk := range strings.Split(string(text), "---\n") {
				lines := strings.Split(chunk, "\n")
				for i := range lines {
					lines[i], _, _ = strings.Cut(lines[i], mark)
				}
				seeds = append(seeds, strings.Join(lines, "\n"))
			}
		}
	}
	return seeds
}
