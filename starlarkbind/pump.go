package starlarkbind

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/ringbuf"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/cfmt"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
)

// ringSize is the room for records that the host has not read yet, in bytes.
const ringSize = 4 << 20

// printSite is a print of a handler, and its probe.
type printSite struct {
	compiler.PrintSite
	probe *Probe
}

// A pump reads the records that handlers send and prints them, in the order in which they were sent.
type pump struct {
	s       *Session
	ring    *bpf.Ring
	drained chan struct{}
	done    chan struct{}
	stop    chan struct{} // a handler has called stop()
}

// ring gives the session's ring buffer; the first call makes it and starts to read it.
func (s *Session) ring() (*bpf.Ring, error) {
	if s.pump == nil {
		r, err := bpf.NewRing(ringSize)
		if err != nil {
			return nil, err
		}
		s.pump = &pump{s: s, ring: r, drained: make(chan struct{}), done: make(chan struct{}), stop: make(chan struct{}, 1)}
		go s.guarded(s.pump.run)
	}
	return s.pump.ring, nil
}

func (p *pump) run() {
	defer close(p.done)
	var rec ringbuf.Record
	for {
		b, err := p.ring.Read(&rec)
		switch {
		case err == nil:
			p.record(b)
		case errors.Is(err, bpf.ErrDrained):
			p.drained <- struct{}{}
		case errors.Is(err, bpf.ErrClosed):
			return
		default:
			p.s.fault(fmt.Errorf("read the ring buffer: %w", err))
			return
		}
	}
}

// drain prints all that was sent before the call.
func (s *Session) drain() {
	if s.pump == nil {
		return
	}
	if err := s.pump.ring.Drain(); err != nil {
		s.fault(err)
		return
	}
	select {
	case <-s.pump.drained:
	case <-s.pump.done:
	}
}

func (p *pump) close() error {
	err := p.ring.Close()
	<-p.done
	return err
}

func (p *pump) record(b []byte) {
	if len(b) >= 8 && binary.NativeEndian.Uint64(b) == compiler.RecordStop {
		select {
		case p.stop <- struct{}{}:
		default: // one is enough
		}
		return
	}
	site, args, err := p.s.decodeRecord(b)
	if err != nil {
		p.s.fault(err)
		return
	}
	p.print(site, args)
}

func (p *pump) print(site printSite, args []starlark.Value) {
	var text string
	if site.Kind == "printf" {
		var err error
		if text, err = cfmt.Sprintf(site.Format, render.EscapeAll(args)); err != nil {
			p.s.fault(fmt.Errorf("%s: %w", site.Pos, err))
			return
		}
	} else {
		for i, a := range args {
			if i > 0 {
				text += " "
			}
			text += render.Text(a)
		}
		text += "\n"
	}
	if p.s.out.json {
		p.s.out.object("printf", map[string]any{"probe": site.probe.name, "text": text})
		return
	}
	p.s.out.text(text)
}

// printBase is the number of the next print site.
func (s *Session) printBase() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.prints)
}

func (s *Session) addPrints(p *Probe, sites []compiler.PrintSite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, site := range sites {
		s.prints = append(s.prints, printSite{site, p})
	}
}
