package types

import (
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/compiler/ctype"
)

// TPtr is a pointer to a value of a C type.
func TPtr(to *ctype.Type, space Space) *Type {
	return &Type{Kind: Ptr, C: to, Space: space, Text: ctype.PointerTo(to).String()}
}

// TMem is a value of a C type where it lies.
func TMem(c *ctype.Type, space Space) *Type { return &Type{Kind: Mem, C: c, Space: space} }

// qualifiers are the words of C that do not change which type is named.
var qualifiers = map[string]bool{"const": true, "volatile": true, "restrict": true, "__restrict": true, "__user": true, "__rcu": true, "__percpu": true, "__kernel": true}

// Unqualified returns a type's name without its qualifiers, "" if nothing else is in it.
func Unqualified(ctext string) string {
	words := strings.Fields(strings.ReplaceAll(ctext, "*", " * "))
	out := words[:0]
	for _, w := range words {
		if !qualifiers[w] {
			out = append(out, w)
		}
	}
	return strings.ReplaceAll(strings.Join(out, " "), "* *", "**")
}

// PointsTo takes a pointer's C type apart: what it points to, with the qualifiers of that, and whether that is marked __user.
// ok is false if it is no pointer type.
func PointsTo(ctext string) (to string, user, ok bool) {
	star := strings.LastIndexByte(ctext, '*')
	if star < 0 || Unqualified(ctext[star+1:]) != "" || Unqualified(ctext[:star]) == "" {
		return "", false, false
	}
	to = strings.TrimSpace(ctext[:star])
	of := to[strings.LastIndexByte(to, '*')+1:] // the words of this level: u64 __user *, but not u64 __user **
	return to, slices.Contains(strings.Fields(of), "__user"), true
}

// Pointee returns the name of what a pointer's C type points to: "struct sock" for "const struct sock *"; "" if it is no
// pointer type.
func Pointee(ctext string) string {
	to, _, ok := PointsTo(ctext)
	if !ok {
		return ""
	}
	return Unqualified(to)
}

func samePointee(t, u *Type) bool {
	if t.C != nil && u.C != nil {
		return ctype.Same(t.C, u.C)
	}
	return Pointee(t.Text) == Pointee(u.Text)
}
