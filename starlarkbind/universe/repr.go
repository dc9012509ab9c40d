package universe

import (
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// A repr formats values as Starlark's str() and repr() do, and checks for Ctrl-C as it goes.
type repr struct {
	run *runner.Runner
	b   strings.Builder
	// path holds the lists and dicts that are being written. One that contains itself is not
	// written again.
	path []starlark.Value
	n    int
}

// Repr returns a value as Starlark formats it. The error, if any, is ErrInterrupted.
func (g *Guards) Repr(v starlark.Value) (string, error) {
	if seq, ok := v.(starlark.Sequence); !ok || seq.Len() < LongSequence {
		return v.String(), nil
	}
	r := repr{run: g.run}
	err := r.value(v)
	return r.b.String(), err
}

func (r *repr) value(v starlark.Value) error {
	if r.n++; r.n%1024 == 0 && r.run.Cancelled() {
		return runner.ErrInterrupted
	}
	switch v := v.(type) {
	case *starlark.List:
		return r.within(v, "[", "]", v.Len(), func(i int) error { return r.value(v.Index(i)) })
	case starlark.Tuple:
		closing := ")"
		if len(v) == 1 {
			closing = ",)"
		}
		return r.elements("(", closing, len(v), func(i int) error { return r.value(v[i]) })
	case *starlark.Dict:
		iter := v.Iterate()
		defer iter.Done()
		var key starlark.Value
		return r.within(v, "{", "}", v.Len(), func(int) error {
			iter.Next(&key)
			if err := r.value(key); err != nil {
				return err
			}
			r.b.WriteString(": ")
			value, _, err := v.Get(key)
			if err != nil {
				return err
			}
			return r.value(value)
		})
	}
	if set, ok := v.(*starlark.Set); ok {
		iter := set.Iterate()
		defer iter.Done()
		var x starlark.Value
		return r.elements("set([", "])", set.Len(), func(int) error { iter.Next(&x); return r.value(x) })
	}
	r.b.WriteString(v.String())
	return nil
}

// within writes a value that can contain itself.
func (r *repr) within(v starlark.Value, opening, closing string, n int, elem func(i int) error) error {
	for _, x := range r.path {
		if x == v {
			r.b.WriteString(opening + "..." + closing)
			return nil
		}
	}
	r.path = append(r.path, v)
	defer func() { r.path = r.path[:len(r.path)-1] }()
	return r.elements(opening, closing, n, elem)
}

func (r *repr) elements(opening, closing string, n int, elem func(i int) error) error {
	r.b.WriteString(opening)
	for i := range n {
		if i > 0 {
			r.b.WriteString(", ")
		}
		if err := elem(i); err != nil {
			return err
		}
	}
	r.b.WriteString(closing)
	return nil
}
