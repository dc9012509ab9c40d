package types

import "maps"

// A Format describes how the host shows a value that the kernel holds as numbers: a row of the
// table of formats, by name, and the constants it needs. Two values of one format are equal if
// their numbers are.
type Format struct {
	Name    string           // name of the FormatRow: "ksym", "ip", "enum"
	Noun    string           // for messages: "kernel symbol"
	Arg     string           // a constant: the format of a time, the name of an enum
	Names   map[int64]string // names of the numbers, as for an enum
	Numeric bool             // still a number: it computes, compares and joins as one
	Empty   bool             // the value is false if its first word is 0 (empty); otherwise always true
}

// equal reports whether f and g are the same format.
func (f *Format) equal(g *Format) bool {
	return f == g || f != nil && g != nil && f.Name == g.Name && f.Arg == g.Arg && f.Numeric == g.Numeric && maps.Equal(f.Names, g.Names)
}

// TFormatted returns the type of values of type t, an int or a tuple of ints, that the host shows
// by f.
func TFormatted(t *Type, f *Format) *Type { return &Type{Kind: Formatted, Elem: t, Format: f} }

// TName is the name of a probe: a number that the host translates with a table.
var TName = TFormatted(TUint, &Format{Name: "probe", Noun: "probe name"})

// Types of names and symbols.
var (
	TErrno   = TFormatted(TInt, &Format{Name: "errno", Noun: "error name"})
	TSyscall = TFormatted(TInt, &Format{Name: "syscall", Noun: "system call name"})
	TCgroup  = TFormatted(TUint, &Format{Name: "cgroup", Noun: "cgroup path"})
	TMAC     = TFormatted(TUint, &Format{Name: "mac", Noun: "hardware address"})
	TKsym    = TFormatted(TUint, &Format{Name: "ksym", Noun: "kernel symbol"})
	// TUsym is an address and the ID of the process that it belongs to.
	TUsym = TFormatted(TTuple(TUint, TInt), &Format{Name: "usym", Noun: "user symbol"})
)

// TTime is the type of wall-clock times in nanoseconds, shown in a strftime format.
func TTime(format string) *Type {
	return TFormatted(TInt, &Format{Name: "time", Noun: "formatted time", Arg: format})
}

// TIP4, TIP6 and TIP are the types of IP addresses: version 4, version 6, and either. A TIP value
// holds the version, then the words of the address.
var (
	TIP4 = TFormatted(TUint, &Format{Name: "ip4", Noun: "IPv4 address"})
	TIP6 = TFormatted(TTuple(TUint, TUint), &Format{Name: "ip6", Noun: "IPv6 address"})
	TIP  = TFormatted(TTuple(TUint, TUint, TUint), &Format{Name: "ip", Noun: "IP address"})
)

// IsIP reports whether t is the type of IP addresses of any version.
func (t *Type) IsIP() bool { return t.Equal(TIP4) || t.Equal(TIP6) || t.Equal(TIP) }

// Underlying returns the type in which a value of type t is held, without its format.
func (t *Type) Underlying() *Type {
	if t.Kind == Formatted {
		return t.Elem
	}
	return t
}

// IsNumber reports whether t is a formatted value that computes as a number.
func (t *Type) IsNumber() bool { return t.Kind == Formatted && t.Format.Numeric && t.Elem.IsInt() }
