// Package codec converts values between their representation in the kernel and Starlark: keys and
// values of maps, and the arguments of prints. Most formats are in the table of package types; the
// ones that need a session's state are here: symbols, stacks, cgroups and the names of probes.
//
//	codec.go        values and types to Starlark values, and back
//	formats.go      formats that need the session
//	formatted.go    from a formatted text back to the value
//	composed.go     values that are made of several: texts, structs, one of two types
//	print_text.go   records of print() as text, without Starlark values
//	probe_names.go  numbers of probes
//	pointer.go      addresses in prints
//	symbols.go      names of addresses
//	mappings.go     mappings of processes that may end
//	stack.go        stacks as Starlark values
//	stack_maps.go   maps of stacks, by number of frames
package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// A Codec converts values between their representation in the kernel and Starlark.
type Codec struct {
	ids       *ProbeNames
	symbols   *Symbols
	stacks    *StackMaps
	report    func(error) // called once for each error that no value can express
	Formatted FormattedTexts
}

// New returns a codec. report is called for errors that no value can express.
func New(ids *ProbeNames, symbols *Symbols, stacks *StackMaps, report func(error)) *Codec {
	return &Codec{ids: ids, symbols: symbols, stacks: stacks, report: report}
}

// Decode converts a value from its representation in a map or record, whose layout types.Type.Size
// describes. Integers are in native byte order.
func (c *Codec) Decode(t *types.Type, b []byte) starlark.Value {
	switch t.Kind {
	case types.Bool:
		return starlark.Bool(binary.NativeEndian.Uint64(b) != 0)
	case types.Int:
		return starlark.MakeInt64(int64(binary.NativeEndian.Uint64(b)))
	case types.Uint, types.Ptr:
		return starlark.MakeUint64(binary.NativeEndian.Uint64(b))
	case types.Formatted:
		if t.IsComposed() {
			return c.compose(t, b)
		}
		var w types.Words
		for i := range t.Elem.Size() / 8 {
			w[i] = binary.NativeEndian.Uint64(b[8*i:])
		}
		return c.Format(t.Format, w)
	case types.Str:
		b = b[:t.Cap]
		if !t.NULs { // the bytes after the NUL are undefined in a record
			b, _, _ = bytes.Cut(b, []byte{0})
		}
		return starlark.String(bytes.TrimRight(b, "\x00"))
	case types.Bytes:
		return starlark.Bytes(b[:t.Len])
	case types.Opt:
		if binary.NativeEndian.Uint64(b) == 0 {
			return starlark.None
		}
		return c.Decode(t.Elem, b[8:])
	case types.Tuple:
		out := make(starlark.Tuple, len(t.Elems))
		for i, e := range t.Elems {
			out[i] = c.Decode(e, b)
			b = b[e.Size():]
		}
		return out
	}
	return starlark.None
}

// DecodeArgs decodes the arguments of a print.
func (c *Codec) DecodeArgs(site *compiler.PrintSite, b []byte) ([]starlark.Value, error) {
	args := make([]starlark.Value, len(site.Args))
	for i, t := range site.Args {
		if len(b) < t.Size() {
			return nil, fmt.Errorf("%s: a record is too short", site.Pos)
		}
		args[i] = c.Decode(t, b)
		b = b[t.Size():]
	}
	return args, nil
}

// Encode writes a value to b in the representation of type t. The error says why the value does not
// fit the type.
func (c *Codec) Encode(t *types.Type, v starlark.Value, b []byte) error {
	wrong := func() error { return fmt.Errorf("got %s, want %s", v.Type(), t) }
	switch t.Kind {
	case types.None:
		if v != starlark.None {
			return wrong()
		}
	case types.Bool:
		x, ok := v.(starlark.Bool)
		if !ok {
			return wrong()
		}
		if x {
			binary.NativeEndian.PutUint64(b, 1)
		} else {
			binary.NativeEndian.PutUint64(b, 0)
		}
	case types.Int, types.Uint, types.Ptr:
		x, ok := v.(starlark.Int)
		if !ok {
			return wrong()
		}
		n, signed := x.Int64()
		u, unsigned := x.Uint64()
		switch {
		case t.Kind == types.Int && signed:
			u = uint64(n)
		case t.Kind != types.Int && unsigned:
		case !signed && !unsigned:
			return fmt.Errorf("%s does not fit in 64 bits", x)
		default:
			return fmt.Errorf("%s does not fit: the values have type %s", x, t)
		}
		binary.NativeEndian.PutUint64(b, u)
	case types.Formatted:
		if t.IsComposed() {
			return c.takeApart(t, v, b)
		}
		if _, ok := v.(starlark.Int); ok && t.Format.Numeric {
			return c.Encode(t.Elem, v, b)
		}
		w, err := c.parse(t.Format, v)
		if err != nil {
			return err
		}
		for i := range t.Elem.Size() / 8 {
			binary.NativeEndian.PutUint64(b[8*i:], w[i])
		}
	case types.Str:
		x, ok := v.(starlark.String)
		if !ok {
			return wrong()
		}
		if len(x) >= t.Cap {
			return fmt.Errorf("the string has %d bytes; at most %d fit", len(x), t.Cap-1)
		}
		if strings.HasSuffix(string(x), "\x00") {
			return fmt.Errorf("a string shared with a handler cannot end in NUL: %s (use bytes)", x)
		}
		clear(b[:t.Cap])
		copy(b, x)
	case types.Bytes:
		x, ok := v.(starlark.Bytes)
		if !ok {
			return wrong()
		}
		if len(x) != t.Len {
			return fmt.Errorf("got %d bytes, want %d", len(x), t.Len)
		}
		clear(b[:t.Cap])
		copy(b, x)
	case types.Opt:
		clear(b[:t.Size()])
		if v == starlark.None {
			return nil
		}
		binary.NativeEndian.PutUint64(b, 1)
		return c.Encode(t.Elem, v, b[8:])
	case types.Tuple:
		x, ok := v.(starlark.Tuple)
		if !ok || len(x) != len(t.Elems) {
			return wrong()
		}
		for i, e := range t.Elems {
			if err := c.Encode(e, x[i], b); err != nil {
				return err
			}
			b = b[e.Size():]
		}
	default:
		return wrong()
	}
	return nil
}

