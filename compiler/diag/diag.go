// Package diag defines the compiler's diagnostics: what is wrong with a handler, where, and what to
// write instead. The checker collects all of them; nothing in the compiler stops at the first.
package diag

import (
	"fmt"
	"sort"
	"strings"

	"go.starlark.net/syntax"
)

// A Severity is the severity of a diagnostic.
type Severity uint8

const (
	Error   Severity = iota // the handler cannot be compiled
	Warning                 // it can be compiled, but is most likely not what is meant
)

// String returns the name of the severity: "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// A Diagnostic is one error or warning about a handler.
type Diagnostic struct {
	Severity
	Pos  syntax.Position
	Msg  string // one line, without the position
	Hint string // what to write instead; may be empty
	Line string // the source line, without its newline; empty if the source is not known
	Also Place  // a second place, if Also.Pos is valid
}

// A Place is a second position that a diagnostic refers to, such as the first use of a map whose
// type does not fit a later one.
type Place struct {
	Pos   syntax.Position
	Label string // what is there, in one line
	Line  string // the source line, as in a Diagnostic
}

// Error returns "file:line:col: message", followed by the source line and a caret, the same for the
// second place, and the hint.
func (d *Diagnostic) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", d.Pos, d.Msg)
	b.WriteString(Caret(d.Line, int(d.Pos.Col)))
	if d.Also.Pos.IsValid() {
		fmt.Fprintf(&b, "\n    %s: %s", d.Also.Pos, d.Also.Label)
		b.WriteString(Caret(d.Also.Line, int(d.Also.Pos.Col)))
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "\n    hint: %s", d.Hint)
	}
	return b.String()
}

// Caret returns a source line with a caret below its 1-based column (in runes). Both lines start
// with a newline and four blanks. It returns "" for an empty line.
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

// A List holds all diagnostics of one handler. As an error it has at least one.
type List []*Diagnostic

// Error returns all diagnostics, one after the other.
func (l List) Error() string {
	s := make([]string, len(l))
	for i, d := range l {
		s[i] = d.Error()
	}
	return strings.Join(s, "\n")
}

// Sort sorts the list in source order, removes duplicates and returns it. Duplicates arise because
// a helper function that is called twice is checked twice.
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
