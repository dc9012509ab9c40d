package starlarkbind

import (
	"errors"

	"github.com/bpfrepl/bpfrepl/bpf"
)

// attach attaches every program to its targets. On an error it detaches everything again. Targets
// that the kernel refuses are skipped if the probe can do without them.
func (p *Probe) attach() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.attached {
		return nil
	}
	if err := p.reopen(); err != nil {
		return err
	}
	if err := p.attachAll(); err != nil {
		return errors.Join(err, p.letGo())
	}
	p.attached = true
	p.warnLeft()
	return nil
}

func (p *Probe) attachAll() error {
	links := 0
	for _, g := range p.programs {
		if err := g.renew(p.s.run.Context(), p.s); err != nil {
			return err
		}
	}
	for i := 0; i < len(p.programs); i++ {
		g := p.programs[i]
		left, err := g.attach(p)
		if err == nil && len(left) > 0 {
			err = p.retryWithNextType(g, left)
		}
		if err != nil {
			return err
		}
		links += len(p.programs[i].links)
	}
	return p.refusedAll(links)
}

// retryWithNextType makes a program of the next type for the targets that do not accept g's type.
// The new program is appended to p.programs, or replaces g if no target accepts g.
func (p *Probe) retryWithNextType(g *program, left []bpf.Target) error {
	next, err := g.nextType(left)
	if err != nil {
		return err
	}
	p.programs = append(p.programs, next)
	if len(left) < len(g.targets) {
		g.targets = without(g.targets, left)
		return nil
	}
	for i, x := range p.programs {
		if x == g {
			p.programs[i] = next
			p.programs = p.programs[:len(p.programs)-1]
		}
	}
	if _, err := next.attach(p); err != nil {
		return errors.Join(err, g.close())
	}
	return g.close()
}

// attach attaches a program to its targets. It returns in left the targets that have no raw
// tracepoint.
func (g *program) attach(p *Probe) (left []bpf.Target, err error) {
	s := p.s
	opt := bpf.AttachAllOptions{PID: p.pid, Progress: s.out.Progress("attached"), OnHotplug: s.warner.Hotplug}
	if g.code.UsesCookie {
		opt.Cookie = s.ids.Cookie // identifies the target that fired
	}
	if len(g.targets) == 0 { // all were refused before
		return nil, nil
	}
	links, refusals, err := bpf.AttachAll(s.run.Context(), g.targets, g.prog, opt)
	g.links = append(g.links, links...)
	if err != nil {
		return nil, err
	}
	var gone []bpf.Target
	for _, r := range refusals {
		switch {
		case errors.Is(r.Err, bpf.ErrNoRawTracepoint) && g.nextType != nil:
			left = append(left, r.Target)
		case r.Target.FromPattern && isRefusal(r.Err):
			p.left = append(p.left, r)
			gone = append(gone, r.Target)
		default:
			return nil, r.Err // the other targets would most likely fail in the same way
		}
	}
	g.targets = without(g.targets, gone)
	return left, nil
}
