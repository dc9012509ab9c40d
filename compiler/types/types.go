// Package types defines the types of values inside a handler, how they join where control flow
// meets, and how values are laid out in a map's key or value. It knows nothing of syntax or of the
// kernel.
//
//	types.go    types, their join and their layout
//	pointer.go  pointers and values of C types in memory
//	format.go   values that the host shows as text
//	formats.go  the table of formats: how each is shown and parsed
//	composed.go values that the host makes of several: texts, structs, one of two types
//	pieces.go   formats of texts, and whether a text determines its arguments
package types

import (
	"fmt"
	"maps"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// A Kind is the kind of a Type.
type Kind uint8

// The kinds. Those from Event on exist at compile time only: their values have no bytes.
const (
	Invalid Kind = iota
	None
	Bool
	Int       // 64 bits, signed
	Uint      // 64 bits, unsigned: only if the source is unsigned and 64 bits wide
	Str       // at most Cap-1 bytes, padded with NULs to Cap; does not end in a NUL
	Bytes     // exactly Len bytes, padded with NULs to Cap
	Tuple     // of Elems
	Opt       // Elem or None
	Formatted // Elem, which the host shows by Format: a symbol, an address, a name; see composed.go
	Ptr       // an address, in the memory given by Space
	Event     // the handler's parameter
	Args      // e.args
	Array     // an array inside e.args
	List      // a captured list
	Dict      // a captured dict
	Set       // a captured set
	Func      // a function
	Map       // an aggregation or a table
	Stream    // a stream
	Method    // a method of a map or string, not yet called
	Mem       // a C struct, union or array, in memory
	Opaque    // a captured value that cannot be used in a handler
)

// A Type is the type of a value. It is immutable; compare types with Equal.
type Type struct {
	Kind  Kind
	Cap   int     // Str, Bytes: size in memory, a multiple of 8; for Str including the NUL
	Len   int     // Bytes: length
	Most  int     // Str: if not 0, longer strings are cut to this many bytes when read
	NULs  bool    // Str: may contain NULs, so the first NUL need not be the end
	Elems []*Type // Tuple
	Elem  *Type   // Opt, Array, Formatted
	Space Space   // Ptr, Mem
	// NonNeg (Int): no value is negative, so all of them fit in Uint too.
	NonNeg bool
	// Wraps: NonNeg results from a computation or a condition. Such a sum is negative once it has
	// passed 2**63. Next to a Uint, the same 64 bits are interpreted as unsigned, which is correct
	// up to 2**64 and wraps there as all unsigned numbers do. A Uint computed from such a number
	// also has Wraps: next to numbers that may be negative it is signed, as is arithmetic with
	// them.
	Wraps bool
	// Addr (Int, Uint): the value is 64 bits wide in the source, or computed from such a value, so
	// it may hold an address.
	Addr   bool
	Text   string  // Opaque, Ptr: the name of the type
	Format *Format // Formatted

	C *ctype.Type // Ptr: the pointee, nil if only Text names it; Mem: the type in memory
}

// A Space is the memory that an address belongs to.
type Space uint8

// The address spaces.
const (
	Kernel   Space = iota
	User           // the memory of the running process
	AnySpace       // either: decided by the address at run time
)

// The types without parameters.
var (
	TInvalid = &Type{Kind: Invalid}
	TNone    = &Type{Kind: None}
	TBool    = &Type{Kind: Bool}
	TInt     = &Type{Kind: Int}
	TNat     = &Type{Kind: Int, NonNeg: true}
	TLong    = &Type{Kind: Int, Addr: true}
	TUint    = &Type{Kind: Uint, Addr: true}
	TID      = &Type{Kind: Uint} // 64 bits that are not an address
	TEvent   = &Type{Kind: Event}
	TArgs    = &Type{Kind: Args}
	TList    = &Type{Kind: List}
	TDict    = &Type{Kind: Dict}
	TSet     = &Type{Kind: Set}
	TFunc    = &Type{Kind: Func}
	TMap     = &Type{Kind: Map}
	TStream  = &Type{Kind: Stream}
	TMethod  = &Type{Kind: Method}
)

// TStr returns the type of strings of up to n bytes plus a NUL.
func TStr(n int) *Type { return &Type{Kind: Str, Cap: (n + 1 + 7) &^ 7} }

// TCut returns the type of a string that is read only up to n bytes.
func TCut(n int) *Type {
	t := TStr(n)
	t.Most = n
	return t
}

// TNULStr returns the type of strings of up to n bytes that may contain NULs.
func TNULStr(n int) *Type { return &Type{Kind: Str, Cap: (n + 1 + 7) &^ 7, NULs: true} }

// TBytes returns the type of n bytes.
func TBytes(n int) *Type { return &Type{Kind: Bytes, Cap: max((n+7)&^7, 8), Len: n} }

// TTuple returns the type of tuples of these elements.
func TTuple(elems ...*Type) *Type { return &Type{Kind: Tuple, Elems: elems} }

// TOpt returns the type of t or None. An optional of an optional is the same optional.
func TOpt(t *Type) *Type {
	if t.Kind == Opt || t.Kind == None {
		return t
	}
	return &Type{Kind: Opt, Elem: t}
}

// IsInt reports whether t is a 64-bit integer, signed or unsigned.
func (t *Type) IsInt() bool { return t.Kind == Int || t.Kind == Uint }

// IsScalar reports whether a value of the type is one 64-bit word.
func (t *Type) IsScalar() bool {
	switch t.Kind {
	case Bool, Int, Uint, Ptr:
		return true
	case Formatted:
		return t.Elem.IsScalar()
	}
	return false
}

// Known reports whether every part of the type has been inferred.
func (t *Type) Known() bool {
	for _, e := range t.Elems {
		if !e.Known() {
			return false
		}
	}
	return t.Kind != Invalid && (t.Elem == nil || t.Elem.Known())
}

// InMemory reports whether a value of the type is bytes in memory rather than a word.
func (t *Type) InMemory() bool { return t.Kind == Str || t.Kind == Bytes }

// Storable reports whether a value of the type has bytes, so that it can be a key or a value of a
// map.
func (t *Type) Storable() bool {
	switch t.Kind {
	case None, Str, Bytes:
		return true
	case Opt, Formatted:
		return t.Elem.Storable()
	case Tuple:
		for _, e := range t.Elems {
			// Invalid is still to be inferred.
			if !e.Storable() && e.Kind != Invalid {
				return false
			}
		}
		return true
	}
	return t.IsScalar()
}

// Size returns the number of bytes of a value in a key, a value or a record: a word (8 bytes) for a
// scalar, Cap for a string, one word of presence before the value of an optional, nothing for None.
func (t *Type) Size() int {
	switch t.Kind {
	case Str, Bytes:
		return t.Cap
	case Opt:
		return 8 + t.Elem.Size()
	case Formatted:
		return t.Elem.Size()
	case Tuple:
		n := 0
		for _, e := range t.Elems {
			n += e.Size()
		}
		return n
	}
	if t.IsScalar() {
		return 8
	}
	return 0
}

// Equal reports whether t and u are structurally equal.
func (t *Type) Equal(u *Type) bool {
	if t == u {
		return true
	}
	if t.Kind == Ptr && u.Kind == Ptr {
		return t.Space == u.Space && samePointee(t, u)
	}
	if t.Kind != u.Kind || t.Cap != u.Cap || t.Len != u.Len || t.Most != u.Most || t.NULs != u.NULs || t.Space != u.Space || t.NonNeg != u.NonNeg || t.Wraps != u.Wraps || t.Addr != u.Addr || len(t.Elems) != len(u.Elems) || t.Text != u.Text || !t.Format.equal(u.Format) {
		return false
	}
	if (t.Elem == nil) != (u.Elem == nil) || t.Elem != nil && !t.Elem.Equal(u.Elem) {
		return false
	}
	for i := range t.Elems {
		if !t.Elems[i].Equal(u.Elems[i]) {
			return false
		}
	}
	return true
}

// Join returns the type that holds all values of both a and b, or nil if there is none. Signed and
// unsigned join only if no signed value is negative, because 64 bits do not hold both ranges.
func Join(a, b *Type) *Type {
	switch {
	case a.Equal(b):
		return a
	case a.Kind == Invalid:
		return b
	case b.Kind == Invalid:
		return a
	case a.IsInt() && b.IsInt():
		return joinInts(a, b)
	case a.IsStruct() && b.IsStruct(), (a.IsText() || a.IsEither()) && b.canBeEither(), (b.IsText() || b.IsEither()) && a.canBeEither():
		return joinComposed(a, b)
	case a.Kind == Ptr && b.Kind == Ptr:
		return joinPtrs(a, b)
	case a.Kind == Ptr && b.IsInt() && (b.Kind == Uint || b.NonNeg), b.Kind == Ptr && a.IsInt() && (a.Kind == Uint || a.NonNeg):
		return TUint // the space is no longer known: the address decides
	case a.IsNumber() && (b.IsInt() || b.IsNumber()):
		return Join(a.Elem, b.Underlying())
	case b.IsNumber() && a.IsInt():
		return Join(a, b.Elem)
	case a.IsIP() && b.IsIP():
		return TIP
	case a.Kind == Str && b.Kind == Str:
		j := &Type{Kind: Str, Cap: max(a.Cap, b.Cap), NULs: a.NULs || b.NULs}
		if a.Most > 0 && b.Most > 0 {
			j.Most = max(a.Most, b.Most)
		}
		return j
	case a.Kind == None:
		return TOpt(b)
	case b.Kind == None:
		return TOpt(a)
	case a.Kind == Opt && b.Kind == Opt:
		return optOf(Join(a.Elem, b.Elem))
	case a.Kind == Opt:
		return optOf(Join(a.Elem, b))
	case b.Kind == Opt:
		return optOf(Join(a, b.Elem))
	case a.Kind == Tuple && b.Kind == Tuple && len(a.Elems) == len(b.Elems):
		elems := make([]*Type, len(a.Elems))
		for i := range elems {
			if elems[i] = Join(a.Elems[i], b.Elems[i]); elems[i] == nil {
				return nil
			}
		}
		return TTuple(elems...)
	}
	return nil
}

func joinInts(a, b *Type) *Type {
	switch {
	case a.Kind == b.Kind:
		j := &Type{Kind: a.Kind, NonNeg: a.NonNeg && b.NonNeg, Wraps: a.Wraps && b.Wraps, Addr: a.Addr && b.Addr}
		if a.Kind == Int {
			j.Wraps = j.NonNeg && (a.Wraps || b.Wraps)
		}
		return j
	case a.Kind == Uint && b.NonNeg:
		return a
	case b.Kind == Uint && a.NonNeg:
		return b
	case a.Kind == Uint && a.Wraps, b.Kind == Uint && b.Wraps:
		return &Type{Kind: Int, Addr: a.Addr && b.Addr}
	}
	return nil
}

func joinPtrs(a, b *Type) *Type {
	t := &Type{Kind: Ptr, Space: a.Space, Text: "void *"}
	if a.Space != b.Space {
		t.Space = AnySpace
	}
	if samePointee(a, b) {
		t.Text, t.C = a.Text, a.C
	}
	return t
}

func optOf(t *Type) *Type {
	if t == nil {
		return nil
	}
	return TOpt(t)
}

// Assignable reports whether a value of type t can be stored in place of a u: its strings are not
// wider, the shape is the same, integers have the same sign, and pointers mean the same.
func (t *Type) Assignable(u *Type) bool {
	j := Join(t, u)
	return j != nil && j.Size() == u.Size() && j.means(u)
}

// means reports whether a value stored as t, which is a join with u, is read correctly as u.
func (t *Type) means(u *Type) bool {
	switch {
	case t.Kind != u.Kind:
		return false
	case t.Kind == Ptr:
		return t.Equal(u)
	case t.Kind == Opt:
		return t.Elem.means(u.Elem)
	case t.IsComposed():
		return t.Format.equal(u.Format) && t.Elem.means(u.Elem)
	case t.Kind == Tuple:
		for i, e := range t.Elems {
			if !e.means(u.Elems[i]) {
				return false
			}
		}
	}
	return true
}

// Stored returns the type of values of type t that are read from a map: other programs may store
// negative numbers there.
func (t *Type) Stored() *Type {
	switch {
	case t.IsInt() && (t.NonNeg || t.Wraps):
		return &Type{Kind: t.Kind, Addr: t.Addr}
	case t.Kind == Opt:
		return TOpt(t.Elem.Stored())
	case t.IsComposed():
		return TFormatted(t.Elem.Stored(), t.Format)
	case t.Kind == Tuple:
		elems := make([]*Type, len(t.Elems))
		for i, e := range t.Elems {
			elems[i] = e.Stored()
		}
		return TTuple(elems...)
	}
	return t
}

// String returns the type's name as a Starlark user would write it.
func (t *Type) String() string {
	switch t.Kind {
	case Invalid:
		return "unknown"
	case None:
		return "None"
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Uint:
		return "int (unsigned)"
	case Str:
		return "string"
	case Bytes:
		return fmt.Sprintf("bytes (%d long)", t.Len)
	case Tuple:
		s := make([]string, len(t.Elems))
		for i, e := range t.Elems {
			s[i] = e.String()
		}
		return "tuple (" + strings.Join(s, ", ") + ")"
	case Opt:
		return t.Elem.String() + " or None"
	case Formatted:
		return t.Format.Noun
	case Ptr:
		return "pointer"
	case Event:
		return "event"
	case Args:
		return "arguments"
	case Array:
		return "array"
	case List:
		return "list"
	case Dict:
		return "dict"
	case Set:
		return "set"
	case Func:
		return "function"
	case Stream:
		return "stream"
	case Map:
		return "map"
	case Method:
		return "method"
	case Opaque:
		return t.Text
	case Mem:
		if t.C != nil {
			return t.C.String()
		}
		return "struct"
	}
	return fmt.Sprintf("kind %d", t.Kind)
}

// WithArticle returns the type's name in messages, with its article: "an int".
func (t *Type) WithArticle() string { return WithArticle(t.String()) }

// WithArticle returns a noun with its indefinite article, if it has one.
func WithArticle(noun string) string {
	switch {
	case noun == "arguments":
		return "e.args"
	case strings.HasPrefix(noun, "bytes"):
		return noun
	case noun != "" && strings.ContainsRune("aeioAEIO", rune(noun[0])), strings.HasPrefix(noun, "unsigned"):
		return "an " + noun
	}
	return "a " + noun
}

// Repr returns the exact form of the type, including capacities, for golden files and to
// distinguish layouts.
func (t *Type) Repr() string {
	switch t.Kind {
	case Str:
		return fmt.Sprintf("str[%d]", t.Cap)
	case Bytes:
		return fmt.Sprintf("bytes[%d]", t.Len)
	case Tuple:
		s := make([]string, len(t.Elems))
		for i, e := range t.Elems {
			s[i] = e.Repr()
		}
		return "(" + strings.Join(s, ", ") + ")"
	case Opt:
		return t.Elem.Repr() + "?"
	case Uint:
		return "u64"
	case Int:
		return "i64"
	case Formatted:
		if t.IsComposed() {
			return t.Format.Name + "[" + t.Format.Arg + "]" + t.Elem.Repr()
		}
		if t.Format.Arg != "" {
			return t.Format.Name + "[" + t.Format.Arg + "]"
		}
	}
	return t.String()
}

// Noun returns the kind's name in messages, without parameters.
func (k Kind) Noun() string {
	switch k {
	case Tuple:
		return "tuple"
	case Opt:
		return "optional"
	case Formatted:
		return "formatted value"
	case Bytes:
		return "bytes"
	}
	return (&Type{Kind: k}).String()
}

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

// Underlying returns the type in which a value of type t is held, without its format.
func (t *Type) Underlying() *Type {
	if t.Kind == Formatted {
		return t.Elem
	}
	return t
}

// IsNumber reports whether t is a formatted value that computes as a number.
func (t *Type) IsNumber() bool { return t.Kind == Formatted && t.Format.Numeric && t.Elem.IsInt() }

func samePointee(t, u *Type) bool {
	if t.C != nil && u.C != nil {
		return ctype.Same(t.C, u.C)
	}
	return Pointee(t.Text) == Pointee(u.Text)
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
