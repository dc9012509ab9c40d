// Package render formats Starlark values as text for people (tables, histograms), as JSON, and as
// CSV. Strings come from the kernel and may contain anything, so control characters and bytes that
// are not UTF-8 are escaped.
//
//	text.go     any value as text
//	page.go     the size of a page, and how much of a value it shows
//	flat.go     a value on one line
//	mapping.go  mappings: tables, histograms
//	table.go    aligned columns
//	order.go    sorting of keys and values
//	escape.go   control characters, bytes that are not UTF-8
//	json.go     JSON
//	csv.go      CSV
package render

import (
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

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
