// Package diag holds the compiler's diagnostics: what is wrong with a handler, where, and what to write
// instead. The checker collects all of them; nothing in the compiler stops at the first.
package diag

import (
	"fmt"
	"sort"
	"strings"

	"go.starlark.net/syntax"
)

// A Severity says how bad a diagnostic is.
type Severity uint8

const (
	Error   Severity = iota // the handler cannot be compiled
	Warning                 // it can, but is most likely not what is meant
)

// A Diagnostic is one fault of a handler.
type Diagnostic struct {
	Severity
	Pos  syntax.Position
	Msg  string // one line, without the position
	Hint string // what to write instead; may be empty
	Line string // the source line, without its newline; empty where the source is not known
}

// Error gives "file:line:col: message" with the source line, a caret and the hint below it.
func (d *Diagnostic) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", d.Pos, d.Msg)
	b.WriteString(Caret(d.Line, int(d.Pos.Col)))
	if d.Hint != "" {
		fmt.Fprintf(&b, "\n    hint: %s", d.Hint)
	}
	return b.String()
}

// Caret renders a source line with a caret below its 1-based column (in runes), each on a line of its own
// that starts with a newline and four blanks. It gives "" for an empty line.
func Caret(line string, col int) string {
	if strings.TrimSpace(line) == "" {
		return ""
	}
	pad := strings.Builder{}
	n := 1
	for _, r := range line {
		if n >= col {
			break
		}
		if r == '\t' {
			pad.WriteRune('\t')
		} else {
			pad.WriteRune(' ')
		}
		n++
	}
	return "\n    " + line + "\n    " + pad.String() + "^"
}

// A List is every fault of one handler, in source order. It is an error when it is not empty.
type List []*Diagnostic

// Error gives all diagnostics, one after the other.
func (l List) Error() string {
	s := make([]string, len(l))
	for i, d := range l {
		s[i] = d.Error()
	}
	return strings.Join(s, "\n")
}

// Sort puts the list in source order and drops repeats (a helper function that is called
// twice is checked twice).
func (l List) Sort() List {
	sort.SliceStable(l, func(i, j int) bool {
		a, b := l[i].Pos, l[j].Pos
		if a.Filename() != b.Filename() {
			return a.Filename() < b.Filename()
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	out := l[:0]
	for i, d := range l {
		if i > 0 && *l[i-1] == *d {
			continue
		}
		out = append(out, d)
	}
	return out
}
