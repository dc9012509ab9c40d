// Package records reads the records that handlers send to the host: the lines of print() and
// printf(), and the records of streams.
//
// Each print and each emit in a program has a number, its site. A record begins with this number,
// which determines the format of the rest.
//
// The prints of all probes go through one ring buffer, so that lines appear in the order in which
// they were sent. A goroutine reads it all the time and writes the lines. If a probe sees these
// writes, each of them can cause the next line; package warnings detects that.
//
// A stream has a ring buffer of its own, which is read when the script wants records: by take(), in
// a loop, or for a callback during run() and while the prompt waits.
//
//	records.go       Records, Env, Host
//	sites.go         the sites of all programs
//	print_reader.go  reading the ring buffer of prints, and writing their lines as text or JSON
//	stream.go        Stream
//	stream_read.go   reading a stream: the queue, take(), loops
//	dispatcher.go    callbacks of streams
//	emit.go          emit() in the script
package records

import (
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// An Env is what records share with the rest of the session.
type Env struct {
	Run    *runner.Runner
	Out    *terminal.Output
	Codec  *codec.Codec
	Warner *warnings.Warner
	Halt   chan<- struct{} // a handler called stop()
	Check  bool            // --check: a script that waits for records has ended
	Host
}

// A Host does for records what needs the session's probes or options.
type Host interface {
	// Warns reports whether the user wants warnings.
	Warns() bool
	// Passes reports whether the script passes over waits for records: none comes.
	Passes() bool
	// Waits notes that the script has waited for records.
	Waits()
	// Lost returns the number of records of a stream that did not fit into its ring buffer.
	Lost(st *compiler.Stream) (uint64, error)
}

// Records are the records of a session.
type Records struct {
	env    Env
	sites  sites
	prints *printReader // nil before the first print
}

// New returns the Records of a session.
func New(env Env) *Records { return &Records{env: env} }

// NextSite returns the number of the next site that AddSites adds.
func (r *Records) NextSite() int { return r.sites.next() }

// AddSites adds the sites of a probe's program.
func (r *Records) AddSites(probe string, added []compiler.PrintSite) { r.sites.add(probe, added) }

// printRing is the size in bytes of the ring buffer for prints that are not read yet.
const printRing = 4 << 20

// Ring returns the ring buffer for prints. The first call creates it and starts the reader.
func (r *Records) Ring() (*kmap.RingBuf, error) {
	if r.prints == nil {
		ring, err := kmap.NewRingBuf(printRing)
		if err != nil {
			return nil, err
		}
		r.prints = &printReader{env: &r.env, sites: &r.sites, ring: ring, done: make(chan struct{})}
		go r.env.Run.RecoverGoroutine(r.prints.run)
	}
	return r.prints.ring, nil
}

// Drain returns when all prints sent before the call are written, regardless of how many are added
// in the meantime. It returns earlier if the script is interrupted or if the reader of the output
// stalls. The prints are then written later.
func (r *Records) Drain() {
	printed := r.printed()
	if printed == nil {
		return
	}
	look := time.NewTicker(runner.CallbackGrace / 5)
	defer look.Stop()
	ctx := r.env.Run.Context()
	for {
		select {
		case <-printed:
			return
		case <-r.prints.done:
			return
		case <-ctx.Done():
			return
		case <-look.C:
			if r.env.Out.Stalled() {
				return
			}
		}
	}
}

// DrainAll is Drain for the end of the session. It waits for the reader of the output as long as it
// takes, as any program does.
func (r *Records) DrainAll() {
	printed := r.printed()
	if printed == nil {
		return
	}
	select {
	case <-printed:
	case <-r.prints.done:
	}
}

// printed returns a channel that is closed when all prints sent so far are written, or nil if there
// is nothing to wait for.
func (r *Records) printed() <-chan struct{} {
	if r.prints == nil {
		return nil
	}
	printed, err := r.prints.wait()
	if err != nil {
		r.env.Out.ReportError(err)
		return nil
	}
	return printed
}

// Close ends the reading of prints. It returns the number of prints that came after the output had
// failed.
func (r *Records) Close() (unprinted int, err error) {
	if r.prints == nil {
		return 0, nil
	}
	err = r.prints.close()
	return r.prints.unprinted, err
}
