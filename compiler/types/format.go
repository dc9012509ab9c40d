package types

import "maps"

// A Format says how the host shows a value that the kernel holds as numbers: the name of a row of the host's table, and
// what is constant of it. Two values of one form are equal where their numbers are.
type Format struct {
	Name    string           // "ksym", "ip", "enum": the row
	Noun    string           // in messages: "kernel symbol"
	Arg     string           // constant: the format of a time, the name of an enum
	Names   map[int64]string // constant: the names of numbers, as of an enum
	Numeric bool             // it is a number still: it computes, compares and joins as one
	Empty   bool             // it can be empty, and so false: its first word is 0 then; all others are true
}

// equal compares all that makes a difference.
func (f *Format) equal(g *Format) bool {
	return f == g || f != nil && g != nil && f.Name == g.Name && f.Arg == g.Arg && f.Numeric == g.Numeric && maps.Equal(f.Names, g.Names)
}

// TFormatted is a value of type t, an int or a tuple of ints, that the host shows in a form.
func TFormatted(t *Type, f *Format) *Type { return &Type{Kind: Formatted, Elem: t, Format: f} }

// TName is the name of a probe, as a number that the host has a table for.
var TName = TFormatted(TUint, &Format{Name: "probe", Noun: "probe name"})

// The types of IP addresses: of version 4, of version 6, and of either. The third holds both of the others: the version, and
// the words.
var (
	TIP4 = TFormatted(TUint, &Format{Name: "ip4", Noun: "IPv4 address"})
	TIP6 = TFormatted(TTuple(TUint, TUint), &Format{Name: "ip6", Noun: "IPv6 address"})
	TIP  = TFormatted(TTuple(TUint, TUint, TUint), &Format{Name: "ip", Noun: "IP address"})
)

// IsIP reports whether t is the type of IP addresses of any version.
func (t *Type) IsIP() bool { return t.Equal(TIP4) || t.Equal(TIP6) || t.Equal(TIP) }

// Underlying is how a value of the type is held: what it is apart from how it is shown.
func (t *Type) Underlying() *Type {
	if t.Kind == Formatted {
		return t.Elem
	}
	return t
}

// IsNumber tells of a shown value that computes as a number.
func (t *Type) IsNumber() bool { return t.Kind == Formatted && t.Format.Numeric && t.Elem.IsInt() }
