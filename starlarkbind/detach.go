package starlarkbind

import (
	"errors"

	"github.com/bpfrepl/bpfrepl/bpf"
)

// The kernel takes tens of milliseconds to detach a program from each perf event. A probe with many of them has a gate,
// which stops its handler at once; the kernel's work goes on in the background then, and only attaching the probe again and the
// end of the session wait for it.

// fewTargets is how many targets are detached while the script waits.
const fewTargets = 4

// detach detaches; stats() and errors() go on telling.
func (p *Probe) detach() error {
	p.mu.Lock()
	was := p.attached
	p.attached = false
	var err error
	if was {
		err = p.letGo()
	}
	p.mu.Unlock()
	if was {
		p.s.forgetDetached()
	}
	return err
}

// letGo closes what attaches the programs, and releases them.
func (p *Probe) letGo() error {
	errs := []error{p.closeLinks()}
	for _, g := range p.programs {
		errs = append(errs, g.release())
	}
	if p.gate != nil { // programs that the kernel still detaches keep it, shut
		errs = append(errs, p.gate.Close())
		p.gate = nil
	}
	return errors.Join(errs...)
}

// closeLinks stops the programs and closes what attaches them.
func (p *Probe) closeLinks() error {
	var links []*bpf.Attachment
	shut := p.gate != nil && p.gate.Shut() == nil // else the links are closed while the script waits
	var errs []error
	for _, g := range p.programs {
		links = append(links, g.links...)
		if shut {
			errs = append(errs, g.freeze())
		}
	}
	if !shut || len(links) <= fewTargets {
		errs = append(errs, bpf.CloseAll(links, p.s.progress("detached")))
		shut = false
	}
	for _, g := range p.programs {
		for _, l := range g.links {
			n, err := l.Missed()
			g.missed += n
			errs = append(errs, err)
		}
		g.links = nil
	}
	if shut {
		done, progress := make(chan struct{}), p.s.progress("detached")
		p.closing = done
		p.s.closing.Go(func() {
			defer close(done)
			err := bpf.CloseAll(links, func(done, total int) {
				if p.s.leaving.Load() { // nobody waits before
					progress(done, total)
				}
			})
			if err != nil {
				p.s.reportError(err)
			}
		})
	}
	return errors.Join(errs...)
}

// freeze keeps the program's statistics as they are: it goes on to run, and does nothing.
func (g *program) freeze() error {
	if g.prog == nil { // it could not be loaded again
		return nil
	}
	st, err := g.prog.Stats()
	g.frozen = &st
	return err
}

// reopen prepares the programs to run again, once the kernel has let go of what they were attached to.
func (p *Probe) reopen() error {
	if p.closing != nil {
		select {
		case <-p.closing:
		case <-p.s.context().Done():
			return ErrInterrupted
		}
	}
	for _, g := range p.programs {
		if p.gate == nil && g.code.UsesGate {
			var err error
			if p.gate, err = bpf.NewGate(); err != nil {
				return err
			}
		}
		if g.code.UsesGate {
			g.spec.Maps["gate"] = p.gate.Map()
		}
	}
	return nil
}

// close lets go of everything.
func (p *Probe) close() error {
	errs := []error{p.detach()}
	for _, g := range p.programs {
		errs = append(errs, g.close())
	}
	p.programs = nil
	if p.gate != nil {
		errs = append(errs, p.gate.Close())
	}
	return errors.Join(errs...)
}
