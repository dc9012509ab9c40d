// Package render formats Starlark values as text for people (tables, histograms), as JSON, and as
// CSV. Strings come from the kernel and may contain anything, so control characters and bytes that
// are not UTF-8 are escaped.
//
//	text.go     any value as text, in a page of limited size
//	flat.go     a value on one line
//	mapping.go  mappings: tables, histograms
//	table.go    aligned columns
//	order.go    sorting of keys and values
//	escape.go   control characters, bytes that are not UTF-8
//	json.go     JSON
//	csv.go      CSV
package render

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// A Page is the area that a value is shown on. A value that does not fit is cut, with a note of how
// much is left out. The zero Page has no limits.
type Page struct{ Columns, Rows int }

// bytes returns the approximate number of bytes that fit on the page.
func (p Page) bytes() int { return p.Columns * p.Rows }

// more returns the line that replaces n items left out.
func more(n int) string { return fmt.Sprintf("... %d more; print() shows all", n) }

// Cell formats a value for a table or a heading: strings without quotes, tuples without
// parentheses.
func Cell(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		return oneLine.Replace(Escape(string(v)))
	case starlark.Tuple:
		return cells(v)
	case *starlark.List:
		for e := range v.Elements() {
			if _, ok := e.(starlark.String); !ok {
				return Flat(v)
			}
		}
		return cells(v)
	case lined:
		return Escape(strings.Join(v.Lines(), ";"))
	}
	return oneLine.Replace(Flat(v))
}

var oneLine = strings.NewReplacer("\n", `\n`, "\t", `\t`)

func cells(v starlark.Iterable) string {
	var parts []string
	for e := range starlark.Elements(v) {
		parts = append(parts, Cell(e))
	}
	return strings.Join(parts, ", ")
}

// Text formats a value as print does. A string is shown as it is. A dict whose values are numbers,
// histograms or structs becomes a table, and so does a list of tuples or of structs with the same
// fields.
func Text(v starlark.Value) string { return Page{}.Text(v) }

// Text is like the function Text, but cuts the value to the size of the page.
func (p Page) Text(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		return p.cut(Escape(string(v)))
	case *hist.Histogram:
		return strings.TrimRight(v.Draw(0), "\n")
	case lined:
		return Escape(strings.Join(v.Lines(), "\n"))
	case *starlark.Dict:
		if s, ok := p.mapping(v.Items(), true); ok {
			return s
		}
	case *starlark.List:
		if s, ok := p.sequence(v); ok {
			return s
		}
	}
	return flat(v, p.bytes())
}

// Quoted is like Text, but shows a string in Starlark syntax.
func (p Page) Quoted(v starlark.Value) string {
	if s, ok := v.(starlark.String); ok {
		return p.cut(Escape(s.String()))
	}
	return p.Text(v)
}

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

// sequence formats a list of tuples of equal length, or of structs with the same fields, as a
// table. Pairs of keys and values are shown like a map, in the order of the list.
func (p Page) sequence(l *starlark.List) (string, bool) {
	if l.Len() == 0 {
		return "", false
	}
	shown := l.Len() - p.leftOut(l.Len(), l.Index(0).Type() == "struct")
	var head []string
	var rows [][]string
	switch first := l.Index(0).(type) {
	case starlark.Tuple:
		if items, ok := pairs(l); ok {
			if s, ok := p.mapping(items, false); ok {
				return s, true
			}
		}
		for i := range l.Len() {
			t, ok := l.Index(i).(starlark.Tuple)
			if !ok || len(t) != len(first) || len(t) == 0 {
				return "", false
			}
			if i >= shown {
				continue
			}
			var row []string
			for _, e := range t {
				row = append(row, keyCells(e)...)
			}
			if len(rows) > 0 && len(row) != len(rows[0]) {
				return "", false
			}
			rows = append(rows, row)
		}
	case *structs.Struct:
		head = first.AttrNames()
		for i := range l.Len() {
			st, ok := l.Index(i).(*structs.Struct)
			if !ok || valueKind(st) != valueKind(first) {
				return "", false
			}
			if i < shown {
				rows = append(rows, fields(st, head))
			}
		}
	default:
		return "", false
	}
	return withMore(nil, lines(head, rows), l.Len()-shown, false), true
}

// pairs returns the elements of a list, and whether each is a pair.
func pairs(l *starlark.List) ([]starlark.Tuple, bool) {
	out := make([]starlark.Tuple, l.Len())
	for i := range out {
		t, ok := l.Index(i).(starlark.Tuple)
		if !ok || len(t) != 2 {
			return nil, false
		}
		out[i] = t
	}
	return out, true
}
