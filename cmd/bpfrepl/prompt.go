package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/bpfrepl/bpfrepl/internal/paint"
	"github.com/bpfrepl/bpfrepl/internal/stall"
	"github.com/bpfrepl/bpfrepl/repl"
	"github.com/bpfrepl/bpfrepl/starlarkbind"
	"github.com/bpfrepl/bpfrepl/starlarkbind/kernelinfo"
)

// prompt runs the prompt, after the script if one is given, and returns the exit status.
func prompt(c *config, opt starlarkbind.Options, out outputs) int {
	s, err := starlarkbind.New(opt)
	if err != nil {
		return status(err)
	}
	code := exitOK
	if c.script != "" || len(c.code) > 0 {
		name, src, err := c.source()
		if err != nil {
			return status(err)
		}
		stop := onSignals(s, out)
		if err := s.ExecFile(context.Background(), name, src); err != nil {
			code = report(s, c, name, err)
		}
		stop()
		if exit, called := s.Exit(); called { // also of the prompt that would follow
			return cmp.Or(exit, status(s.Close()), c.closeOutput())
		}
	}
	r, err := repl.New(repl.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, HistoryFile: repl.HistoryFile(), Banner: banner(), Interp: s, Commands: commands(s), Colour: paint.Wanted(os.Stdout)})
	if err != nil {
		return status(errors.Join(err, s.Close()))
	}
	if c.output == "" {
		s.SetOutput(r.Writer(), r.Writer())
	}
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of the write
	ended, stop := signal.NotifyContext(context.Background(), endings()...)
	// A second signal gets the default action.
	defer context.AfterFunc(ended, func() { stop(); out.giveUp() })()
	defer onQuit(out)()
	defer stop()
	ctx, cancel := context.WithCancel(ended)
	var watch sync.WaitGroup
	watch.Go(func() { s.Background(ctx) })
	exit, err := r.Run(ctx)
	if ended.Err() != nil {
		exit = exitError
	}
	cancel()
	watch.Wait()
	s.SetOutput(opt.Stdout, opt.Stderr)
	line := ""
	if term.IsTerminal(int(os.Stderr.Fd())) {
		line = "\r\x1b[K" // overwrites a progress line
	}
	slow := time.AfterFunc(time.Second, func() { fmt.Fprintln(os.Stderr, line+"detaching the probes...") })
	err = errors.Join(err, s.Close())
	slow.Stop()
	switch {
	case errors.Is(err, stall.ErrStalled):
		return exitError // nobody reads our output
	case err != nil:
		return status(err)
	}
	if exit, called := s.Exit(); called {
		return cmp.Or(exit, c.closeOutput())
	}
	return max(code, exit, c.closeOutput())
}

// onQuit makes SIGQUIT restore the terminal before its default action, which prints the goroutine
// stacks and ends the process.
func onQuit(out outputs) (stop func()) {
	fd := int(os.Stdin.Fd())
	was, err := term.GetState(fd)
	if err != nil {
		return func() {} // not a terminal
	}
	ch, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(ch, syscall.SIGQUIT)
	go func() {
		select {
		case <-ch:
		case <-done:
			return
		}
		signal.Reset(syscall.SIGQUIT)
		out.giveUp()
		err := errors.Join(term.Restore(fd, was), repl.EndPaste(out[0]))
		if killErr := syscall.Kill(os.Getpid(), syscall.SIGQUIT); err != nil || killErr != nil {
			os.Exit(exitError) // the terminal is gone or accepts no output
		}
	}()
	return func() { signal.Stop(ch); close(done) }
}

// commands returns the % commands that act on the session.
func commands(s *starlarkbind.Session) []repl.Command {
	return []repl.Command{
		{Name: "who", Doc: "list the names defined in this session", Run: func(context.Context, string) (string, error) { return s.Who(), nil }},
		{Name: "reset", Doc: "detach all probes and forget all names", Run: func(context.Context, string) (string, error) { return "", s.Reset() }},
		{Name: "reload", Doc: "read the files that load() has loaded again, and run those that have changed", Run: func(ctx context.Context, _ string) (string, error) { return s.Reload(ctx) }},
		allowCommand("read", s.AllowRead),
		allowCommand("write", s.AllowWrite),
	}
}

// allowCommand returns %allow-read or %allow-write.
func allowCommand(verb string, allow func(dir string) ([]string, error)) repl.Command {
	doc := fmt.Sprintf("allow the session to %s files below DIR, like --allow-%s", verb, verb)
	return repl.Command{Name: "allow-" + verb, Args: "[DIR]", Doc: doc, Run: func(_ context.Context, dir string) (string, error) {
		dirs, err := allow(dir)
		if err != nil || len(dirs) == 0 {
			return fmt.Sprintf("the session may not %s files", verb), err
		}
		return fmt.Sprintf("the session may %s files below %s", verb, strings.Join(dirs, " and ")), nil
	}}
}

// banner returns the text printed when the prompt starts.
func banner() string {
	line := "bpfrepl " + version
	release, err := kernelinfo.Release()
	if err != nil {
		return line + ", Linux " + release + "; cannot trace here: " + err.Error()
	}
	line += ", Linux " + release
	if missing := kernelinfo.Missing(); len(missing) > 0 {
		line += " without " + strings.Join(missing, " and ")
	}
	return line + "\nhelp() shows help, Ctrl-D exits"
}
