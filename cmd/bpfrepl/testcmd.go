package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/bpfrepl/bpfrepl/cmd/bpfrepl/scripttest"
	"github.com/bpfrepl/bpfrepl/internal/stall"
)

// testTimeout is the default of -timeout.
const testTimeout = time.Minute

// runTests implements `bpfrepl test` and returns the exit status.
func runTests(argv []string) int {
	o, help, err := parseTest(argv)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bpfrepl test: %v\nbpfrepl test --help lists the flags\n", err)
		return exitUsage
	}
	if help != "" {
		fmt.Print(help)
		return exitOK
	}
	if warning := setTimeZone(); warning != "" {
		fmt.Fprintln(os.Stderr, "WARNING:", warning)
	}
	out := outputs{stall.New(os.Stdout), stall.New(os.Stderr)}
	o.Stdout = out[0]
	ctx, stop := untilSignal(out)
	defer stop()
	passed, err := scripttest.Run(ctx, o)
	var usage *scripttest.UsageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "bpfrepl test: %v\n", usage)
		return exitUsage
	case errors.Is(err, syscall.EPIPE), errors.Is(err, stall.ErrStalled):
		return exitError // the reader of our output is gone
	case err != nil:
		return status(err)
	case !passed:
		return exitError
	}
	return exitOK
}

// parseTest parses the command line of `bpfrepl test`. help is the text to print, if any.
func parseTest(argv []string) (o scripttest.Options, help string, err error) {
	f := pflag.NewFlagSet("bpfrepl test", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	var run, format string
	var wantHelp bool
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "print each test, and what it prints, as it runs")
	f.StringVar(&run, "run", "", "run only tests whose name the regular expression `REGEXP` matches")
	f.DurationVar(&o.Timeout, "timeout", testTimeout, "fail a test that runs longer than `D`, as in 10s or 2m; 0 sets no limit (default 1m)")
	f.StringVarP(&format, "format", "f", "text", "`text`, or json for one JSON object per test")
	f.StringArrayVarP(&o.Session.LoadDirs, "load-dir", "I", nil, "search `DIR` for files that load() names, as for scripts; may be repeated")
	f.BoolVar(&o.Session.AllowRun, "allow-run", false, "allow tests to start processes: spawn(), run_command()")
	f.StringArrayVar(&o.Session.AllowRead, "allow-read", nil, "allow tests to read files in `DIR` and below; may be repeated")
	f.StringArrayVar(&o.Session.AllowWrite, "allow-write", nil, "allow tests to write files in `DIR` and below; may be repeated")
	f.BoolVar(&o.Session.Unsafe, "unsafe", false, "allow handlers to affect other processes, as for scripts")
	f.BoolVarP(&wantHelp, "help", "h", false, "print this help")
	if err := f.Parse(longFlags(argv)); err != nil {
		return o, "", err
	}
	switch {
	case wantHelp:
		return o, testHelp + flagUsages(f), nil
	case format != "text" && format != "json":
		return o, "", fmt.Errorf("--format must be text or json, got %q", format)
	case o.Timeout < 0:
		return o, "", fmt.Errorf("-timeout must not be negative, got %v", o.Timeout)
	case slices.Contains(o.Session.LoadDirs, ""):
		return o, "", errNoLoadDir
	}
	if err := cmp.Or(allowedDirs("--allow-read", o.Session.AllowRead), allowedDirs("--allow-write", o.Session.AllowWrite)); err != nil {
		return o, "", err
	}
	o.Session.LoadDirs = searched(o.Session.LoadDirs)
	if f.Changed("run") {
		if o.Run, err = regexp.Compile(run); err != nil {
			return o, "", fmt.Errorf("-run: %w", err)
		}
	}
	o.JSON = format == "json"
	o.Paths = f.Args()
	return o, "", nil
}

const testHelp = `usage: bpfrepl test [flags] [FILES]

Runs the functions test_* of FILES, each in a fresh session. A directory stands for all files
*_test.star in and below it; without FILES it is the current one.

`

// longFlags returns a command line in which -run and -timeout, as go test has them, begin with two
// dashes, as pflag wants them.
func longFlags(argv []string) []string {
	out := slices.Clone(argv)
	for i, a := range out {
		name, _, _ := strings.Cut(a, "=")
		switch name {
		case "--":
			return out
		case "-run", "-timeout":
			out[i] = "-" + a
		}
	}
	return out
}

// untilSignal returns a context that Ctrl-C, SIGTERM or SIGHUP cancels. The second signal no longer
// waits for the reader of the output, and the third gets the default action.
func untilSignal(out outputs) (ctx context.Context, stop func()) {
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of the write
	ctx, cancel := context.WithCancel(context.Background())
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, append(endings(), os.Interrupt)...)
	done := make(chan struct{})
	go func() {
		select {
		case <-ch:
			cancel()
			defer time.AfterFunc(stalledNote, func() { noteStalled(out) }).Stop()
		case <-done:
			return
		}
		select {
		case <-ch:
			signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			out.giveUp()
		case <-done:
		}
	}()
	return ctx, func() { signal.Stop(ch); close(done); cancel() }
}
