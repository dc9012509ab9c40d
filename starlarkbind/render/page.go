package render

import (
	"fmt"
	"unicode/utf8"

	"github.com/bpfrepl/bpfrepl/internal/plural"
)

// A Page is the area that a value is shown on. A value that does not fit is cut, with a note of how
// much is left out. The zero Page has no limits.
type Page struct{ Columns, Rows int }

// bytes returns the approximate number of bytes that fit on the page.
func (p Page) bytes() int { return p.Columns * p.Rows }

// more returns the line that replaces n items left out.
func more(n int) string { return fmt.Sprintf("... %d more; print() shows all", n) }

// cut shortens a string that is longer than the page.
func (p Page) cut(s string) string {
	most := p.bytes()
	if most == 0 || len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "... " + plural.Of(len(s)-most, "byte") + " more; print() shows all"
}
