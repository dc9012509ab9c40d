// Package scripttest runs the tests of scripts: the functions test_* of files *_test.star, each in
// a session of its own. It implements `bpfrepl test`; its output is modelled on that of go test.
//
//	scripttest.go  runs of files and tests
//	find.go        which files are run
//	capture.go     what a test prints
//	report.go      results, as text or as JSON
package scripttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/bpfrepl/bpfrepl/starlarkbind"
)

// Options configure a run of tests.
type Options struct {
	Paths   []string             // files and directories; none: the current directory
	Run     *regexp.Regexp       // runs only tests whose name matches; nil: all
	Timeout time.Duration        // of each test; 0: none
	Verbose bool                 // print all tests, and what they print while they run
	JSON    bool                 // print one JSON object per test
	Session starlarkbind.Options // what tests may do
	Stdout  io.Writer
}

// A UsageError reports that there is nothing to run.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

// Run runs the tests and prints their results. It reports whether all passed. The error is a
// *UsageError if there are no tests, and otherwise an error of the output or of bpfrepl itself. If
// ctx is cancelled, the running test fails, and no further test is run.
func Run(ctx context.Context, o Options) (passed bool, err error) {
	files, err := find(o.Paths)
	if err != nil {
		return false, err
	}
	r := &runner{Options: o, report: newReport(o)}
	for _, file := range files {
		if ctx.Err() != nil {
			break
		}
		if err := r.file(ctx, file); err != nil {
			return false, err
		}
	}
	if err := r.report.end(ctx.Err() != nil); err != nil {
		return false, err
	}
	none := r.report.passed+r.report.skipped == 0
	switch {
	case r.report.failed > 0 || ctx.Err() != nil:
		return false, nil
	case none && r.seen > 0:
		return false, &UsageError{fmt.Sprintf("no test matches -run %s", o.Run)}
	case none:
		return false, &UsageError{"no tests found: a test is a function whose name begins with test_"}
	}
	return true, nil
}

type runner struct {
	Options
	report *report
	seen   int // tests in all files, also those that -run leaves out
}

// file runs the tests of a file.
func (r *runner) file(ctx context.Context, name string) error {
	start := time.Now()
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	tests, err := r.list(name, src, start)
	if err != nil || tests == nil {
		return err
	}
	n := 0
	for _, test := range tests {
		if r.Run != nil && !r.Run.MatchString(test) {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		n++
		r.report.begin(test)
		if err := r.report.out.Failed(); err != nil { // nobody reads the results
			return err
		}
		res, err := r.test(ctx, name, src, test)
		if err != nil {
			return err
		}
		r.report.result(res)
		if res.outside {
			break // the other tests would fail in the same way
		}
	}
	r.report.fileEnd(name, time.Since(start), n, len(tests))
	return nil
}

// list returns the tests of a file. If the file does not compile or has no tests, it reports that
// and returns nil.
func (r *runner) list(name string, src []byte, start time.Time) ([]string, error) {
	s, err := r.session(io.Discard, nil)
	if err != nil {
		return nil, err
	}
	tests, err := s.Tests(name, src)
	switch {
	case err != nil:
		r.report.result(result{file: name, outcome: fail, outside: true, elapsed: time.Since(start), err: explain(s, err)})
		r.report.fileEnd(name, time.Since(start), 0, 0)
		tests = nil
	case len(tests) == 0:
		r.report.fileEnd(name, time.Since(start), 0, 0)
	}
	r.seen += len(tests)
	return tests, s.Close()
}

// session returns a session whose output goes to w, and that of its processes to spawned.
func (r *runner) session(w io.Writer, spawned *os.File) (*starlarkbind.Session, error) {
	opt := r.Session
	opt.Stdout, opt.Stderr, opt.Spawned = w, w, spawned
	opt.Assertions, opt.NoSummary = true, true
	return starlarkbind.New(opt)
}

// test runs one test.
func (r *runner) test(ctx context.Context, file string, src []byte, test string) (res result, err error) {
	start := time.Now()
	var live io.Writer
	if r.Verbose && !r.JSON {
		live = r.Stdout
	}
	c, err := newCapture(live)
	if err != nil {
		return res, err
	}
	defer func() {
		text, closeErr := c.close()
		res.output, res.elapsed = text, time.Since(start)
		err = errors.Join(err, closeErr)
	}()
	s, err := r.session(c.w, c.w)
	if err != nil {
		return res, err
	}
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.Timeout, fmt.Errorf("the test did not end within %v", r.Timeout))
		defer cancel()
	}
	called, err := s.RunTest(ctx, file, src, test)
	res = result{file: file, test: test, outcome: pass}
	switch {
	case errors.Is(err, starlarkbind.ErrNoTest):
		res.outcome, res.err = skip, explained{text: err.Error(), message: err.Error()}
	case err != nil:
		res.outcome, res.outside, res.err = fail, !called, explain(s, err)
	}
	if res.outside { // the file failed, and not this test
		res.test = ""
	}
	if err := s.Close(); err != nil && res.outcome == pass {
		res.outcome, res.err = fail, explain(s, fmt.Errorf("after the test: %w", err))
	}
	return res, nil
}
