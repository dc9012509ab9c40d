package types

import (
	"strings"

	"github.com/bpfrepl/bpfrepl/compiler/ctype"
)

// TPtr is a pointer to a value of a C type, in the memory of the kernel or of a process.
func TPtr(to *ctype.Type, user bool) *Type {
	return &Type{Kind: Ptr, C: to, User: user, Text: ctype.PointerTo(to).String()}
}

// TMem is a value of a C type where it lies.
func TMem(c *ctype.Type, user bool) *Type { return &Type{Kind: Mem, C: c, User: user} }

// Pointee gives the name of what a pointer's C type points to: "struct sock" for "const struct sock *"; "" where it is no
// pointer type.
func Pointee(ctext string) string {
	words := strings.Fields(strings.ReplaceAll(ctext, "*", " * "))
	out := words[:0]
	for _, w := range words {
		switch w {
		case "const", "volatile", "restrict", "__restrict", "__user", "__rcu", "__percpu":
		default:
			out = append(out, w)
		}
	}
	if len(out) == 0 || out[len(out)-1] != "*" {
		return ""
	}
	return strings.ReplaceAll(strings.Join(out[:len(out)-1], " "), "* *", "**")
}

func samePointee(t, u *Type) bool {
	if t.C != nil && u.C != nil {
		return ctype.Same(t.C, u.C)
	}
	return Pointee(t.Text) == Pointee(u.Text)
}
