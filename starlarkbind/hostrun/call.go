package hostrun

import (
	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// callBuiltins returns the names that the test at the beginning of a handler uses.
func (h *Handlers) callBuiltins() starlark.StringDict {
	result := func(t *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		v := t.Local(source.ResultName).(starlark.Value)
		t.SetLocal(source.ResultName, nil)
		return v, nil
	}
	handled := func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		fn, ok := t.DebugFrame(1).Callable().(*starlark.Function)
		if !ok {
			return starlark.False, nil
		}
		c := h.copyOf(fn, args[0].(*event))
		if c == nil {
			return starlark.False, nil
		}
		v, err := c.call(t, args)
		t.SetLocal(source.ResultName, v)
		return starlark.True, err
	}
	return starlark.StringDict{source.EventName: anyEvent, source.HandledName: starlark.NewBuiltin(source.HandledName, handled), source.ResultName: starlark.NewBuiltin(source.ResultName, result)}
}

// WithoutOriginals removes the frames of a handler's original from a call stack. The frames of its
// copy remain.
func WithoutOriginals(frames starlark.CallStack) starlark.CallStack {
	var out starlark.CallStack
	for _, f := range frames {
		switch {
		case f.Name == source.HandledName && len(out) > 0:
			out = out[:len(out)-1]
		default:
			out = append(out, f)
		}
	}
	return out
}

// maxCopies limits the number of handler copies that are kept.
const maxCopies = 64

// copyOf returns the copy of a function for an event. It returns nil if the function contains
// something that the compiler rejects anyway.
func (h *Handlers) copyOf(fn *starlark.Function, e *event) *funcCopy {
	req, types := h.env.ProbeRequest(fn), ""
	if req == nil {
		types = e.types()
	}
	c := h.copies[fn]
	if c == nil || c.request != req || c.types != types || !c.valid() {
		c = h.copyFunc(fn, req, e)
		c.request, c.types = req, types
		if h.copies == nil || len(h.copies) >= maxCopies {
			h.copies = map[*starlark.Function]*funcCopy{}
		}
		h.copies[fn] = c
	}
	if c.prog == nil {
		return nil
	}
	return c
}
