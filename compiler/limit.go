package compiler

import (
	"errors"
	"fmt"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/codegen"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// Limits of the kernel or of this compiler on a program as a whole. Each limit has its own error
// type.

// maxMaps is the maximum number of maps in a program (kernel include/linux/bpf_verifier.h:
// MAX_USED_MAPS).
const maxMaps = 64

// A mapsError reports that a program uses too many maps, own of which belong to bpfrepl.
type mapsError struct{ maps, own int }

func (e *mapsError) Error() string { return fmt.Sprintf("the program would use %d maps", e.maps) }

// tooManyMaps returns a mapsError if the functions name more maps than a program can use.
func tooManyMaps(funcs []*ir.Func, script []tree.MapUse, streams []*tree.Stream) error {
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

// A sizeError reports that a program is too large.
type sizeError struct {
	err error           // wraps codegen.ErrTooLarge and states the size
	pos syntax.Position // the source of most of its values; invalid if that is no more than half
	n   int             // number of values from pos
}

func (e *sizeError) Error() string { return e.err.Error() }
func (e *sizeError) Unwrap() error { return e.err }

// tooManyValues returns a sizeError if the functions compute so many values that the passes cannot
// reduce them to a program of legal size. Checking before the passes saves their time.
func tooManyValues(funcs []*ir.Func) error {
	for _, f := range funcs {
		n := 0
		for _, b := range f.Blocks {
			n += len(b.Values)
		}
		if n > maxLowered {
			return sized(funcs, fmt.Errorf("%w: it computes %d values; the limit is %d", codegen.ErrTooLarge, n, codegen.MaxValues))
		}
	}
	return nil
}

// maxLowered leaves room for the values that the passes remove.
const maxLowered = 3 * codegen.MaxValues / 2

// sized returns err, which wraps codegen.ErrTooLarge, as a sizeError.
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

// limitError converts an error of the code generator to a diag.List for the author of the handler.
// An error that is not a limit is a bug in the compiler, and is returned as such.
func limitError(req *tree.Request, err error) error {
	d := &diag.Diagnostic{Pos: req.Handler.Pos, Line: req.Source(req.Handler.Pos)}
	var stack *codegen.StackError
	var scratch *lower.ScratchError
	var text *lower.TextError
	var maps *mapsError
	var size *sizeError
	var list diag.List
	switch {
	case errors.As(err, &list):
		return err
	case errors.Is(err, tree.ErrCanceled), errors.Is(err, codegen.ErrCanceled):
		return tree.ErrCanceled
	case errors.As(err, &text):
		d.Msg = "the handler compares and searches too much text for the verifier, which follows each step"
		d.Hint = "use shorter strings: str(ptr, 256); do less with them in loops; compute len(s) once, in a variable"
	case errors.As(err, &scratch):
		d.Msg = fmt.Sprintf("the strings of the handler need %d bytes; the limit for one run is %d", scratch.Need, lower.MaxScratch)
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
