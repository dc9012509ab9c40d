package warnings

import (
	"fmt"
	"time"
)

// A probe that sees bpfrepl's own output (a probe of write(2), or of all system calls) can feed
// itself: each write causes records, and these cause the next write. The pause between writes
// bounds the rate; this file detects the loop, so that the user can be warned.

const (
	feedbackMost   = 64 // most records that one write may cause
	feedbackWrites = 20 // consecutive such writes before the test
	// During the test the pause is longer; if the output causes itself, the next write has no more
	// records than one write causes.
	feedbackPause = 100 * time.Millisecond
)

// A FeedbackDetector detects from the writes of records whether the output causes itself. Records
// caused by others arrive at any time, even while nothing is written; those caused by our own write
// arrive during the write.
type FeedbackDetector struct {
	writes int // consecutive writes that caused records
	last   int // records of the last write before the test
	told   bool
}

// Pause returns the time to wait between two writes, which is usual except during the test.
func (f *FeedbackDetector) Pause(usual time.Duration) time.Duration {
	if f.testing() {
		return feedbackPause
	}
	return usual
}

func (f *FeedbackDetector) testing() bool { return !f.told && f.writes == feedbackWrites }

// Wrote takes note of a write: the number of records it printed, and whether more arrived while it
// was going on. It reports whether the output feeds itself, and returns true only once.
func (f *FeedbackDetector) Wrote(records int, caused bool) bool {
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

// Feedback warns that the output of a probe feeds itself.
func (w *Warner) Feedback(probe string) {
	if w.opt.Level == None {
		return
	}
	const hint = "exclude bpfrepl: me = pid(), and filter=lambda e: e.pid != me"
	text := fmt.Sprintf("%s prints events that bpfrepl's own output causes, so each line makes more", probe)
	w.opt.Out.Warn("feedback", map[string]any{"probe": probe, "message": text, "hint": hint}, text+"\n    hint: "+hint)
}
