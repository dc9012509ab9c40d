// Package render shows Starlark values: as text for people (tables, histograms), as JSON, and as CSV. Strings come from
// the kernel and may hold anything: control characters and bytes that are not UTF-8 are escaped.
package render

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/internal/columns"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
)

// Escape makes a string safe for a terminal: control characters and bad bytes become \x1b and the like. Newlines and tabs
// stay.
func Escape(s string) string {
	safe := true
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t' {
			safe = false
			break
		}
	}
	if safe {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsControl(r) && r != '\n' && r != '\t':
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// EscapeAll makes those of the values safe that are strings.
func EscapeAll(vs []starlark.Value) []starlark.Value {
	out := make([]starlark.Value, len(vs))
	for i, v := range vs {
		if s, ok := v.(starlark.String); ok {
			v = starlark.String(Escape(string(s)))
		}
		out[i] = v
	}
	return out
}

// Cell is a value in a table or a heading: strings without quotes, tuples without parentheses.
func Cell(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(Escape(string(v)))
	case starlark.Tuple:
		s := make([]string, len(v))
		for i, e := range v {
			s[i] = Cell(e)
		}
		return strings.Join(s, ", ")
	}
	return Escape(v.String())
}

// Text renders a value as print does. A plain string is itself; a dict whose values are numbers, histograms or structs is
// a table; so is a list of tuples or of structs with the same fields.
func Text(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		return Escape(string(v))
	case *hist.Histogram:
		return strings.TrimRight(v.String(), "\n")
	case *starlark.Dict:
		if s, ok := Mapping(v.Items()); ok {
			return s
		}
	case *starlark.List:
		if s, ok := sequence(v); ok {
			return s
		}
	}
	return Escape(v.String())
}

// Mapping renders keys and values as a table, the smallest first as bpftrace does; ok is false where the values have
// no common form.
func Mapping(items []starlark.Tuple) (s string, ok bool) {
	if len(items) == 0 {
		return "", false
	}
	items = append([]starlark.Tuple{}, items...)
	kind := valueKind(items[0][1])
	for _, it := range items {
		if valueKind(it[1]) != kind {
			return "", false
		}
	}
	sortItems(items)
	switch kind {
	case "number":
		return keyed(items), true
	case "histogram":
		var b strings.Builder
		for i, it := range items {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s:\n%s", Cell(it[0]), it[1].(*hist.Histogram).String())
		}
		return strings.TrimRight(b.String(), "\n"), true
	case "":
		return "", false
	}
	st := items[0][1].(*starlarkstruct.Struct)
	names := fieldOrder(st)
	head := make([]string, len(keyCells(items[0][0])))
	head = append(head, names...)
	var rows [][]string
	for _, it := range items {
		rows = append(rows, append(keyCells(it[0]), fields(it[1].(*starlarkstruct.Struct), names)...))
	}
	return Table(head, rows), true
}

// Keyed renders the keys and values of a map as a table, whatever the values are: tuples have a column for each element.
func Keyed(items []starlark.Tuple) string {
	if s, ok := Mapping(items); ok {
		return s
	}
	items = append([]starlark.Tuple{}, items...)
	sortItems(items)
	return keyed(items)
}

func keyed(items []starlark.Tuple) string {
	rows := make([][]string, len(items))
	for i, it := range items {
		rows[i] = append(keyCells(it[0]), keyCells(it[1])...)
	}
	return Table(nil, rows)
}

func keyCells(k starlark.Value) []string {
	t, ok := k.(starlark.Tuple)
	if !ok {
		return []string{Cell(k)}
	}
	out := make([]string, len(t))
	for i, e := range t {
		out[i] = Cell(e)
	}
	return out
}

func valueKind(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.Int, starlark.Float, starlark.NoneType:
		return "number"
	case *hist.Histogram:
		return "histogram"
	case *starlarkstruct.Struct:
		return strings.Join(v.AttrNames(), ",")
	}
	return ""
}

// fieldOrder puts the fields of statistics in the order that one reads them, others as they come.
func fieldOrder(st starlark.HasAttrs) []string {
	names := st.AttrNames()
	want := []string{"count", "sum", "avg", "min", "max"}
	if strings.Join(names, ",") == "avg,count,max,min,sum" {
		return want
	}
	return names
}

func fields(st *starlarkstruct.Struct, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		if v, err := st.Attr(n); err == nil {
			out[i] = Cell(v)
		}
	}
	return out
}

func sortItems(items []starlark.Tuple) {
	sort.SliceStable(items, func(i, j int) bool {
		a, b := weight(items[i][1]), weight(items[j][1])
		if less, err := starlark.Compare(syntax.LT, a, b); err == nil && less {
			return true
		}
		if eq, err := starlark.Equal(a, b); err != nil || !eq {
			return false
		}
		less, err := starlark.Compare(syntax.LT, items[i][0], items[j][0])
		return err == nil && less
	})
}

func weight(v starlark.Value) starlark.Value {
	switch v := v.(type) {
	case *hist.Histogram:
		return starlark.MakeUint64(v.Count())
	case *starlarkstruct.Struct:
		if n, err := v.Attr("count"); err == nil {
			return n
		}
	}
	return v
}

// sequence renders a list of tuples of one length, or of structs with the same fields, as a table.
func sequence(l *starlark.List) (string, bool) {
	if l.Len() == 0 {
		return "", false
	}
	var head []string
	var rows [][]string
	switch first := l.Index(0).(type) {
	case starlark.Tuple:
		for i := 0; i < l.Len(); i++ {
			t, ok := l.Index(i).(starlark.Tuple)
			if !ok || len(t) != len(first) || len(t) == 0 {
				return "", false
			}
			var row []string
			for _, e := range t {
				if _, isHist := e.(*hist.Histogram); isHist {
					return "", false
				}
				row = append(row, keyCells(e)...)
			}
			if len(rows) > 0 && len(row) != len(rows[0]) {
				return "", false
			}
			rows = append(rows, row)
		}
	case *starlarkstruct.Struct:
		head = fieldOrder(first)
		for i := 0; i < l.Len(); i++ {
			st, ok := l.Index(i).(*starlarkstruct.Struct)
			if !ok || valueKind(st) != valueKind(first) {
				return "", false
			}
			rows = append(rows, fields(st, head))
		}
	default:
		return "", false
	}
	return Table(head, rows), true
}

// Table aligns columns: those of numbers to the right. head may be nil.
func Table(head []string, rows [][]string) string {
	n := len(head)
	for _, r := range rows {
		n = max(n, len(r))
	}
	width, left := make([]int, n), make([]bool, n)
	for i, h := range head {
		width[i] = columns.Width(h)
	}
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], columns.Width(c))
			left[i] = left[i] || !isNumber(c)
		}
	}
	var b strings.Builder
	line := func(r []string) {
		var s strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-columns.Width(c))
			if i > 0 {
				s.WriteString("  ")
			}
			if left[i] {
				s.WriteString(c + pad)
			} else {
				s.WriteString(pad + c)
			}
		}
		b.WriteString(strings.TrimRight(s.String(), " ") + "\n")
	}
	if head != nil {
		line(head)
	}
	for _, r := range rows {
		line(r)
	}
	return strings.TrimRight(b.String(), "\n")
}

func isNumber(s string) bool {
	for i, r := range s {
		if (r < '0' || r > '9') && r != '.' && !(i == 0 && r == '-') {
			return s == "None"
		}
	}
	return true
}
