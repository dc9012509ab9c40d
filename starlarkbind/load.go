package starlarkbind

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// load compiles a handler for a probe's targets and loads the programs. Targets whose events have
// the same fields at the same offsets share a program. If the handler reads no field, all targets
// share one.
func (s *Session) load(p *Probe, handler, filter *starlark.Function) error {
	h, err := s.names.Function(handler)
	if err != nil {
		return err
	}
	var f *compiler.Func
	if filter != nil {
		if f, err = s.names.Function(filter); err != nil {
			return err
		}
	}
	if (s.sources.Mentions("stats") || s.opt.MaxOverhead > 0) && !s.opt.Check {
		var missing *sys.PrivilegeError
		// Without the privilege, stats() reports the error itself, and "stats" may also be the
		// aggregation.
		if err := s.enableStats(); err != nil && (s.opt.MaxOverhead > 0 || !errors.As(err, &missing)) {
			return err
		}
	}
	own := func() []*compiler.Request { return s.lateRequests(p, p.targets, h, f) }
	late := func(ts []bpf.Target, h, f *compiler.Func) []*compiler.Request {
		return s.lateRequests(&Probe{s: s}, ts, h, f)
	}
	defer s.names.Infer(h, f, handler, own, late)()
	for _, g := range s.groups(p, h, f) {
		l := &loader{s: s, p: p, handler: h, filter: f}
		err := s.run.Context().Err()
		if err == nil {
			err = l.group(g)
		}
		if err != nil {
			err = errors.Join(err, l.rollback())
			if p.spare(g.targets, err) {
				continue
			}
			return err
		}
		l.commit()
	}
	return p.refusedAll(len(p.programs))
}

// group compiles and loads programs for the targets of one group, using the first program type that
// each target accepts. A handler that reads no field of a tracepoint runs as a raw tracepoint.
// Whether a tracepoint has a raw one is known only when attaching.
func (l *loader) group(g *group) error {
	if g.err != nil {
		return g.err
	}
	code, err := l.compile(g, g.targets, 0)
	if err != nil {
		return err
	}
	if code.TypedArgs {
		return l.loadTyped(g, code)
	}
	byType := map[ebpf.ProgramType][]bpf.Target{}
	var order []ebpf.ProgramType
	for _, t := range g.targets {
		pt := t.ProgramTypes(code.ReadsContext)[0]
		if len(byType[pt]) == 0 {
			order = append(order, pt)
		}
		byType[pt] = append(byType[pt], t)
	}
	for _, pt := range order {
		if err := l.loadType(g, byType[pt], pt, code); err != nil {
			return err
		}
	}
	return nil
}

// loadType loads one program for targets with the same program type. If the handler uses the
// probe's name and the kernel has no cookies for that type, it loads one program for each target.
func (l *loader) loadType(g *group, ts []bpf.Target, pt ebpf.ProgramType, code *compiler.Program) error {
	if len(ts) > 1 && code.UsesCookie && !l.s.kernel.HaveCookie(pt) {
		for _, t := range ts {
			if err := l.loadOne(g, []bpf.Target{t}, pt, nil); err != nil {
				return err
			}
		}
		return nil
	}
	if len(ts) != len(g.targets) {
		code = nil
	}
	return l.loadOne(g, ts, pt, code)
}

// nextType returns a function that loads a program of the next type for the targets that do not
// accept type pt.
func (l *loader) nextType(g *group, pt ebpf.ProgramType) func(ts []bpf.Target) (*program, error) {
	return func(ts []bpf.Target) (*program, error) {
		types := ts[0].ProgramTypes(false)
		i := slices.Index(types, pt) + 1
		if i == len(types) {
			return nil, fmt.Errorf("%s supports no other program type", ts[0].Name)
		}
		again := &loader{s: l.s, p: l.p, handler: l.handler, filter: l.filter}
		if err := again.loadOne(g, ts, types[i], nil); err != nil {
			return nil, errors.Join(err, again.rollback())
		}
		return again.programs[0], nil
	}
}

// loadTyped loads a program for each target of a group. code is compiled for the first target, and
// is used only if the group has no other.
//
// A handler of a raw tracepoint that names its arguments gets one program per event, because BTF
// describes the arguments of each event separately. If the handler follows pointers among them, the
// program is a BTF one (tp_btf), in which loads through pointers need no helper. Kernels differ in
// which of these loads they allow, and the compiler does not know all the rules. A program that the
// verifier rejects is compiled again with helpers that read memory, which every kernel accepts.
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
