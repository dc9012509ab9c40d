// Package lazy makes what few runs of the command need when it is first needed: the start is counted in milliseconds.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp compiles an expression at the first call of what it gives.
func Regexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
