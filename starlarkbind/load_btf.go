package starlarkbind

import (
	"errors"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// A handler of a raw tracepoint that names its arguments gets a program for each event, since BTF types them event by event.
// Where it follows pointers among them, the program is one of BTF (tp_btf): loads through pointers need no helper there. Kernels
// differ in what they let such loads do, and the compiler does not know all the rules: what the verifier refuses is compiled again
// with helpers that read memory, which every kernel takes.

// typeArgs lets a handler name the arguments of a raw tracepoint.
func (l *loader) typeArgs(ev *compiler.Event, t bpf.Target, pt ebpf.ProgramType) {
	if t.Kind != "rawtracepoint" {
		return
	}
	ev.Typed = func() ([]compiler.Field, error) { return l.s.ktypes.tracepointArgs(t.Parts[0]) }
	ev.BTFArgs = pt == ebpf.Tracing
}

// loadTyped loads a program for each target of a group. code is compiled for the first.
func (l *loader) loadTyped(g *group, code *compiler.Program) error {
	for _, t := range g.targets {
		ts := []bpf.Target{t}
		if len(g.targets) > 1 {
			code = nil
		}
		pt := ebpf.RawTracepoint
		if code == nil {
			var err error
			if code, err = l.compile(g, ts, pt); err != nil {
				return err
			}
		}
		if code.FollowsArgs {
			pt, code = ebpf.Tracing, nil
		}
		l.noDirectLoads = false
		if err := l.loadOne(g, ts, pt, code); err != nil {
			return err
		}
	}
	return nil
}

// reloadIndirect loads, in place of a program that the verifier refused, one that reads with helpers.
func (l *loader) reloadIndirect(g *group, ts []bpf.Target, pt ebpf.ProgramType, refused *program) error {
	l.programs = l.programs[:len(l.programs)-1]
	l.noDirectLoads = true
	if pt == ebpf.Tracing && ts[0].Kind == "rawtracepoint" {
		pt = ebpf.RawTracepoint
	}
	return errors.Join(refused.close(), l.loadOne(g, ts, pt, nil))
}
