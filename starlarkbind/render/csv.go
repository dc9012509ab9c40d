package render

import (
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
)

// CSV formats a value as CSV according to RFC 4180, but with lines that end in a newline only and
// no newline after the last line. The first row names the columns: key and value for a mapping or
// for pairs, the fields for values with attributes. Elements of tuples are numbered. A histogram
// has a row for each bucket. If header is not nil, it replaces the column names. Unless raw is
// true, text that a spreadsheet would run as a formula is marked as text. stop is called before
// each row, and its error ends the conversion.
func CSV(v starlark.Value, header []string, raw bool, stop func(row int) error) (string, error) {
	t := &csvTable{index: map[string]int{}, raw: raw, stop: stop}
	var err error
	switch x := v.(type) {
	// Iterating directly keeps a large dict interruptible. Collecting a million items first would
	// not.
	case *starlark.Dict:
		t.columns("key", "value")
		for k, v := range x.Entries() {
			if err = t.add(k, v); err != nil {
				return "", err
			}
		}
	case starlark.IterableMapping:
		t.columns("key", "value")
		for _, it := range x.Items() {
			if err = t.add(it[0], it[1]); err != nil {
				return "", err
			}
		}
	case starlark.Iterable:
		iter := x.Iterate()
		defer iter.Done()
		var e starlark.Value
		for iter.Next(&e) {
			if pair, ok := e.(starlark.Tuple); ok && len(pair) == 2 {
				err = t.add(pair[0], pair[1])
			} else {
				err = t.add(nil, e)
			}
			if err != nil {
				return "", err
			}
		}
	default:
		err = t.add(nil, v)
	}
	if err != nil {
		return "", err
	}
	return t.text(header)
}

// A csvTable holds rows and the columns of all rows, in the order they were first used.
type csvTable struct {
	names []string
	index map[string]int
	rows  [][]string
	raw   bool
	stop  func(row int) error
}

// A csvRow is one row, with the column of each cell.
type csvRow []csvCell

type csvCell struct{ column, text string }

func (r csvRow) with(column, text string) csvRow {
	for slices.ContainsFunc(r, func(c csvCell) bool { return c.column == column }) {
		column += "_" // such as a field named key
	}
	return append(slices.Clip(r), csvCell{column, text})
}

// columns sets the columns of a table without rows.
func (t *csvTable) columns(names ...string) { t.names = names }

// add adds a row for a value and its key, which may be nil. A histogram adds several rows.
func (t *csvTable) add(key, value starlark.Value) error {
	rows, err := []csvRow{nil}, t.stop(len(t.rows))
	if err == nil && key != nil {
		rows, err = t.spread(rows, "key", key)
	}
	if err == nil {
		rows, err = t.spread(rows, "value", value)
	}
	if err != nil {
		return err
	}
	if t.rows == nil {
		t.names = nil
	}
	for _, r := range rows {
		cells := make([]string, len(t.names), max(len(t.names), len(r)))
		for _, c := range r {
			i, ok := t.index[c.column]
			if !ok {
				i = len(t.names)
				t.index[c.column] = i
				t.names = append(t.names, c.column)
				cells = append(cells, "")
			}
			cells[i] = c.text
		}
		t.rows = append(t.rows, cells)
	}
	return nil
}

// spread adds a value to each row, with a column for each part of the value.
func (t *csvTable) spread(rows []csvRow, name string, v starlark.Value) ([]csvRow, error) {
	var err error
	part := func(name string, v starlark.Value) {
		if err == nil {
			rows, err = t.spread(rows, name, v)
		}
	}
	switch v := v.(type) {
	case starlark.Tuple:
		if name[len(name)-1] <= '9' { // an element of a tuple that is itself an element
			name += "."
		}
		for i, e := range v {
			part(fmt.Sprint(name, i+1), e)
		}
		return rows, err
	case *hist.Histogram:
		var out []csvRow
		for _, b := range v.Rows() {
			for _, r := range rows {
				out = append(out, r.with(column(name, "lo"), cellText(b.Lo)).with(column(name, "hi"), cellText(b.Hi)).with(column(name, "count"), fmt.Sprint(b.N)))
			}
		}
		return out, nil
	case starlark.String:
		return withCell(rows, name, t.asText(cellText(v))), nil
	case starlark.NoneType, starlark.Bool, starlark.Int, starlark.Float:
		return withCell(rows, name, cellText(v)), nil
	case starlark.Bytes:
		return withCell(rows, name, base64.StdEncoding.EncodeToString([]byte(v))), nil
	case *starlark.List, *starlark.Dict, *starlark.Set:
		b, err := JSON(v, nil)
		if err != nil {
			return nil, fmt.Errorf("to_csv: a %s in a cell is written as JSON: %s", v.Type(), strings.TrimPrefix(err.Error(), "to_json: "))
		}
		return withCell(rows, name, string(b)), nil
	case starlark.HasAttrs:
		if it, ok := v.(starlark.Iterable); ok { // a stack
			return withCell(rows, name, t.asText(joined(it))), nil
		}
		err = eachField(v, v.AttrNames(), func(field string, a starlark.Value) error {
			part(column(name, field), a)
			return err
		})
		return rows, err
	}
	return nil, fmt.Errorf("to_csv: a %s cannot be written as CSV", v.Type())
}

// column returns the column name for a field. It is the field's name alone if the value is not part
// of another.
func column(name, field string) string {
	if name == "value" {
		return field
	}
	return name + "." + field
}

// withCell adds a cell to each row.
func withCell(rows []csvRow, name, text string) []csvRow {
	for i, r := range rows {
		rows[i] = r.with(name, text)
	}
	return rows
}

// asText puts a single quote before text that a spreadsheet would run as a formula, because others
// choose the names of commands and files. Spreadsheets show such a cell as text, without the quote.
func (t *csvTable) asText(s string) string {
	if t.raw || s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return s
	}
	return "'" + s
}

func cellText(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.NoneType:
		return ""
	case starlark.String:
		return Escape(string(v))
	}
	return v.String()
}

// joined returns the frames of a stack, separated by semicolons.
func joined(it starlark.Iterable) string {
	iter := it.Iterate()
	defer iter.Done()
	var parts []string
	var e starlark.Value
	for iter.Next(&e) {
		parts = append(parts, cellText(e))
	}
	return strings.Join(parts, ";")
}

// text returns the table as CSV.
func (t *csvTable) text(header []string) (string, error) {
	if header == nil {
		header = t.names
	} else if len(header) != len(t.names) {
		return "", fmt.Errorf("to_csv: header has the wrong number of names: got %d, want %d: %s", len(header), len(t.names), strings.Join(t.names, ", "))
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	err := w.Write(header)
	for i, r := range t.rows {
		if err == nil {
			err = t.stop(i)
		}
		r = append(r, make([]string, len(t.names)-len(r))...)
		if len(r) == 1 && r[0] == "" { // an empty line would not be read as a row
			w.Flush()
			b.WriteString("\"\"\n")
		} else if err == nil {
			err = w.Write(r)
		}
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n"), err
}
