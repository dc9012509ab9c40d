package codec

import (
	"slices"
	"time"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// The symbols of a process can be found only while it lives, but scripts ask for them after it has
// ended. While run() waits for a process, its mappings are therefore read from time to time, if any
// probe stores user-space addresses.

// The first read comes as soon as a program may have loaded its libraries. The interval then
// doubles with each read, up to learnMost.
const (
	learnFirst = time.Millisecond
	learnMost  = time.Second
)

// CacheMappings reads the mappings of processes from time to time until the returned function is
// called.
func (y *Symbols) CacheMappings(pids []int) (end func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for wait := learnFirst; ; wait = min(2*wait, learnMost) {
			select {
			case <-quit:
				return
			case <-time.After(wait):
			}
			if y.UserAddrs.Load() {
				for _, pid := range pids {
					y.UserSymbols().CacheMappings(pid)
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}

// KeepsUserAddresses reports whether a program passes user-space addresses to the script.
func KeepsUserAddresses(code *compiler.Program) bool {
	for _, m := range code.Maps {
		if ofUser(m.Types.Key) || ofUser(m.Types.Val) {
			return true
		}
	}
	for _, p := range code.Prints {
		if slices.ContainsFunc(p.Args, ofUser) {
			return true
		}
	}
	return false
}

// ofUser reports whether a type contains a user-space address.
func ofUser(t *types.Type) bool {
	return t != nil && (t.Format != nil && (t.Format.Name == "ustack" || t.Format.Name == "usym") || ofUser(t.Elem) || slices.ContainsFunc(t.Elems, ofUser))
}
