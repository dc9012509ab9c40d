package bpf

import (
	"context"
	"errors"
	"runtime"
)

// LoadForTargets loads a program for its targets (spec.Targets), in the form that they require. For
// kinds that tie a program to its target it loads the program once per target, several at a time.
// If the targets come from a pattern, a target for which the kernel refuses the program does not
// affect the others; AttachAll reports it.
func LoadForTargets(ctx context.Context, spec ProgramSpec, progress func(done, total int)) (*Program, error) {
	ts := spec.Targets
	if len(ts) == 0 {
		return NewProgram(spec)
	}
	d := ts[0].Driver
	if len(ts) == 1 || !d.ProgramPerTarget {
		return d.load(spec)
	}
	each := make([]*Program, len(ts))
	errs := make([]error, len(ts))
	err := parallel(ctx, len(ts), max(2, runtime.NumCPU()), progress, func(i int) {
		one := spec
		one.Targets = ts[i : i+1]
		each[i], errs[i] = d.load(one)
	})
	p := &Program{spec: spec, perTarget: map[string]*Program{}, loadErrors: map[string]error{}}
	for i, one := range each {
		var own *AttachError
		switch {
		case one != nil:
			p.perTarget[ts[i].Name] = one
		case errors.As(errs[i], &own) && own.TargetOnly && ts[i].FromPattern:
			p.loadErrors[ts[i].Name] = errs[i]
		case err == nil:
			err = errs[i]
		}
	}
	if err == nil && len(p.perTarget) == 0 {
		err = errs[0]
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// load prepares a program for its targets and loads it.
func (d *Driver) load(spec ProgramSpec) (*Program, error) {
	if d.Prepare != nil {
		if err := d.Prepare(&spec); err != nil {
			return nil, err
		}
	}
	p, err := NewProgram(spec)
	if err != nil && d.ExplainLoadError != nil {
		err = d.ExplainLoadError(spec.Targets[0], err)
	}
	return p, err
}

// reloadSingle reloads a program that was loaded for a multi link so that it can be attached to
// each target with a link of its own.
func (p *Program) reloadSingle() error {
	spec := p.spec
	spec.Targets, spec.AttachType, spec.Multi = nil, 0, false
	q, err := NewProgram(spec)
	if err != nil {
		return err
	}
	old := p.raw
	p.raw, p.spec = q.raw, q.spec
	return old.Close()
}
