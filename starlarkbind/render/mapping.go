package render

import (
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// mapping formats items as keys and values. If sorted is true, the smallest values come first, as
// in bpftrace, and a page shows the largest. Otherwise a page shows the first. ok is false if the
// values have no common form.
func (p Page) mapping(items []starlark.Tuple, sorted bool) (s string, ok bool) {
	if len(items) == 0 {
		return "", false
	}
	kind := valueKind(items[0][1])
	stacks := false
	for _, it := range items {
		if valueKind(it[1]) != kind {
			return "", false
		}
		stacks = stacks || hasLines(it[0])
	}
	if kind == "" || !sorted && kind == "number" && !stacks { // a list of pairs is shown as a table
		return "", false
	}
	return p.keyed(items, sorted, kind), true
}

// Keyed formats the keys and values of a map, whatever the values are. Tuples have a column for
// each element.
func (p Page) Keyed(items []starlark.Tuple) string {
	if s, ok := p.mapping(items, true); ok {
		return s
	}
	return p.keyed(items, true, "")
}

func (p Page) keyed(items []starlark.Tuple, sorted bool, kind string) string {
	if sorted {
		items = slices.Clone(items)
		sortItems(items)
	}
	switch {
	case kind == "histogram":
		return p.blocks(len(items), sorted, nil, func(i int) []string { return histogramLines(items[i]) })
	case slices.ContainsFunc(items, func(it starlark.Tuple) bool { return hasLines(it[0]) }):
		return p.stacked(items, sorted, kind)
	}
	head := fieldNames(items[0][1], kind)
	rows := func(items []starlark.Tuple) (out [][]string) {
		for _, it := range items {
			out = append(out, append(keyCells(it[0]), valueCells(it[1], head)...))
		}
		return out
	}
	shown, left := items, p.leftOut(len(items), head != nil)
	if sorted {
		shown = items[left:]
	} else {
		shown = items[:len(items)-left]
	}
	cells, headings := rows(shown), []string(nil)
	if head != nil {
		headings = append(make([]string, len(keyCells(items[0][0]))), head...)
	}
	all := lines(headings, cells)
	heads := len(all) - len(cells)
	return withMore(all[:heads], all[heads:], left, sorted)
}

// leftOut returns how many of n lines to leave out so that the rest, and the line that reports how
// many are missing, fit on the page. heading means that the page also has a heading.
func (p Page) leftOut(n int, heading bool) int {
	room := p.Rows
	if heading {
		room--
	}
	if p.Rows == 0 || n <= room {
		return 0
	}
	return n - max(room-1, 1)
}

// withMore joins a heading and lines. If lines are left out, it adds a line with their number,
// before the others if first is true and after them otherwise.
func withMore(head, lines []string, left int, first bool) string {
	var before, after []string
	switch {
	case left > 0 && first:
		before = []string{more(left)}
	case left > 0:
		after = []string{more(left)}
	}
	return strings.Join(slices.Concat(head, before, lines, after), "\n")
}

// blocks joins blocks of lines. If the page has no room for all, the first ones are left out if
// lastMatter is true, and the last ones otherwise. At least one block is shown.
func (p Page) blocks(n int, lastMatter bool, head []string, block func(i int) []string) string {
	var shown [][]string
	rows := len(head) + 1
	for k := range n {
		i := k
		if lastMatter {
			i = n - 1 - k
		}
		b := block(i)
		if rows += len(b); p.Rows > 0 && k > 0 && rows > p.Rows {
			break
		}
		shown = append(shown, b)
	}
	if lastMatter {
		slices.Reverse(shown)
	}
	return withMore(head, slices.Concat(shown...), n-len(shown), lastMatter)
}

// histogramLines returns a line with the key, the stacks in the key, and the bars.
func histogramLines(item starlark.Tuple) []string {
	names, stacks := keyParts(item[0])
	heading := strings.Join(names, ", ") + ":"
	if len(names) == 0 && len(stacks) > 0 {
		heading = "stack:"
	}
	bars := strings.Split(strings.TrimRight(item[1].(*hist.Histogram).Draw(0), "\n"), "\n")
	return slices.Concat([]string{heading}, stacks, bars)
}

// stacked formats a map with stacks in its keys. Each item is a line with the value and the other
// parts of the key, followed by the frames.
func (p Page) stacked(items []starlark.Tuple, sorted bool, kind string) string {
	head := fieldNames(items[0][1], kind)
	values := make([][]string, len(items))
	for i, it := range items {
		values[i] = valueCells(it[1], head)
	}
	aligned := lines(head, values)
	first := aligned[:len(aligned)-len(items)]
	aligned = aligned[len(first):]
	return p.blocks(len(items), sorted, first, func(i int) []string {
		names, stacks := keyParts(items[i][0])
		line := aligned[i]
		if len(names) > 0 {
			line += "  " + strings.Join(names, ", ")
		}
		return append([]string{line}, stacks...)
	})
}

func hasLines(key starlark.Value) bool {
	if t, ok := key.(starlark.Tuple); ok {
		return slices.ContainsFunc(t, hasLines)
	}
	_, ok := key.(lined)
	return ok
}

// keyParts returns the parts of a key that are not stacks, and the indented lines of its stacks.
func keyParts(key starlark.Value) (names, stacks []string) {
	parts := starlark.Tuple{key}
	if t, ok := key.(starlark.Tuple); ok {
		parts = t
	}
	const indent = "    "
	for _, e := range parts {
		l, ok := e.(lined)
		if !ok {
			names = append(names, Cell(e))
			continue
		}
		if stacks != nil {
			stacks = append(stacks, indent+"--")
		}
		for _, line := range l.Lines() {
			stacks = append(stacks, indent+Escape(line))
		}
	}
	return names, stacks
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

// valueCells returns the cells of a value: its fields in the order of names, or its elements if it
// has no fields or names is nil.
func valueCells(v starlark.Value, names []string) []string {
	if st, ok := v.(*structs.Struct); ok && names != nil {
		return fields(st, names)
	}
	return keyCells(v)
}

// fieldNames returns the column headings for values of a kind, or nil if they have no field names.
func fieldNames(v starlark.Value, kind string) []string {
	if st, ok := v.(*structs.Struct); ok && kind != "" {
		return st.AttrNames()
	}
	return nil
}

// valueKind returns a kind that is equal for values shown in the same way, or "" for values without
// a form of their own.
func valueKind(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.Int, starlark.Float, starlark.NoneType:
		return "number"
	case *hist.Histogram:
		return "histogram"
	case *structs.Struct:
		names := v.AttrNames()
		slices.Sort(names)
		return "struct " + strings.Join(names, ",")
	}
	return ""
}

func fields(st *structs.Struct, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		if v, err := st.Attr(n); err == nil && v != nil {
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
	case *structs.Struct:
		if n, err := v.Attr("count"); err == nil && n != nil {
			return n
		}
	}
	return v
}
