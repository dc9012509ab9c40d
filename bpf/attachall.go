package bpf

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// How many targets are attached, or let go, at a time. Attaching works in the kernel's locks, so a few suffice; letting
// go waits for the kernel's grace periods, which many can wait for together.
const (
	attachers = 16
	detachers = 64
)

// AttachAllOptions narrow an attachment to many targets.
type AttachAllOptions struct {
	PID       int                   // as in AttachOptions
	Cookie    func(Target) uint64   // gives each target's cookie; nil: none
	Progress  func(done, total int) // is called by one goroutine at a time; may be nil
	OnHotplug func(HotplugEvent)    // as in AttachOptions
}

// An AttachFailure is a target that the kernel did not attach to.
type AttachFailure struct {
	Target Target
	Err    error // as Attach gives
}

// AttachAll attaches a program to all targets, which are of one kind: by one link where the kind and the kernel have links
// to many places and the program was loaded for that (LoadForTargets), else one by one, several at a time. When ctx ends, the
// error is ctx's, and what is attached by then is returned, for the caller to close. Targets that are refused do not hinder the others. A program is not
// attached to two lists of targets at a time.
func AttachAll(ctx context.Context, ts []Target, p *Program, o AttachAllOptions) ([]*Attachment, []AttachFailure, error) {
	cookie := func(t Target) uint64 {
		if o.Cookie == nil {
			return 0
		}
		return o.Cookie(t)
	}
	if err := checkProcess(ts[0], o.PID); err != nil {
		return nil, nil, err
	}
	ts, refusals := attachable(ts)
	if len(ts) == 0 {
		return nil, refusals, nil
	}
	if p.Multi() {
		cookies := make([]uint64, len(ts))
		for i, t := range ts {
			cookies[i] = cookie(t)
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		alone := findProvider(ts[0].Kind).fallbackToSingle
		links, more, err := attachParts(ctx, ts, cookies, p, o, alone)
		if err != nil {
			return links, nil, err
		}
		if !alone || len(links) > 0 {
			return links, append(refusals, more...), nil
		}
		if err := p.reloadSingle(); err != nil { // one by one, each target has its own reason
			return nil, nil, err
		}
	}
	links := make([]*Attachment, len(ts))
	errs := make([]error, len(ts))
	err := parallel(ctx, len(ts), attachers, o.Progress, func(i int) {
		if errs[i] = p.loadErrors[ts[i].Name]; errs[i] != nil {
			return
		}
		one := p
		if own := p.perTarget[ts[i].Name]; own != nil {
			one = own
		}
		links[i], errs[i] = Attach(ts[i], one, AttachOptions{PID: o.PID, Cookie: cookie(ts[i]), OnHotplug: o.OnHotplug})
	})
	var done []*Attachment
	for i, l := range links {
		switch {
		case l != nil:
			done = append(done, l)
		case errs[i] != nil:
			refusals = append(refusals, AttachFailure{ts[i], errs[i]})
		}
	}
	return done, refusals, err
}

// attachParts attaches a program to all targets by one link. Where the kernel refuses that for the sake of a target, which
// it does not name, each half gets a link, and so on: what is left are the targets that are refused. whole: it is not tried
// with parts.
func attachParts(ctx context.Context, ts []Target, cookies []uint64, p *Program, o AttachAllOptions, whole bool) ([]*Attachment, []AttachFailure, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	a, err := AttachMulti(ts, cookies, p, AttachOptions{PID: o.PID})
	if err == nil {
		return []*Attachment{a}, a.without, nil
	}
	var ae *AttachError
	if whole || len(ts) == 1 || !errors.As(err, &ae) || !ae.TargetOnly {
		return nil, []AttachFailure{{ts[0], err}}, nil
	}
	half := len(ts) / 2
	links, refusals, err := attachParts(ctx, ts[:half], cookies[:half], p, o, whole)
	if err != nil {
		return links, nil, err
	}
	more, others, err := attachParts(ctx, ts[half:], cookies[half:], p, o, whole)
	return append(links, more...), append(refusals, others...), err
}

// attachable leaves out the targets that are known to be refused.
func attachable(ts []Target) (able []Target, refusals []AttachFailure) {
	for _, t := range ts {
		if t.refusal != nil {
			refusals = append(refusals, AttachFailure{t, t.refusal})
		} else {
			able = append(able, t)
		}
	}
	return able, refusals
}

// CloseAll detaches, many at a time: the kernel waits up to 100 ms for each.
func CloseAll(links []*Attachment, progress func(done, total int)) error {
	errs := make([]error, len(links))
	err := parallel(context.Background(), len(links), detachers, progress, func(i int) { errs[i] = links[i].Close() })
	return errors.Join(append(errs, err)...)
}

// parallel calls fn for 0 to n-1, at most so many at a time, and waits for all of them. It starts none after ctx has
// ended, and then gives ctx's error.
func parallel(ctx context.Context, n, most int, progress func(done, total int), fn func(i int)) error {
	if n == 1 { // the usual case needs no goroutine
		if err := ctx.Err(); err != nil {
			return err
		}
		fn(0)
		return nil
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	sem := make(chan struct{}, most)
	defer wg.Wait()
	for i := range n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case sem <- struct{}{}:
		}
		if err := ctx.Err(); err != nil { // both were ready
			return err
		}
		wg.Go(func() {
			defer func() { <-sem }()
			fn(i)
			if progress != nil {
				mu.Lock()
				defer mu.Unlock()
				done++
				progress(done, n)
			}
		})
	}
	return nil
}

// LoadForTargets loads a program for its targets (spec.Targets): in the form that they want, and, for kinds that tie a program to
// its target, once for each, several at a time. Where targets come from a pattern, one for which the kernel does not load
// it does not hinder the others; AttachAll tells of it.
func LoadForTargets(ctx context.Context, spec ProgramSpec, progress func(done, total int)) (*Program, error) {
	ts := spec.Targets
	if len(ts) < 2 || !findProvider(ts[0].Kind).programPerTarget {
		return NewProgram(spec)
	}
	each := make([]*Program, len(ts))
	errs := make([]error, len(ts))
	err := parallel(ctx, len(ts), max(2, runtime.NumCPU()), progress, func(i int) {
		one := spec
		one.Targets = ts[i : i+1]
		each[i], errs[i] = NewProgram(one)
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

// reloadSingle loads a program again that was for a multi link, for a link to each target.
func (p *Program) reloadSingle() error {
	spec := p.spec
	spec.Targets, spec.attachType = nil, 0
	q, err := NewProgram(spec)
	if err != nil {
		return err
	}
	old := p.raw
	p.raw, p.spec = q.raw, q.spec
	return old.Close()
}
