package tree

import "math"

// MaxStr is the maximum size in bytes of a string, and of what buf reads.
const MaxStr = 8 << 10

// join() reads at most MaxArgs strings from an array in memory, of at most MaxArg bytes each,
// including the NUL.
const (
	MaxArgs = 16
	MaxArg  = 128
)

// MaxSearchWork bounds the positions of y times the words of x in x in y: the work of the verifier.
const MaxSearchWork = 16 << 10

// SliceEnd is the upper bound of a slice that extends to the end.
const SliceEnd = math.MinInt64

// StreamHead lists the fields that precede those of the handler in each record of a stream. The
// record is like one of print, but in the stream's own ring buffer.
var StreamHead = []string{"time", "cpu"}
