package starlarkbind

import (
	"slices"
	"time"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// The symbols of a process can be found as long as it lives; scripts ask for them when it has ended. So while run() waits for a
// process, what it has mapped is read now and then, if any probe keeps addresses of processes.

// The first reading comes as soon as a program may have its libraries, the next ones each twice as long after the one before.
const (
	learnFirst = time.Millisecond
	learnMost  = time.Second
)

// learn reads the mappings of processes until the function that it gives is called.
func (s *Session) learn(pids []int) (end func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for wait := learnFirst; ; wait = min(2*wait, learnMost) {
			select {
			case <-quit:
				return
			case <-time.After(wait):
			}
			if s.userAddrs.Load() {
				for _, pid := range pids {
					s.userSymbols().CacheMappings(pid)
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}

// keepsUserAddresses tells whether a program gives the script addresses of processes.
func keepsUserAddresses(code *compiler.Program) bool {
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

// ofUser tells that a type has an address of a process in it.
func ofUser(t *types.Type) bool {
	return t != nil && (t.Format != nil && (t.Format.Name == "ustack" || t.Format.Name == "usym") || ofUser(t.Elem) || slices.ContainsFunc(t.Elems, ofUser))
}
