package compiler

import (
	"errors"
	"fmt"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/codegen"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// What the kernel, or this compiler, bounds in a program as a whole. Each bound is an error of its own.

// A heapError reports that a run would need too much memory.
type heapError struct{ need int }

func (e *heapError) Error() string {
	return fmt.Sprintf("the heap of a run would have %d bytes", e.need)
}

// maxWalkedText bounds the instructions of loops over long strings that the verifier has to follow, of the million that it
// follows at all.
const maxWalkedText = 150_000

// maxTextJumps bounds the jumps on long strings, of the 8192 that it keeps in mind.
const maxTextJumps = 4096

// A textError reports a handler that works too much on long strings.
type textError struct{}

func (*textError) Error() string { return "too much work on long strings" }

// maxMaps bounds the maps of a program (kernel include/linux/bpf_verifier.h: MAX_USED_MAPS).
const maxMaps = 64

// A mapsError reports too many maps. own of them are not the script's.
type mapsError struct{ maps, own int }

func (e *mapsError) Error() string { return fmt.Sprintf("the program would use %d maps", e.maps) }

// tooManyMaps returns a mapsError where the functions name more maps than a program can use.
func tooManyMaps(funcs []*ir.Func, script []MapUse, streams []*Stream) error {
	named := map[string]bool{}
	for _, f := range funcs {
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Op == ir.OpMapPtr || v.Op == ir.OpMapValue {
					named[v.Sym] = true
				}
			}
		}
	}
	if len(named) <= maxMaps {
		return nil
	}
	theirs := 0
	for _, m := range script {
		if named[m.Map.Ref] {
			theirs++
		}
	}
	for _, s := range streams {
		if named[s.Ref] {
			theirs++
		}
	}
	return &mapsError{len(named), len(named) - theirs}
}

// A sizeError reports too large a program.
type sizeError struct {
	err error           // codegen.ErrTooLarge, with how large
	pos syntax.Position // of what most of it was made for; invalid where that is no more than half
	n   int             // how many values that makes
}

func (e *sizeError) Error() string { return e.err.Error() }
func (e *sizeError) Unwrap() error { return e.err }

// tooManyValues returns a sizeError where the functions compute so many values that no pass will make a program of them: they are rather
// refused before the passes than after.
func tooManyValues(funcs []*ir.Func) error {
	for _, f := range funcs {
		n := 0
		for _, b := range f.Blocks {
			n += len(b.Values)
		}
		if n > maxLowered {
			return sized(funcs, fmt.Errorf("%w: it computes %d values; %d are possible", codegen.ErrTooLarge, n, codegen.MaxValues))
		}
	}
	return nil
}

// maxLowered leaves room for what the passes take away.
const maxLowered = 3 * codegen.MaxValues / 2

// sized makes a sizeError of err, an ErrTooLarge.
func sized(funcs []*ir.Func, err error) error {
	at, total := map[syntax.Position]int{}, 0
	e := &sizeError{err: err}
	for _, f := range funcs {
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				total++
				at[v.Pos]++
				if at[v.Pos] > e.n {
					e.pos, e.n = v.Pos, at[v.Pos]
				}
			}
		}
	}
	if 2*e.n <= total {
		e.pos = syntax.Position{}
	}
	return e
}

// limitError words what the code generator refuses for the one who wrote the handler.
func limitError(req *Request, err error) error {
	d := &diag.Diagnostic{Pos: req.Handler.Pos, Line: req.Source(req.Handler.Pos)}
	var stack *codegen.StackError
	var heap *heapError
	var text *textError
	var maps *mapsError
	var size *sizeError
	var list diag.List
	switch {
	case errors.As(err, &list):
		return err
	case errors.Is(err, ErrCanceled), errors.Is(err, codegen.ErrCanceled):
		return ErrCanceled
	case errors.As(err, &text):
		d.Msg = "the handler compares and searches too much text for the verifier, which follows each step"
		d.Hint = "use shorter strings: str(ptr, 256); do less with them in loops; len(s) once, in a variable"
	case errors.As(err, &heap):
		d.Msg = fmt.Sprintf("the strings of the handler need %d bytes; at most %d are there for one run", heap.need, maxHeap)
		d.Hint = "use shorter strings: str(ptr, 256) reads at most 255 bytes"
	case errors.As(err, &maps):
		d.Msg = fmt.Sprintf("the handler uses %d maps; a program can use %d, %d of which bpfrepl needs here", maps.maps-maps.own, maxMaps, maps.own)
		d.Hint = "use one map with a tuple as its key, or several probes"
	case errors.As(err, &stack):
		d.Msg = fmt.Sprintf("the handler needs %d bytes of stack; eBPF has %d", stack.Need, codegen.StackLimit)
		d.Hint = "use fewer variables at a time, or split the handler"
	case errors.As(err, &size) && size.pos.IsValid():
		d.Pos, d.Line = size.pos, req.Source(size.pos)
		d.Msg = err.Error()
		d.Hint = fmt.Sprintf("this alone computes %d of the values: use shorter strings, str(ptr, 64), or fewer of them", size.n)
	case errors.Is(err, codegen.ErrTooLarge):
		d.Msg = err.Error()
		d.Hint = "make loops over captured lists shorter, or split the handler"
	default:
		return fmt.Errorf("bug in the compiler: %w", err)
	}
	return diag.List{d}
}
