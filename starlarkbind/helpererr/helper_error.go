// Package helpererr defines the value that describes errors of helpers in the kernel
// (helper_error.go), and the table of their messages and hints by helper and errno (explain.go).
// It reads no cells and prints nothing.
package helpererr

import (
	"fmt"
	"strings"

	"github.com/bpfrepl/bpfrepl/compiler"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
	"golang.org/x/sys/unix"
)

// An Error describes an error that occurred in the kernel at one position of a handler with
// one errno, and how often it did.
type Error struct {
	Helper, Errno, Message, Hint, Probe, Pos, Source string
	MapName                                          string
	Code                                             int
	Count, First, Last                               uint64
	Quiet                                            bool
	Decl                                             *compiler.Map
	Stream                                           *compiler.Stream
}

var (
	_ starlark.HasAttrs   = (*Error)(nil)
	_ starlark.Comparable = (*Error)(nil)
)

func (e *Error) Type() string          { return "helper_error" }
func (e *Error) Freeze()               {}
func (e *Error) Truth() starlark.Bool  { return true }
func (e *Error) Hash() (uint32, error) { return starlark.String(e.Pos + e.Errno).Hash() }
func (e *Error) String() string {
	return fmt.Sprintf("<helper_error %s %s ×%d at %s: %s>", e.Helper, e.Errno, e.Count, e.Pos, e.Message)
}

func (e *Error) AttrNames() []string {
	return []string{"count", "message", "hint", "helper", "errno", "code", "probe", "pos", "source", "map", "first", "last"}
}

func (e *Error) Attr(name string) (starlark.Value, error) {
	switch name {
	case "code":
		return starlark.MakeInt(e.Code), nil
	case "count":
		return starlark.MakeUint64(e.Count), nil
	case "errno":
		return starlark.String(e.Errno), nil
	case "first":
		return starlark.MakeUint64(e.First), nil
	case "helper":
		return starlark.String(e.Helper), nil
	case "hint":
		return starlark.String(e.Hint), nil
	case "last":
		return starlark.MakeUint64(e.Last), nil
	case "map":
		if e.MapName == "" {
			return starlark.None, nil
		}
		return starlark.String(e.MapName), nil
	case "message":
		return starlark.String(e.Message), nil
	case "pos":
		return starlark.String(e.Pos), nil
	case "probe":
		return starlark.String(e.Probe), nil
	case "source":
		return starlark.String(e.Source), nil
	}
	return nil, nil
}

// CompareSameType orders errors by the time of their first occurrence, then by position and errno.
func (e *Error) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	o := y.(*Error)
	c := 0
	switch {
	case e.First < o.First:
		c = -1
	case e.First > o.First:
		c = 1
	default:
		c = strings.Compare(e.Probe+e.Pos+e.Errno+e.Helper, o.Probe+o.Pos+o.Errno+o.Helper)
		if c == 0 && e.Count != o.Count {
			c = 1
			if e.Count < o.Count {
				c = -1
			}
		}
	}
	switch op {
	case syntax.EQL:
		return c == 0, nil
	case syntax.NEQ:
		return c != 0, nil
	case syntax.LT:
		return c < 0, nil
	case syntax.LE:
		return c <= 0, nil
	case syntax.GT:
		return c > 0, nil
	}
	return c >= 0, nil
}

// ErrnoOf returns the full errno, and its name, for the low six bits of it that an error cell
// stores. Of the codes above 63 only ETIMEDOUT is recognized.
func ErrnoOf(low int) (code int, name string) {
	code = low
	if low == int(unix.ETIMEDOUT)&63 {
		code = int(unix.ETIMEDOUT)
	}
	if name = unix.ErrnoName(unix.Errno(code)); name == "" {
		name = fmt.Sprintf("errno %d", code)
	}
	return code, name
}

// NextSize returns the smallest power of two that is at least 2*n.
func NextSize(n int) int {
	s := 1
	for s <= n {
		s *= 2
	}
	if s < 2*n {
		s *= 2
	}
	return s
}

// Key identifies an error, whatever its count.
type Key struct {
	probe, pos, helper string
	code               int
}

// Key returns what identifies the error.
func (e *Error) Key() Key { return Key{e.Probe, e.Pos, e.Helper, e.Code} }
