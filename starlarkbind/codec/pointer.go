package codec

import (
	"fmt"
	"hash/fnv"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// A Pointer is an address as print shows it. Scripts see addresses as ints.
type Pointer uint64

var _ starlark.Value = Pointer(0)

func (p Pointer) String() string       { return fmt.Sprintf("%#x", uint64(p)) }
func (p Pointer) Type() string         { return "pointer" }
func (p Pointer) Freeze()              {}
func (p Pointer) Truth() starlark.Bool { return p != 0 }
func (p Pointer) Hash() (uint32, error) {
	h := fnv.New32a()
	_, err := h.Write([]byte(p.String()))
	return h.Sum32(), err
}

// InHex returns the arguments of a print with pointers shown in hex. Pointer arguments of printf
// stay as they are, because the format has a conversion for them.
func InHex(site *compiler.PrintSite, args []starlark.Value) []starlark.Value {
	out := make([]starlark.Value, len(args))
	for i, a := range args {
		out[i] = a
		if i < len(site.Args) && (site.Kind == "print" || site.Args[i].Kind != types.Ptr) {
			out[i] = hexIn(site.Args[i], a)
		}
	}
	return out
}

func hexIn(t *types.Type, v starlark.Value) starlark.Value {
	switch v := v.(type) {
	case starlark.Int:
		if t.Kind == types.Opt {
			t = t.Elem
		}
		if n, ok := v.Uint64(); ok && t.Kind == types.Ptr {
			return Pointer(n)
		}
	case starlark.Tuple:
		if t.Kind == types.Opt {
			t = t.Elem
		}
		if t.Kind != types.Tuple || len(t.Elems) != len(v) {
			return v
		}
		return allInHex(t, v)
	case *structs.Struct:
		if t.Kind == types.Opt {
			t = t.Elem
		}
		if t.IsStruct() {
			return structs.Record(t.Fields(), allInHex(t.Elem, v.Values()))
		}
	}
	return v
}

func allInHex(t *types.Type, list []starlark.Value) starlark.Tuple {
	out := make(starlark.Tuple, len(list))
	for i, v := range list {
		out[i] = hexIn(t.Elems[i], v)
	}
	return out
}
