package records

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/cfmt"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// A printReader reads the records that handlers send and prints them in the order they were sent.
// It writes many lines at a time and pauses between writes. If a probe sees these writes, each of
// them causes another line, and the pause limits how many.
type printReader struct {
	env   *Env
	sites *sites
	ring  *kmap.RingBuf
	done  chan struct{}
	own   warnings.FeedbackDetector

	mu    sync.Mutex
	waits []drained

	// The fields below belong to the goroutine that reads.
	text    bytes.Buffer // not written yet
	records int          // number of records in text
	probe   string       // the probe that printed last
	written time.Time    // time of the last write

	// unprinted counts the records that came after the output had failed. It is read after close.
	unprinted int
}

const (
	printInterval   = 10 * time.Millisecond // time between writes
	printFlushBytes = 64 << 10              // bytes after which text is written
)

// A drained is a waiter for all records up to a position to be printed.
type drained struct {
	to   uint64
	done chan struct{}
}

func (p *printReader) run() {
	defer close(p.done)
	var rec ringbuf.Record
	for {
		p.ring.SetDeadline(p.due())
		b, err := p.ring.Read(&rec)
		switch {
		case err == nil:
			p.record(b)
		case errors.Is(err, kmap.ErrWoken), errors.Is(err, kmap.ErrDeadline):
		case errors.Is(err, kmap.ErrClosed):
			return
		default:
			p.env.Out.ReportError(fmt.Errorf("read the ring buffer: %w", err))
			return
		}
		if p.text.Len() >= printFlushBytes || p.text.Len() > 0 && p.ring.Empty() && !time.Now().Before(p.due()) {
			p.write()
		}
		p.release()
	}
}

// due returns the time at which to write the text: at once, or some time after the last write. It
// returns the zero time if there is no text.
func (p *printReader) due() time.Time {
	if p.text.Len() == 0 {
		return time.Time{}
	}
	return p.written.Add(p.own.Pause(printInterval))
}

// write writes the text.
func (p *printReader) write() {
	before := p.ring.Written()
	p.env.Out.Print(p.text.String())
	p.written = time.Now()
	if p.own.Wrote(p.records, p.ring.Written() != before) {
		p.env.Warner.Feedback(p.probe)
	}
	p.text.Reset()
	p.records = 0
}

// release wakes the waiters whose records are printed.
func (p *printReader) release() {
	p.mu.Lock()
	n := 0
	for n < len(p.waits) && p.ring.Passed(p.waits[n].to) {
		n++
	}
	passed := p.waits[:n:n]
	p.waits = p.waits[n:]
	p.mu.Unlock()
	if n > 0 && p.text.Len() > 0 {
		p.write() // may wait for the reader of the output; more waiters may register
	}
	for _, w := range passed {
		close(w.done)
	}
}

// wait returns a channel that is closed when all records sent before the call are printed.
func (p *printReader) wait() (<-chan struct{}, error) {
	w := drained{p.ring.Written(), make(chan struct{})}
	p.mu.Lock()
	p.waits = append(p.waits, w)
	p.mu.Unlock()
	return w.done, p.ring.Wake()
}

func (p *printReader) close() error {
	err := p.ring.Close()
	<-p.done
	return err
}

func (p *printReader) record(b []byte) {
	if id, _, ok := abi.ParseRecord(b); ok && id == abi.RecordStop {
		select {
		case p.env.Halt <- struct{}{}:
		default: // one is enough
		}
		return
	}
	if p.env.Out.Failed() != nil {
		p.unprinted++
		return
	}
	site, b, err := p.sites.of(b)
	if err != nil {
		p.env.Out.ReportError(err)
		return
	}
	p.records++
	p.probe = site.probe
	if site.Kind == "print" && !p.env.Out.JSON() {
		if line, ok := codec.AppendPrinted(p.text.AvailableBuffer(), site.Args, b); ok {
			p.text.Write(line)
			return
		}
	}
	args, err := p.env.Codec.DecodeArgs(&site.PrintSite, b)
	if err != nil {
		p.env.Out.ReportError(err)
		return
	}
	p.print(site, args)
}

// print appends the line of a print to the text.
func (p *printReader) print(site *site, args []starlark.Value) {
	var probe, text string
	// The program adds the name of the probe that fired: see compiler.Request.PrintProbe.
	if n := len(args); p.env.Out.JSON() && n > 0 {
		probe, _ = starlark.AsString(args[n-1])
		args = args[:n-1]
	}
	shown := codec.InHex(&site.PrintSite, args)
	if site.Kind == "printf" {
		var err error
		if text, err = cfmt.Sprintf(site.Format, render.EscapeAll(shown)); err != nil {
			p.env.Out.ReportError(fmt.Errorf("%s: %w", site.Pos, err))
			return
		}
	} else {
		for i, a := range shown {
			if i > 0 {
				text += " "
			}
			text += render.Text(a)
		}
	}
	switch {
	case p.env.Out.JSON():
		text = terminal.PrintedLine(site.Kind, probe, text, args)
	case site.Kind == "print":
		text += "\n"
	}
	p.text.WriteString(text)
}
