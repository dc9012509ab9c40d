package starlarkbind

import (
	"errors"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// A handler of a raw tracepoint that names its arguments gets one program per event, because BTF
// describes the arguments of each event separately. If the handler follows pointers among them, the
// program is a BTF one (tp_btf), in which loads through pointers need no helper. Kernels differ in
// which of these loads they allow, and the compiler does not know all the rules. A program that the
// verifier rejects is compiled again with helpers that read memory, which every kernel accepts.

// loadTyped loads a program for each target of a group. code is compiled for the first target, and
// is used only if the group has no other.
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
		l.noTrustedLoads = false
		if err := l.loadOne(g, ts, pt, code); err != nil {
			return err
		}
	}
	return nil
}

// reloadUntrusted replaces a program that the verifier rejected by one that reads memory with
// helpers.
func (l *loader) reloadUntrusted(g *group, ts []bpf.Target, pt ebpf.ProgramType, refused *program) error {
	l.programs = l.programs[:len(l.programs)-1]
	l.noTrustedLoads = true
	if pt == ebpf.Tracing && ts[0].Driver.TracepointTypes {
		pt = ebpf.RawTracepoint
	}
	return errors.Join(refused.close(), l.loadOne(g, ts, pt, nil))
}
