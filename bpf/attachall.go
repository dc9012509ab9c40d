package bpf

import (
	"context"
	"errors"
)

// The number of targets that are attached or detached concurrently. Attaching holds kernel locks,
// so a few workers suffice. Detaching waits for RCU grace periods, which many workers can wait for
// together.
const (
	attachers = 16
	detachers = 64
)

// AttachAllOptions restrict an attachment to many targets.
type AttachAllOptions struct {
	PID       int                   // as in AttachOptions
	Cookie    func(Target) uint64   // returns each target's cookie; nil: none
	Progress  func(done, total int) // called by one goroutine at a time; may be nil
	OnHotplug func(HotplugEvent)    // as in AttachOptions
}

// AttachAll attaches a program to all targets, which are of one kind. It uses a single link if the
// kind and the kernel support multi links and the program was loaded for one (LoadForTargets).
// Otherwise it attaches to the targets one by one, several at a time. If ctx is canceled, AttachAll
// returns ctx's error and the attachments made so far, which the caller must close. A refused
// target does not affect the others. A program must not be attached to two lists of targets at the
// same time.
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
		alone := ts[0].Driver.FallbackToSingle
		links, more, err := attachParts(ctx, ts, cookies, p, o, alone)
		if err != nil {
			return links, nil, err
		}
		if !alone || len(links) > 0 {
			return links, append(refusals, more...), nil
		}
		// Attached one by one, each target reports its own reason.
		if err := p.reloadSingle(); err != nil {
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

// attachParts attaches a program to all targets with one link. If the kernel refuses the link
// because of a target, which it does not name, attachParts tries each half separately, and so on,
// until only the refused targets remain. If whole is set, it does not try parts.
func attachParts(ctx context.Context, ts []Target, cookies []uint64, p *Program, o AttachAllOptions, whole bool) ([]*Attachment, []AttachFailure, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	a, err := AttachMulti(ts, cookies, p, AttachOptions{PID: o.PID})
	if err == nil {
		return []*Attachment{a}, a.Without, nil
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

// attachable splits ts into targets that can be tried and targets already known to be refused.
func attachable(ts []Target) (able []Target, refusals []AttachFailure) {
	for _, t := range ts {
		if t.Refusal != nil {
			refusals = append(refusals, AttachFailure{t, t.Refusal})
		} else {
			able = append(able, t)
		}
	}
	return able, refusals
}

// CloseAll detaches many links concurrently: the kernel waits up to 100 ms for each.
func CloseAll(links []*Attachment, progress func(done, total int)) error {
	errs := make([]error, len(links))
	err := parallel(context.Background(), len(links), detachers, progress, func(i int) { errs[i] = links[i].Close() })
	return errors.Join(append(errs, err)...)
}

// A multi link attaches one program to many places with one system call, and detaches it as fast.
// The attach type belongs to the program, which is loaded for it (ProgramSpec.Targets) by
// Driver.Prepare.

// Multi reports whether the program was loaded for a multi link. Such a program must be attached
// with AttachMulti, not with Attach.
func (p *Program) Multi() bool { return p.spec.Multi }

// AttachMulti attaches a program to all targets that it was loaded for, which are of one kind.
// cookies has one element per target, or none. If it returns an error, an *AttachError, nothing is
// attached.
func AttachMulti(ts []Target, cookies []uint64, p *Program, o AttachOptions) (*Attachment, error) {
	a, err := ts[0].Driver.AttachMulti(ts, cookies, p, o)
	var ae *AttachError
	if err != nil && !errors.As(err, &ae) {
		err = NewAttachError(ts[0], err)
	}
	return a, err
}
