package starlarkbind

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// The kernel takes tens of milliseconds to detach a program from each perf event. A probe with many
// of them has a gate, which disables its handler at once; the kernel's work then continues in the
// background, and only attaching the probe again or the end of the session waits for it.

// fewTargets is the largest number of targets that are detached while the script waits.
const fewTargets = 4

// detaching counts what the kernel has not finished detaching.
type detaching struct {
	closing sync.WaitGroup
	leaving atomic.Bool // Close is waiting for closing
}

// detach detaches the probe; stats() and errors() continue to work.
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
		p.s.reg.forgetDetached()
	}
	return err
}

// letGo closes the links of the probe and releases its programs.
func (p *Probe) letGo() error {
	errs := []error{p.closeLinks()}
	for _, g := range p.programs {
		errs = append(errs, g.release())
	}
	// Programs that are still being detached hold a reference to the gate, which stays shut.
	if p.gate != nil {
		errs = append(errs, p.gate.Close())
		p.gate = nil
	}
	return errors.Join(errs...)
}

// closeLinks disables the programs and closes their links, in the background if there is a gate and
// more than fewTargets links.
func (p *Probe) closeLinks() error {
	var links []*bpf.Attachment
	// If the gate cannot be shut, the links are closed while the script waits.
	shut := p.gate != nil && p.gate.Shut() == nil
	var errs []error
	for _, g := range p.programs {
		links = append(links, g.links...)
		if shut {
			errs = append(errs, g.freeze())
		}
	}
	if !shut || len(links) <= fewTargets {
		errs = append(errs, bpf.CloseAll(links, p.s.out.Progress("detached")))
		if !shut {
			// A closed link lets the runs in progress continue. Their errors are read next.
			errs = append(errs, kmap.WaitForPrograms())
		}
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
		done, progress := make(chan struct{}), p.s.out.Progress("detached")
		p.closing = done
		p.s.detaching.closing.Go(func() {
			defer close(done)
			err := bpf.CloseAll(links, func(done, total int) {
				if p.s.detaching.leaving.Load() { // before that nobody waits for it
					progress(done, total)
				}
			})
			if err != nil {
				p.s.out.ReportError(err)
			}
		})
	}
	return errors.Join(errs...)
}

// freeze saves the program's statistics as they are now: the program still runs, but does nothing.
func (g *program) freeze() error {
	if g.prog == nil { // reloading it failed
		return nil
	}
	st, err := g.prog.Stats()
	g.frozen = &st
	return err
}

// reopen prepares the programs to be attached again. It waits until the kernel has finished
// detaching them, and returns ErrInterrupted on Ctrl-C.
func (p *Probe) reopen() error {
	if p.closing != nil {
		select {
		case <-p.closing:
		case <-p.s.run.Context().Done():
			return runner.ErrInterrupted
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

// close detaches the probe and closes its programs and its gate.
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
