package starlarkbind

import (
	"errors"
	"fmt"
	"os"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hostrun"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// A Process is the value returned by spawn().
type Process struct {
	p    *proc.Process
	argv []string
}

var _ starlark.HasAttrs = (*Process)(nil)

func (p *Process) String() string        { return fmt.Sprintf("<process %d %s>", p.p.PID(), p.argv[0]) }
func (p *Process) Type() string          { return "process" }
func (p *Process) Freeze()               {}
func (p *Process) Truth() starlark.Bool  { return true }
func (p *Process) Hash() (uint32, error) { return uint32(p.p.PID()), nil }
func (p *Process) AttrNames() []string   { return []string{"exit_code", "pid"} }

// Attr implements starlark.HasAttrs.
func (p *Process) Attr(name string) (starlark.Value, error) {
	switch name {
	case "pid":
		return starlark.MakeInt(p.p.PID()), nil
	case "exit_code":
		if code, ended := p.p.ExitCode(); ended {
			return starlark.MakeInt(code), nil
		}
		return starlark.None, nil
	}
	return nil, nil
}

// builtinSpawn implements spawn(argv).
func (s *Session) builtinSpawn(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	words, err := s.command(b, args, kw)
	if err != nil {
		return nil, err
	}
	stdout, stderr := os.Stdout, os.Stderr
	if s.opt.Spawned != nil {
		stdout, stderr = s.opt.Spawned, s.opt.Spawned
	}
	p, err := proc.Start(words, stdout, stderr)
	if err != nil {
		return nil, err
	}
	s.waits.procs = append(s.waits.procs, p)
	return &Process{p, words}, nil
}

// builtinRunCommand implements run_command(argv).
func (s *Session) builtinRunCommand(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	words, err := s.command(b, args, kw)
	if err != nil {
		return nil, err
	}
	ctx := s.run.Context()
	res, err := proc.Run(ctx, b.Name(), words)
	switch {
	case ctx.Err() != nil:
		return nil, runner.ErrInterrupted
	case err != nil:
		return nil, err
	}
	return structs.New("command", structs.Field{Name: "exit_code", Value: starlark.MakeInt(res.ExitCode)},
		structs.Field{Name: "stdout", Value: starlark.String(res.Stdout)}, structs.Field{Name: "stderr", Value: starlark.String(res.Stderr)}), nil
}

// command returns the command that spawn() or run_command() is to start.
func (s *Session) command(b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) ([]string, error) {
	var argv *starlark.List
	if err := starlark.UnpackArgs(b.Name(), args, kw, "argv", &argv); err != nil {
		return nil, err
	}
	if err := s.checkFlags(false); err != nil {
		return nil, err
	}
	if !s.opt.AllowRun {
		return nil, fmt.Errorf("%s: scripts may start processes only with --allow-run", b.Name())
	}
	var words []string
	for i := 0; i < argv.Len(); i++ {
		w, ok := starlark.AsString(argv.Index(i))
		if !ok {
			return nil, fmt.Errorf("%s: the command must be a list of strings, got a list with %s in it", b.Name(), argv.Index(i).Type())
		}
		words = append(words, w)
	}
	return words, nil
}

// builtinExit implements exit(status=0).
func (s *Session) builtinExit(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	status := 0
	if err := starlark.UnpackArgs(b.Name(), args, kw, "status?", &status); err != nil {
		return nil, err
	}
	if status < 0 || status > 255 {
		return nil, fmt.Errorf("exit: the status must be from 0 to 255, got %d", status)
	}
	if hostrun.InHandler(thread) {
		return nil, errors.New("exit: a handler cannot end the script; write stop()")
	}
	if s.waits.background {
		return nil, errors.New("exit: a callback cannot leave the prompt while it waits; write exit() at the prompt")
	}
	s.done.exit.Store(&status)
	return nil, runner.ErrStop
}

// Exit returns the status that the script gave to exit(), and whether it called that.
func (s *Session) Exit() (status int, called bool) {
	if p := s.done.exit.Load(); p != nil {
		return *p, true
	}
	return 0, false
}
