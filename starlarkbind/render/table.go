package render

import (
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/cellwidth"
	"go.starlark.net/starlark"
)

// Table aligns rows in columns. Columns that contain only numbers are aligned to the right. head
// may be nil.
func Table(head []string, rows [][]string) string {
	return strings.Join(lines(head, rows), "\n")
}

// lines returns the lines of Table.
func lines(head []string, rows [][]string) []string {
	n := len(head)
	for _, r := range rows {
		n = max(n, len(r))
	}
	width, left := make([]int, n), make([]bool, n)
	for i, h := range head {
		width[i] = cellwidth.Width(h)
	}
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], cellwidth.Width(c))
			left[i] = left[i] || !isNumber(c)
		}
	}
	line := func(r []string) string {
		var s strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-cellwidth.Width(c))
			if i > 0 {
				s.WriteString("  ")
			}
			if left[i] {
				s.WriteString(c + pad)
			} else {
				s.WriteString(pad + c)
			}
		}
		return strings.TrimRight(s.String(), " ")
	}
	var out []string
	if head != nil {
		out = append(out, line(head))
	}
	for _, r := range rows {
		out = append(out, line(r))
	}
	return out
}

func isNumber(s string) bool {
	for i, r := range s {
		if (r < '0' || r > '9') && r != '.' && !(i == 0 && r == '-') {
			return s == "None"
		}
	}
	return true
}

var oneLine = strings.NewReplacer("\n", `\n`, "\t", `\t`)

func cells(v starlark.Iterable) string {
	var parts []string
	for e := range starlark.Elements(v) {
		parts = append(parts, Cell(e))
	}
	return strings.Join(parts, ", ")
}

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
