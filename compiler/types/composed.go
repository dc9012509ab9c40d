package types

import (
	"cmp"
	"slices"
	"strings"
)

// A composed value is a tuple in the kernel, of values of any types. The host makes one value of
// it: a text, formatted from the elements, one of several values, or a struct. The kernel never has
// that value, so a handler can only pass it on.

// Names of the formats of composed values.
const (
	Sprintf = "sprintf" // Arg is a C format; the elements are its arguments
	Percent = "percent" // Arg is a format of Starlark's operator %
	Joined  = "join"    // Arg stands between the elements that are not None; the last one is set if the array goes on
	either  = "either"  // the elements are optional, and one of them is not None
	record  = "struct"  // Arg has the names of the fields, separated by commas
)

// composedHints say what to write instead of a use that needs the value in the kernel.
var composedHints = map[string]string{
	Sprintf: "the host makes the text: use the values that it is made of",
	Percent: "the host makes the text: use the values that it is made of",
	Joined:  "the host makes the text: read an argument by its number, str(argv[1])",
	either:  "use the value itself, before if/else chooses one",
	record:  "use its fields: v.name",
}

// TText returns the type of texts that the host formats. form is Sprintf, Percent or Joined.
func TText(form, format string, parts []*Type) *Type {
	return TFormatted(TTuple(parts...), &Format{Name: form, Noun: "formatted text", Arg: format})
}

// TStruct returns the type of structs with these fields.
func TStruct(names []string, fields []*Type) *Type {
	return TFormatted(TTuple(fields...), &Format{Name: record, Noun: "struct (" + strings.Join(names, ", ") + ")", Arg: strings.Join(names, ",")})
}

// IsComposed reports whether t is the type of composed values.
func (t *Type) IsComposed() bool { return t.IsText() || t.IsEither() || t.IsStruct() }

// IsText reports whether t is the type of texts that the host formats.
func (t *Type) IsText() bool {
	return t.Kind == Formatted && (t.Format.Name == Sprintf || t.Format.Name == Percent || t.Format.Name == Joined)
}

// IsEither reports whether t is the type of values of several types.
func (t *Type) IsEither() bool { return t.Kind == Formatted && t.Format.Name == either }

// IsStruct reports whether t is the type of structs that a script sees.
func (t *Type) IsStruct() bool { return t.Kind == Formatted && t.Format.Name == record }

// Fields returns the names of the fields of a struct.
func (t *Type) Fields() []string {
	if t.Format.Arg == "" {
		return nil
	}
	return strings.Split(t.Format.Arg, ",")
}

// Either returns the type that holds all values of a and b: their join or, if they have none and
// the host can show one of the two as it shows the other, the type of values that are of either
// type. It returns nil if there is none.
func Either(a, b *Type) *Type {
	if j := Join(a, b); j != nil {
		return j
	}
	if a.Kind == Opt || b.Kind == Opt {
		return optOf(Either(withoutOpt(a), withoutOpt(b)))
	}
	if !a.isName() && !b.isName() || !a.canBeEither() || !b.canBeEither() {
		return nil
	}
	return eitherOf([]*Type{a, b})
}

// isName reports whether the host shows values of type t as strings.
func (t *Type) isName() bool { return t.Kind == Str || t.Kind == Formatted && !t.IsStruct() }

// canBeEither reports whether t can be one of several types of a value.
func (t *Type) canBeEither() bool { return t.isName() || t.IsInt() || t.Kind == Bool }

func withoutOpt(t *Type) *Type {
	if t.Kind == Opt {
		return t.Elem
	}
	return t
}

// Alternatives returns the types of which a value of type t has one.
func (t *Type) Alternatives() []*Type {
	if !t.IsEither() {
		return []*Type{t}
	}
	out := make([]*Type, len(t.Elem.Elems))
	for i, e := range t.Elem.Elems {
		out[i] = e.Elem
	}
	return out
}

// Alternative returns the index of the alternative of t that holds values of type u, or -1.
func (t *Type) Alternative(u *Type) int {
	return slices.IndexFunc(t.Alternatives(), func(a *Type) bool { return joinAlike(a, u) != nil })
}

// joinAlike returns the join of two types of which neither is that of several. It is nil for a text
// and values of any other type.
func joinAlike(a, b *Type) *Type {
	if !a.IsText() && !b.IsText() {
		return Join(a, b)
	}
	if a.Kind != Formatted || b.Kind != Formatted || !a.Format.equal(b.Format) {
		return nil
	}
	elems := Join(a.Elem, b.Elem)
	if elems == nil || len(a.Elem.Elems) != len(b.Elem.Elems) {
		return nil
	}
	return TFormatted(elems, a.Format)
}

// eitherOf joins those of the types that are alike, and returns the type of values of any of them.
// It returns nil if two kinds of numbers remain.
func eitherOf(all []*Type) *Type {
	var alts []*Type
	for _, t := range all {
		i := slices.IndexFunc(alts, func(a *Type) bool { return joinAlike(a, t) != nil })
		if i < 0 {
			alts = append(alts, t)
		} else {
			alts[i] = joinAlike(alts[i], t)
		}
	}
	if len(alts) == 1 {
		return alts[0]
	}
	// Two types with the same alternatives are equal.
	slices.SortStableFunc(alts, func(a, b *Type) int {
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), strings.Compare(a.Repr(), b.Repr()))
	})
	var nouns []string
	elems := make([]*Type, len(alts))
	numbers := 0
	for i, t := range alts {
		if t.IsInt() {
			numbers++
		}
		if !slices.Contains(nouns, t.String()) {
			nouns = append(nouns, t.String())
		}
		elems[i] = TOpt(t)
	}
	if numbers > 1 {
		return nil
	}
	return TFormatted(TTuple(elems...), &Format{Name: either, Noun: strings.Join(nouns, " or ")})
}

// joinComposed returns the join of two types of which at least one is composed.
func joinComposed(a, b *Type) *Type {
	if !a.IsStruct() {
		return eitherOf(append(slices.Clone(a.Alternatives()), b.Alternatives()...))
	}
	if a.Format.equal(b.Format) {
		if elems := Join(a.Elem, b.Elem); elems != nil {
			return TFormatted(elems, a.Format)
		}
	}
	return nil
}

// SameText reports whether two different kernel values of type t can look the same on the host.
func (t *Type) SameText() bool {
	switch {
	case t.Kind == Opt:
		return t.Elem.SameText()
	case t.Kind == Tuple, t.IsStruct():
		return slices.ContainsFunc(t.Underlying().Elems, (*Type).SameText)
	case t.IsText():
		return !t.uniqueText()
	case t.IsEither():
		texts := 0
		for _, a := range t.Alternatives() {
			if a.SameText() {
				return true
			}
			if !a.IsInt() && a.Kind != Bool {
				texts++
			}
		}
		return texts > 1
	case t.Kind == Formatted:
		row := t.Format.Row()
		return row.Parse == nil && !row.Session
	}
	return false
}
