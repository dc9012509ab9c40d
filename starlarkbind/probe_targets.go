package starlarkbind

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// This file determines the targets of a probe: it implements first= and missing=, and decides what
// happens to targets that the kernel refuses.

// probeOptions are the arguments of probe().
type probeOptions struct {
	specs           []string
	handler, filter *starlark.Function // filter may be nil
	name, missing   string
	attach          bool
	pid             int
}

// newProbe creates a probe for all specs, or for the first that works. A spec does not work if it
// matches nothing or if the kernel refuses all of its targets.
func (s *Session) newProbe(o probeOptions, first bool) (*Probe, error) {
	if !first {
		ts, err := s.resolve(o.specs, o.missing)
		if err != nil {
			return nil, err
		}
		for i := range ts {
			ts[i].FromPattern = ts[i].FromPattern || o.missing != "error"
		}
		return s.probeOf(o, ts, o.missing == "error")
	}
	var refused error
	for _, text := range o.specs {
		ts, err := s.resolve([]string{text}, "error")
		var p *Probe
		if err == nil {
			p, err = s.probeOf(o, ts, true)
		}
		var none *kinds.NotFoundError
		switch {
		case !isRefusal(err):
			return p, err
		case !errors.As(err, &none):
			refused = err
		}
	}
	none := &kinds.NotFoundError{Spec: strings.Join(o.specs, ", "), Reason: "this kernel has none of these"}
	if refused != nil {
		none.Reason, none.Hint = "this kernel has none of these that can be traced: "+refused.Error(), "name another"
	}
	return nil, none
}

// resolve returns the targets that specs match. A target that several specs match is returned once.
func (s *Session) resolve(specs []string, missing string) ([]bpf.Target, error) {
	resolve := kinds.Resolve
	if s.opt.Unsafe {
		resolve = kinds.ResolveUnsafe
	}
	var out []bpf.Target
	for _, text := range specs {
		ts, err := resolve(text)
		switch {
		case err == nil:
			out = append(out, without(ts, out)...)
		case !isRefusal(err) || missing == "error":
			return nil, err
		case missing == "warn":
			s.out.Warn("warning", map[string]any{"message": err.Error()}, err.Error())
		}
	}
	return out, nil
}

// probeOf creates a probe for targets. some makes it an error if all of them are refused.
func (s *Session) probeOf(o probeOptions, ts []bpf.Target, some bool) (*Probe, error) {
	p := &Probe{s: s, name: o.name, spec: o.specs, targets: ts, pos: o.handler.Position(), file: s.waits.file, pid: o.pid, missing: o.missing, some: some}
	if p.name == "" {
		p.name = strings.Join(o.specs, ",")
	}
	if err := s.load(p, o.handler, o.filter); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if !o.attach || s.opt.Check {
		p.warnLeft()
		return p, nil
	}
	if err := p.attach(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// isRefusal reports whether an error means that a single target does not exist or cannot be traced,
// while other targets may be fine.
func isRefusal(err error) bool {
	var own *bpf.AttachError
	var none *kinds.NotFoundError
	var spec *kinds.SpecError
	return errors.As(err, &own) && own.TargetOnly || errors.As(err, &none) || errors.As(err, &spec) && spec.Refused
}

// spare reports whether a probe can do without targets whose program cannot be loaded. If so, it
// records the reason.
func (p *Probe) spare(ts []bpf.Target, err error) bool {
	if !isRefusal(err) || slices.ContainsFunc(ts, func(t bpf.Target) bool { return !t.FromPattern }) {
		return false
	}
	for _, t := range ts {
		p.left = append(p.left, bpf.AttachFailure{Target: t, Err: err})
	}
	return true
}

// refusedAll returns an error if the probe has no target left and that is not allowed.
func (p *Probe) refusedAll(attached int) error {
	if attached == 0 && len(p.left) > 0 && p.some {
		return p.left[0].Err
	}
	return nil
}

// warnLeft warns once about the targets that the probe skips.
func (p *Probe) warnLeft() {
	left := p.left
	p.left = nil
	if len(left) == 0 || p.missing == "ignore" {
		return
	}
	all := len(left)
	for _, g := range p.programs {
		all += len(g.targets)
	}
	p.s.warner.LeftOut(left, all)
}

// builtinProbe implements probe(spec, handler, filter=None, name=None, attach=True,
// missing="error", first=False, system_wide=False).
func (s *Session) builtinProbe(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var spec, filter starlark.Value
	var handler starlark.Callable
	name, missing := "", "error"
	attach, first, systemWide := true, false, false
	if err := starlark.UnpackArgs("probe", args, kw, "spec", &spec, "handler", &handler, "filter?", &filter, "name?", &name, "attach?", &attach, "missing?", &missing, "first?", &first, "system_wide?", &systemWide); err != nil {
		return nil, err
	}
	specs, err := specList(spec)
	if err != nil {
		return nil, err
	}
	if missing != "error" && missing != "warn" && missing != "ignore" {
		return nil, fmt.Errorf("probe: missing must be \"error\", \"warn\" or \"ignore\", got %q", missing)
	}
	fn, ok := handler.(*starlark.Function)
	if !ok {
		return nil, fmt.Errorf("probe: the handler must be a def or a lambda, got %s", handler.Type())
	}
	var ffn *starlark.Function
	if filter != nil && filter != starlark.None {
		if ffn, ok = filter.(*starlark.Function); !ok {
			return nil, fmt.Errorf("probe: filter must be a def or a lambda, got %s", filter.Type())
		}
	}
	if err := s.checkFlags(false); err != nil {
		return nil, err
	}
	s.sources.Made[source.PlaceOf(thread.CallFrame(1).Pos)] = true
	if err := sys.Prepare(); err != nil {
		return nil, scriptError(err)
	}
	o := probeOptions{specs: specs, handler: fn, filter: ffn, name: name, attach: attach && !s.waits.tested, missing: missing}
	if !systemWide {
		o.pid = s.targetPID()
	}
	p, err := s.newProbe(o, first)
	if err != nil {
		return nil, scriptError(err)
	}
	// Ctrl-C came while the last target was attached. The script would never receive the probe.
	if s.run.Context().Err() != nil {
		return nil, errors.Join(runner.ErrInterrupted, p.close())
	}
	s.reg.remember(p)
	s.watchOverhead()
	if missing == "ignore" {
		s.noteIdle(p)
	}
	return p, nil
}

func specList(v starlark.Value) ([]string, error) {
	if t, ok := v.(starlark.String); ok {
		return []string{string(t)}, nil
	}
	it, ok := v.(starlark.Iterable)
	if !ok {
		return nil, fmt.Errorf("probe: spec must be a string or a list of strings, got %s", v.Type())
	}
	var out []string
	iter := it.Iterate()
	defer iter.Done()
	var e starlark.Value
	for iter.Next(&e) {
		t, ok := e.(starlark.String)
		if !ok {
			return nil, fmt.Errorf("probe: spec must be a string or a list of strings, got a list with %s in it", e.Type())
		}
		out = append(out, string(t))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("probe: the list of specs is empty")
	}
	return out, nil
}

func without(ts, gone []bpf.Target) []bpf.Target {
	names := map[string]bool{}
	for _, t := range gone {
		names[t.Name] = true
	}
	var out []bpf.Target
	for _, t := range ts {
		if !names[t.Name] {
			out = append(out, t)
		}
	}
	return out
}
