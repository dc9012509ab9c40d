package starlarkbind

import (
	"fmt"
	"time"
)

// A probe that sees what bpfrepl does when it prints (a probe of write(2), or of all system calls) feeds itself: each write of the
// pump causes records, and these the next write. The pump's pace bounds how much that is; here it is found, so that the user is told.

const (
	feedbackMost   = 64                     // records that one write may cause
	feedbackWrites = 20                     // writes in a row that caused some, until it is put to the test
	feedbackPause  = 100 * time.Millisecond // the test: a longer pause, in which no more records come than one write causes
)

// A feedback looks at the pump's writes. Records that others cause come all the time, also while nothing is written; those that our own
// write causes come during the write.
type feedback struct {
	writes int // in a row that looked like it
	last   int // records before the test
	told   bool
}

// pause is how long the pump waits between two writes.
func (f *feedback) pause() time.Duration {
	if f.testing() {
		return feedbackPause
	}
	return pumpEvery
}

func (f *feedback) testing() bool { return !f.told && f.writes == feedbackWrites }

// wrote notes a write of so many records, and whether more came during it. It reports whether the output feeds itself; it does so once.
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
	if p.s.opt.Warnings == WarnNone {
		return
	}
	const hint = "leave bpfrepl out: me = pid(), and filter=lambda e: e.pid != me"
	text := fmt.Sprintf("%s prints what the output of bpfrepl itself causes, so each line makes more", p.probe.name)
	p.s.out.warn("feedback", map[string]any{"probe": p.probe.name, "message": text, "hint": hint}, text+"\n    hint: "+hint)
}
