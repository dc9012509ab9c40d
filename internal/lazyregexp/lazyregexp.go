// Package lazyregexp delays the creation of values that most runs of the command do not need,
// because start time is measured in milliseconds.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp returns a function that returns the compiled expression. The first call compiles it, and
// panics if it is invalid.
func Regexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
