package types

import (
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// TPtr returns the type of pointers to a value of a C type.
func TPtr(to *ctype.Type, space Space) *Type {
	return &Type{Kind: Ptr, C: to, Space: space, Text: ctype.PointerTo(to).String()}
}

// TMem returns the type of a value of a C type in memory.
func TMem(c *ctype.Type, space Space) *Type { return &Type{Kind: Mem, C: c, Space: space} }

// qualifiers are the words of a C type that do not change which type it names.
var qualifiers = map[string]bool{"const": true, "volatile": true, "restrict": true, "__restrict": true, "__user": true, "__rcu": true, "__percpu": true, "__kernel": true}

// Unqualified returns a type's name without qualifiers, or "" if nothing else is in it.
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

// PointsTo splits the C type of a pointer. It returns the pointee with its qualifiers, and whether
// the pointee is marked __user. ok is false if ctext is not a pointer type.
func PointsTo(ctext string) (to string, user, ok bool) {
	star := strings.LastIndexByte(ctext, '*')
	if star < 0 || Unqualified(ctext[star+1:]) != "" || Unqualified(ctext[:star]) == "" {
		return "", false, false
	}
	to = strings.TrimSpace(ctext[:star])
	// the qualifiers of this level: u64 __user *, but not u64 __user **
	of := to[strings.LastIndexByte(to, '*')+1:]
	return to, slices.Contains(strings.Fields(of), "__user"), true
}

// Pointee returns the name of the type that the C type of a pointer points to: "struct sock" for
// "const struct sock *". It returns "" if ctext is not a pointer type.
func Pointee(ctext string) string {
	to, _, ok := PointsTo(ctext)
	if !ok {
		return ""
	}
	return Unqualified(to)
}
