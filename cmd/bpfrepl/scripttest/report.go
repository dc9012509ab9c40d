package scripttest

import (
	"fmt"
	"strings"
	"time"

	"github.com/bpfrepl/bpfrepl/starlarkbind"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// An outcome is the outcome of a test.
type outcome string

const (
	pass outcome = "pass"
	fail outcome = "fail"
	skip outcome = "skip"
)

// A result is the result of a test, or of a file if test is empty.
type result struct {
	file, test string
	outcome    outcome
	outside    bool // it failed before the test was called
	elapsed    time.Duration
	err        explained
	output     string // what it printed
}

// explained is an error as it is reported.
type explained struct {
	text                       string // for people, of several lines
	message, hint, pos, source string
}

func explain(s *starlarkbind.Session, err error) explained {
	e := s.Describe(err)
	return explained{strings.TrimPrefix(s.FormatError(err), "error: "), e.Message, e.Hint, e.Pos, e.Source}
}

// A report prints results and counts them.
type report struct {
	out           *terminal.Output
	json, verbose bool
	start         time.Time

	passed, failed, skipped int // tests; failed also counts files that do not compile
	fileFailed, fileSkipped int // of the file that is running
}

func newReport(o Options) *report {
	return &report{out: terminal.New(o.Stdout, o.Stdout, false, false, false), json: o.JSON, verbose: o.Verbose, start: time.Now()}
}

// begin reports that a test is about to run.
func (r *report) begin(test string) {
	if r.verbose && !r.json {
		r.out.Print(fmt.Sprintf("=== RUN   %s\n", test))
	}
}

// result reports the result of a test.
func (r *report) result(res result) {
	switch res.outcome {
	case pass:
		r.passed++
	case fail:
		r.failed++
		r.fileFailed++
	case skip:
		r.skipped++
		r.fileSkipped++
	}
	if r.json {
		r.out.Object("test", map[string]any{"file": res.file, "test": res.test, "result": string(res.outcome), "time_ns": res.elapsed.Nanoseconds(),
			"message": res.err.message, "hint": res.err.hint, "pos": res.err.pos, "source": res.err.source, "output": res.output})
		return
	}
	if res.outcome != fail && !r.verbose {
		return
	}
	name := res.test
	if name == "" {
		name = render.Escape(res.file)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s: %s (%.2fs)\n", strings.ToUpper(string(res.outcome)), name, res.elapsed.Seconds())
	b.WriteString(indented(res.err.text))
	if !r.verbose && res.output != "" {
		b.WriteString("    output:\n" + indented(indented(res.output)))
	}
	r.out.Print(b.String())
}

// indented returns the lines of a text, each with a newline and four blanks in front.
func indented(text string) string {
	if text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}

// fileEnd reports the result of a file: n of its tests were run.
func (r *report) fileEnd(file string, elapsed time.Duration, n, of int) {
	failed, skipped := r.fileFailed, r.fileSkipped
	r.fileFailed, r.fileSkipped = 0, 0
	if r.json {
		return
	}
	file = render.Escape(file)
	note := ""
	switch {
	case failed == 0 && of == 0:
		r.out.Print(fmt.Sprintf("?   \t%s\t[no tests]\n", file))
		return
	case failed == 0 && n == 0:
		note = " [no tests to run]"
	case skipped > 0:
		note = fmt.Sprintf(" [%d skipped]", skipped)
	}
	word := "ok  "
	if failed > 0 {
		word = "FAIL"
	}
	if r.verbose {
		r.out.Print(map[bool]string{true: "PASS", false: "FAIL"}[failed == 0] + "\n")
	}
	r.out.Print(fmt.Sprintf("%s\t%s\t%.3fs%s\n", word, file, elapsed.Seconds(), note))
}

// end reports the end of the run. The error is that of the output.
func (r *report) end(interrupted bool) error {
	switch {
	case r.json:
		r.out.Object("tests", map[string]any{"passed": r.passed, "failed": r.failed, "skipped": r.skipped, "interrupted": interrupted, "time_ns": time.Since(r.start).Nanoseconds()})
	case interrupted:
		r.out.Print("interrupted: the other tests were not run\nFAIL\n")
	case r.failed > 0:
		r.out.Print("FAIL\n")
	}
	return r.out.Failed()
}
