// Package structs implements the struct of scripts. It is like starlarkstruct's, but fields keep
// the order in which they were given, because print, to_csv and to_json show them in that order.
package structs

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Field is one field of a struct.
type Field struct {
	Name  string
	Value starlark.Value
}

// A Struct is an immutable value with named fields. Two structs are equal if they have the same
// kind and equal fields, in any order.
type Struct struct {
	kind   string
	names  []string
	values []starlark.Value
	frozen bool
}

var (
	_ starlark.HasAttrs   = (*Struct)(nil)
	_ starlark.HasBinary  = (*Struct)(nil)
	_ starlark.Comparable = (*Struct)(nil)
)

// Default is the kind of the structs that struct() returns.
const Default = "struct"

// New returns a struct. kind is the word that its text begins with. The field names must differ.
func New(kind string, fields ...Field) *Struct {
	s := &Struct{kind: kind, names: make([]string, len(fields)), values: make([]starlark.Value, len(fields))}
	for i, f := range fields {
		s.names[i], s.values[i] = f.Name, f.Value
	}
	return s
}

// Record returns a struct of the default kind. It keeps both slices. Many structs may share names.
func Record(names []string, values []starlark.Value) *Struct {
	return &Struct{kind: Default, names: names, values: values}
}

// Make implements the builtin struct(**fields).
func Make(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("struct: fields have names, as in struct(x=1, y=2); got a positional argument")
	}
	fields := make([]Field, len(kwargs))
	for i, kw := range kwargs {
		fields[i] = Field{string(kw[0].(starlark.String)), kw[1]}
	}
	return New(Default, fields...), nil
}

// String returns the struct in Starlark syntax.
func (s *Struct) String() string {
	var b strings.Builder
	b.WriteString(s.kind + "(")
	for i, name := range s.names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + " = " + s.values[i].String())
	}
	return b.String() + ")"
}

func (s *Struct) Type() string         { return "struct" }
func (s *Struct) Truth() starlark.Bool { return true }

// Freeze implements starlark.Value.
func (s *Struct) Freeze() {
	if s.frozen {
		return
	}
	s.frozen = true
	for _, v := range s.values {
		v.Freeze()
	}
}

// Hash implements starlark.Value. Like equality, it does not depend on the order of the fields.
func (s *Struct) Hash() (uint32, error) {
	sum := uint32(8731)
	for i, name := range s.names {
		h, err := s.values[i].Hash()
		if err != nil {
			return 0, err
		}
		n, err := starlark.String(name).Hash()
		if err != nil {
			return 0, err
		}
		sum += (n*3 ^ h) * 16777619
	}
	return sum, nil
}

// Attr implements starlark.HasAttrs.
func (s *Struct) Attr(name string) (starlark.Value, error) {
	if i := slices.Index(s.names, name); i >= 0 {
		return s.values[i], nil
	}
	return nil, nil // Starlark then words the error, with "did you mean"
}

// Kind returns the word that the struct's text begins with.
func (s *Struct) Kind() string { return s.kind }

// AttrNames returns the field names in the order in which they were given.
func (s *Struct) AttrNames() []string { return slices.Clone(s.names) }

// Values returns the values of the fields in the order in which they were given.
func (s *Struct) Values() []starlark.Value { return slices.Clone(s.values) }

// Binary implements starlark.HasBinary. In x + y, fields of y replace those of x with the same
// name, and the others are appended.
func (s *Struct) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	o, ok := y.(*Struct)
	if !ok || op != syntax.PLUS {
		return nil, nil
	}
	if side == starlark.Right {
		s, o = o, s
	}
	if s.kind != o.kind {
		return nil, fmt.Errorf("cannot add structs of different kinds: %s + %s", s.kind, o.kind)
	}
	sum := &Struct{kind: s.kind, names: slices.Clone(s.names), values: slices.Clone(s.values)}
	for i, name := range o.names {
		if j := slices.Index(s.names, name); j >= 0 {
			sum.values[j] = o.values[i]
			continue
		}
		sum.names, sum.values = append(sum.names, name), append(sum.values, o.values[i])
	}
	return sum, nil
}

// CompareSameType implements starlark.Comparable, for == and != only.
func (s *Struct) CompareSameType(op syntax.Token, y starlark.Value, depth int) (bool, error) {
	if op != syntax.EQL && op != syntax.NEQ {
		return false, fmt.Errorf("structs have no order: compare a field")
	}
	eq, err := s.equal(y.(*Struct), depth)
	return eq == (op == syntax.EQL) && err == nil, err
}

func (s *Struct) equal(o *Struct, depth int) (bool, error) {
	if s.kind != o.kind || len(s.names) != len(o.names) {
		return false, nil
	}
	for i, name := range s.names {
		j := slices.Index(o.names, name)
		if j < 0 {
			return false, nil
		}
		if eq, err := starlark.EqualDepth(s.values[i], o.values[j], depth-1); !eq || err != nil {
			return false, err
		}
	}
	return true, nil
}
