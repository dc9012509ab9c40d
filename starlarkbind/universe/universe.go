// Package universe makes Starlark's own builtins interruptible by Ctrl-C.
//
// The interpreter checks whether a thread is cancelled only between two of its instructions. A call
// of a builtin is one instruction, however long it takes: sum(range(10**9)), or sorted() of
// millions of elements. The builtins that iterate over a sequence are therefore wrapped here. They
// receive sequences whose iterators check for Ctrl-C from time to time and end early. Nobody sees
// the incomplete result, because the thread is cancelled by then. Ranges are the only sequences
// that take no memory and can therefore be of any length. They have such an iterator themselves,
// which also covers methods and operators: list.extend(), set.union(), +=.
package universe

import (
	"fmt"
	"maps"
	"slices"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// iterating are the builtins that iterate over an argument. collecting are those of them that keep
// each element.
var (
	Iterating  = []string{"all", "any", "dict", "enumerate", "list", "reversed", "set", "tuple"}
	Collecting = []string{"dict", "enumerate", "list", "reversed", "set", "tuple"}
)

// mostElements limits the number of elements that are collected. Starlark allocates memory for all
// elements of a range at once, and a Go process does not survive a failed allocation.
const mostElements = 1 << 28

// LongSequence is the length from which on a sequence is guarded.
const LongSequence = 10000

// Guards makes builtins that end when what a Runner runs is cancelled.
type Guards struct{ run *runner.Runner }

// New returns the guards for what run runs.
func New(run *runner.Runner) *Guards { return &Guards{run} }

// Builtins returns the functions that replace Starlark's own.
func (g *Guards) Builtins() starlark.StringDict {
	d := starlark.StringDict{"range": starlark.NewBuiltin("range", g.builtinRange), "sorted": starlark.NewBuiltin("sorted", g.builtinSorted), "zip": starlark.NewBuiltin("zip", g.builtinZip)}
	for _, name := range Iterating {
		d[name] = starlark.NewBuiltin(name, g.Call)
	}
	d["repr"] = starlark.NewBuiltin("repr", func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var x starlark.Value
		if err := starlark.UnpackPositionalArgs(b.Name(), args, kw, 1, &x); err != nil {
			return nil, err
		}
		text, err := g.Repr(x)
		return starlark.String(text), err
	})
	members := maps.Clone(json.Module.Members)
	for _, name := range []string{"encode", "encode_indent"} {
		encoder := members[name]
		members[name] = starlark.NewBuiltin("json."+name, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			return g.callGuarded(t, encoder, args, kw)
		})
	}
	d["json"] = &starlarkstruct.Module{Name: json.Module.Name, Members: members}
	return d
}

// Call calls Starlark's builtin of the same name with guarded sequences.
func (g *Guards) Call(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	return g.callGuarded(t, starlark.Universe[b.Name()], args, kw)
}

// callGuarded calls a builtin with guarded sequences.
func (g *Guards) callGuarded(t *starlark.Thread, fn starlark.Value, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	guarded := make(starlark.Tuple, len(args))
	for i, a := range args {
		guarded[i] = g.Guard(a)
		if n := starlark.Len(a); n > mostElements && slices.Contains(Collecting, fn.(*starlark.Builtin).Name()) {
			return nil, tooMany(fn.(*starlark.Builtin), n)
		}
	}
	v, err := fn.(*starlark.Builtin).CallInternal(t, guarded, kw)
	if err == nil && g.run.Cancelled() {
		return nil, runner.ErrInterrupted
	}
	return v, err
}

func tooMany(b *starlark.Builtin, n int) error {
	return fmt.Errorf("%s: %d elements are too many, at most %d fit", b.Name(), n, mostElements)
}

// builtinZip implements zip(*xs). Starlark's own allocates all rows first.
func (g *Guards) builtinZip(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if len(kw) > 0 {
		return nil, fmt.Errorf("%s does not accept keyword arguments", b.Name())
	}
	iters := make([]starlark.Iterator, len(args))
	for i, a := range args {
		it := starlark.Iterate(a)
		if it == nil {
			return nil, fmt.Errorf("%s: argument #%d is not iterable: %s", b.Name(), i+1, a.Type())
		}
		defer it.Done()
		iters[i] = it
	}
	var rows []starlark.Value
	for len(iters) > 0 {
		row := make(starlark.Tuple, len(iters))
		for i, it := range iters {
			if !it.Next(&row[i]) {
				return starlark.NewList(rows), nil
			}
		}
		if rows = append(rows, row); len(rows)%1024 == 0 && g.run.Cancelled() {
			return nil, runner.ErrInterrupted
		}
		if len(rows) > mostElements {
			return nil, tooMany(b, len(rows))
		}
	}
	return starlark.NewList(rows), nil
}

// Guard returns a long sequence with an iterator that checks for Ctrl-C. It returns other values
// unchanged.
func (g *Guards) Guard(v starlark.Value) starlark.Value {
	seq, ok := v.(starlark.Sequence)
	if !ok || seq.Len() < LongSequence {
		return v
	}
	if _, ok := v.(*guardedRange); ok {
		return v
	}
	if m, ok := v.(starlark.IterableMapping); ok {
		return guardedMapping{m, guardedSequence{seq, g.run}, g.run}
	}
	return guardedSequence{seq, g.run}
}

type guardedSequence struct {
	starlark.Sequence
	run *runner.Runner
}

