package starlarkbind

import (
	"fmt"
	"time"
)

// A probe that sees bpfrepl's own output (a probe of write(2), or of all system calls) can feed
// itself: each write of the printReader causes records, and these cause the next write. The pace of
// the printReader bounds the rate; this file detects the loop, so that the user can be warned.

const (
	feedbackMost   = 64 // most records that one write may cause
	feedbackWrites = 20 // consecutive such writes before the test
	// During the test the pause is longer; if the output causes itself, the next write has no more
	// records than one write causes.
	feedbackPause = 100 * time.Millisecond
)

// A feedback detects from the printReader's writes whether the output causes itself. Records caused
// by others arrive at any time, even while nothing is written; those caused by our own write arrive
// during the write.
type feedback struct {
	writes int // consecutive writes that caused records
	last   int // records of the last write before the test
	told   bool
}

// pause returns the time to wait between two writes.
func (f *feedback) pause() time.Duration {
	if f.testing() {
		return feedbackPause
	}
	return printInterval
}

func (f *feedback) testing() bool { return !f.told && f.writes == feedbackWrites }

// wrote takes note of a write: the number of records it printed, and whether more arrived while it
// was going on. It reports whether the output feeds itself, and returns true only once.
func (f *feedback) wrote(records int, caused bool) bool {
	switch {
	case f.testing():
		f.told = records <= 2*f.last
		f.writes = 0
		return f.told
	case caused && records <= feedbackMost:
		f.writes++
		f.last = records
	default:
		f.writes = 0
	}
	return false
}

func (p *printReader) warnFeedback() {
	if p.k.warner.opt.Warnings == WarnNone {
		return
	}
	const hint = "exclude bpfrepl: me = pid(), and filter=lambda e: e.pid != me"
	text := fmt.Sprintf("%s prints events that bpfrepl's own output causes, so each line makes more", p.probe.name)
	p.k.out.Warn("feedback", map[string]any{"probe": p.probe.name, "message": text, "hint": hint}, text+"\n    hint: "+hint)
}