var lengthOf = lazyregexp.Regexp(`^(str|bytes)\[(\d+)\]$`)

// namedTypes maps names to types for table(key=, value=).
var namedTypes = map[string]*types.Type{"int": types.TInt, "u64": types.TUint, "bool": types.TBool, "str": types.TNULStr(255)}

// DeclaredType parses a type that a script declares for a key or a value. It returns nil if v is
// nil or None. what names the argument in errors.
func DeclaredType(what string, v starlark.Value) (*types.Type, error) {
	text := ""
	switch v := v.(type) {
	case nil, starlark.NoneType:
		return nil, nil
	case *starlark.Builtin:
		text = v.Name()
	case starlark.String:
		text = string(v)
	case starlark.Tuple:
		t := &types.Type{Kind: types.Tuple}
		for _, x := range v {
			e, err := DeclaredType(what, x)
			if err != nil {
				return nil, err
			}
			if e == nil {
				e = types.TNone
			}
			t.Elems = append(t.Elems, e)
		}
		return t, nil
	}
	elem, optional := strings.CutSuffix(text, "?")
	t := namedTypes[elem]
	if m := lengthOf().FindStringSubmatch(elem); m != nil {
		n, err := strconv.Atoi(m[2])
		least := 1
		if m[1] == "str" {
			least = 2 // the last byte is a NUL
		}
		if err != nil || n < least || n > compiler.MaxStr {
			return nil, fmt.Errorf("%s: the length of %s must be from %d to %d", what, m[1], least, compiler.MaxStr)
		}
		if t = types.TBytes(n); m[1] == "str" {
			t = types.TNULStr(n - 1)
		}
	}
	if t == nil {
		t = compiler.FormattedType(elem)
	}
	ofValue := strings.HasSuffix(what, "value")
	if t == nil && strings.HasSuffix(elem, "*") && ofValue {
		t = &types.Type{Kind: types.Ptr, Text: elem}
	}
	if t == nil {
		pointer := ""
		if ofValue {
			pointer = `a pointer such as "struct sock *", `
		}
		return nil, fmt.Errorf("%s: %s is not a type for a map: write int, bool, str, \"u64\", \"str[64]\", \"bytes[16]\", \"kstack\", \"ustack\", \"ksym\", \"usym\", \"ip\", "+
			"\"mac\", \"cgroup\", \"errno\", \"syscall\", %sor a tuple of types; a ? at the end (\"u64?\") allows None", what, v, pointer)
	}
	if optional {
		t = types.TOpt(t)
	}
	return t, nil
}

// TypeOf returns the type of a table for a value that the script stores before any handler has done
// so.
func TypeOf(v starlark.Value) (*types.Type, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return types.TNone, nil
	case starlark.Bool:
		return types.TBool, nil
	case starlark.Int:
		if _, ok := v.Int64(); ok {
			return types.TInt, nil
		}
		if _, ok := v.Uint64(); ok {
			return types.TUint, nil
		}
		return nil, fmt.Errorf("%s does not fit in 64 bits", v)
	case starlark.String:
		return types.TNULStr(max(len(v), 15)), nil
	case starlark.Bytes:
		return types.TBytes(len(v)), nil
	case starlark.Tuple:
		t := &types.Type{Kind: types.Tuple}
		for _, e := range v {
			et, err := TypeOf(e)
			if err != nil {
				return nil, err
			}
			t.Elems = append(t.Elems, et)
		}
		return t, nil
	case *structs.Struct:
		names := v.AttrNames()
		fields := make([]*types.Type, len(names))
		for i, name := range names {
			x, err := v.Attr(name)
			if err != nil {
				return nil, err
			}
			if fields[i], err = TypeOf(x); err != nil {
				return nil, err
			}
		}
		return types.TStruct(names, fields), nil
	}
	return nil, fmt.Errorf("a %s cannot be held in a table: only ints, strings, bytes, bools, None, and tuples and structs of these", v.Type())
}