// Iterate implements starlark.Iterable.
func (g guardedSequence) Iterate() starlark.Iterator {
	return &guardedIterator{Iterator: g.Sequence.Iterate(), run: g.run}
}

// A guardedMapping is a mapping with a guarded iterator over its keys. dict() uses its items.
type guardedMapping struct {
	starlark.IterableMapping
	keys guardedSequence
	run  *runner.Runner
}

// Iterate implements starlark.Iterable.
func (g guardedMapping) Iterate() starlark.Iterator { return g.keys.Iterate() }

// Len implements starlark.Sequence.
func (g guardedMapping) Len() int { return g.keys.Len() }

// A guardedIterator ends when the thread is cancelled.
type guardedIterator struct {
	starlark.Iterator
	run *runner.Runner
	n   int
}

// Next implements starlark.Iterator.
func (it *guardedIterator) Next(p *starlark.Value) bool {
	if it.n++; it.n%1024 == 0 && it.run.Cancelled() {
		return false
	}
	return it.Iterator.Next(p)
}

// A guardedRange is a range whose iterator checks for Ctrl-C.
type guardedRange struct {
	r   stockRange
	run *runner.Runner
}

// A stockRange is the value returned by Starlark's own range().
type stockRange interface {
	starlark.Sequence
	starlark.Sliceable
	starlark.Container
	starlark.Comparable
}

var _ stockRange = (*guardedRange)(nil)

func (g *Guards) builtinRange(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	v, err := starlark.Universe["range"].(*starlark.Builtin).CallInternal(t, args, kw)
	if err != nil {
		return nil, err
	}
	r, ok := v.(stockRange)
	if !ok {
		return nil, fmt.Errorf("range: got a %T, want a sequence", v)
	}
	return &guardedRange{r, g.run}, nil
}

func (r *guardedRange) String() string                     { return r.r.String() }
func (r *guardedRange) Type() string                       { return r.r.Type() }
func (r *guardedRange) Freeze()                            {} // immutable
func (r *guardedRange) Truth() starlark.Bool               { return r.r.Truth() }
func (r *guardedRange) Hash() (uint32, error)              { return r.r.Hash() }
func (r *guardedRange) Len() int                           { return r.r.Len() }
func (r *guardedRange) Index(i int) starlark.Value         { return r.r.Index(i) }
func (r *guardedRange) Has(v starlark.Value) (bool, error) { return r.r.Has(v) }
func (r *guardedRange) Slice(from, to, by int) starlark.Value {
	return &guardedRange{r.r.Slice(from, to, by).(stockRange), r.run}
}

// Iterate implements starlark.Iterable.
func (r *guardedRange) Iterate() starlark.Iterator {
	return &guardedIterator{Iterator: r.r.Iterate(), run: r.run}
}

// CompareSameType implements starlark.Comparable.
func (r *guardedRange) CompareSameType(op syntax.Token, y starlark.Value, depth int) (bool, error) {
	return r.r.CompareSameType(op, y.(*guardedRange).r, depth)
}

// builtinSorted implements sorted(x, key=None, reverse=False). Starlark's own cannot be interrupted
// while it sorts.
func (g *Guards) builtinSorted(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var xs starlark.Iterable
	var key starlark.Callable
	reverse := false
	if err := starlark.UnpackArgs(b.Name(), args, kw, "iterable", &xs, "key?", &key, "reverse?", &reverse); err != nil {
		return nil, err
	}
	if n := starlark.Len(xs); n > mostElements {
		return nil, tooMany(b, n)
	}
	var values []sortable
	iter := g.Guard(xs).(starlark.Iterable).Iterate()
	defer iter.Done()
	var x starlark.Value
	for iter.Next(&x) {
		values = append(values, sortable{x, x})
	}
	if key != nil {
		for i := range values {
			k, err := starlark.Call(t, key, starlark.Tuple{values[i].value}, nil)
			if err != nil {
				return nil, err
			}
			values[i].key = k
		}
	}
	if err := g.sort(values, reverse); err != nil {
		return nil, err
	}
	out := make([]starlark.Value, len(values))
	for i, v := range values {
		out[i] = v.value
	}
	return starlark.NewList(out), nil
}

type sortable struct{ key, value starlark.Value }

// sort sorts xs by key. It is a stable bottom-up merge sort that checks for Ctrl-C.
func (g *Guards) sort(xs []sortable, reverse bool) error {
	less := func(x, y sortable) (bool, error) {
		if reverse {
			x, y = y, x
		}
		return starlark.Compare(syntax.LT, x.key, y.key)
	}
	from, to, steps := xs, make([]sortable, len(xs)), 0
	for n := 1; n < len(xs); n *= 2 {
		for i := 0; i < len(xs); i += 2 * n {
			a, b := i, min(i+n, len(xs))
			endA, end := b, min(i+2*n, len(xs))
			for k := i; k < end; k++ {
				if steps++; steps%1024 == 0 && g.run.Cancelled() {
					return runner.ErrInterrupted
				}
				second := a == endA
				if !second && b < end {
					var err error
					if second, err = less(from[b], from[a]); err != nil {
						return err
					}
				}
				if second {
					to[k] = from[b]
					b++
				} else {
					to[k] = from[a]
					a++
				}
			}
		}
		from, to = to, from
	}
	copy(xs, from)
	return nil
}
