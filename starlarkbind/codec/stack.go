package codec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
)

// A Stack is a kernel or user stack. To a script it is a sequence of strings, innermost frame
// first. Two stacks are equal if their frames are equal and, for user stacks, their processes.
type Stack struct {
	C      *Codec
	User   bool
	PID    int
	id     int64 // the kernel's ID: see compiler/lower/stackstore.go
	Frames []uint64
	Lost   string // reason why there are no frames, or ""
}

var (
	_ starlark.Indexable  = (*Stack)(nil)
	_ starlark.Sequence   = (*Stack)(nil)
	_ starlark.HasAttrs   = (*Stack)(nil)
	_ starlark.Comparable = (*Stack)(nil)
)

func (k *Stack) Type() string         { return "stack" }
func (k *Stack) Freeze()              {}
func (k *Stack) Truth() starlark.Bool { return k.id != 0 || len(k.Frames) > 0 }

// String returns one line per frame.
func (k *Stack) String() string { return strings.Join(k.FrameLines(), "\n") }

// Lines returns the lines to show for the stack: one per frame, or a single line if there are none.
func (k *Stack) Lines() []string {
	if lines := k.FrameLines(); len(lines) > 0 {
		return lines
	}
	return []string{"[no frames]"}
}

// FrameLines returns one line per frame, or the reason why there are no frames.
func (k *Stack) FrameLines() []string {
	if k.Lost != "" {
		return []string{k.Lost}
	}
	out := make([]string, len(k.Frames))
	for i, a := range k.Frames {
		out[i] = k.C.symbols.name(k.User, k.PID, a)
	}
	return out
}

// Hash implements starlark.Value.
func (k *Stack) Hash() (uint32, error) { return starlark.String(k.key()).Hash() }

// key returns a string that identifies the stack. Equal stacks have equal keys.
func (k *Stack) key() string {
	if k.Lost != "" {
		return k.Lost
	}
	return fmt.Sprint(k.User, k.PID, k.Frames)
}

// CompareSameType implements starlark.Comparable.
func (k *Stack) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	o := y.(*Stack)
	switch op {
	case syntax.EQL:
		return k.key() == o.key(), nil
	case syntax.NEQ:
		return k.key() != o.key(), nil
	}
	c := slices.Compare(k.Frames, o.Frames)
	if c == 0 {
		c = strings.Compare(k.key(), o.key())
	}
	switch op {
	case syntax.LT:
		return c < 0, nil
	case syntax.LE:
		return c <= 0, nil
	case syntax.GT:
		return c > 0, nil
	}
	return c >= 0, nil
}

// Len implements starlark.Sequence.
func (k *Stack) Len() int { return len(k.FrameLines()) }

// Index implements starlark.Indexable.
func (k *Stack) Index(i int) starlark.Value { return starlark.String(k.FrameLines()[i]) }

// Iterate implements starlark.Iterable.
func (k *Stack) Iterate() starlark.Iterator { return k.list().Iterate() }

func (k *Stack) list() *starlark.List {
	var out []starlark.Value
	for _, l := range k.FrameLines() {
		out = append(out, starlark.String(l))
	}
	return starlark.NewList(out)
}

// Attr implements starlark.HasAttrs.
func (k *Stack) Attr(name string) (starlark.Value, error) {
	switch name {
	case "frames":
		return k.list(), nil
	case "addresses":
		var out []starlark.Value
		for _, a := range k.Frames {
			out = append(out, starlark.MakeUint64(a))
		}
		return starlark.NewList(out), nil
	case "pid":
		if !k.User {
			return starlark.None, nil
		}
		return starlark.MakeInt(k.PID), nil
	}
	return nil, nil
}

// AttrNames implements starlark.HasAttrs.
func (k *Stack) AttrNames() []string { return []string{"addresses", "frames", "pid"} }

// stackFormat returns the format of kstack or ustack values: the stack's ID and, for a user stack,
// the process ID.
func stackFormat(user bool) sessionFormat {
	return sessionFormat{
		show: func(c *Codec, f *types.Format, w types.Words) starlark.Value {
			k := &Stack{C: c, User: user, id: int64(w[0]), PID: int(w[1])}
			k.read(f)
			return k
		},
		read: func(c *Codec, v starlark.Value) (types.Words, bool) {
			k, ok := v.(*Stack)
			if !ok || k.User != user || k.id == 0 && len(k.Frames) > 0 {
				return types.Words{}, false // the kernel does not know stacks that the script made
			}
			return types.Words{uint64(k.id), uint64(k.PID)}, true
		},
	}
}

// read reads the frames from the stack map.
func (k *Stack) read(f *types.Format) {
	if k.id <= 0 {
		if k.id < 0 {
			k.Lost = "[stack not kept: " + kernelnames.Errno(-k.id) + "]"
		}
		return
	}
	n, err := strconv.Atoi(f.Arg)
	if err == nil {
		var m *StackStore
		if m, err = k.C.stacks.Get(n); err == nil {
			k.Frames, err = m.Frames(uint64(k.id))
		}
	}
	if err != nil {
		k.Lost = fmt.Sprintf("[stack %d: %v]", k.id, err)
		return
	}
	if !k.User {
		k.Frames = k.Frames[k.C.symbols.ownFrames(k.Frames):]
	}
}
