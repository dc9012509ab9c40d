package render

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// lined is a value of several lines, such as a stack.
type lined interface {
	starlark.Value
	Lines() []string // at least one
}

// Flat formats a value on one line, in Starlark syntax. A histogram is shown as <hist ...>.
func Flat(v starlark.Value) string { return flat(v, 0) }

// Flat is like the function Flat, but cuts the text to the size of the page.
func (p Page) Flat(v starlark.Value) string { return p.cut(flat(v, p.bytes())) }

// flat formats a value as Flat does. Once the text has most bytes, collections end with the number
// of elements left out. If most is 0, everything is written.
func flat(v starlark.Value, most int) string {
	w := flatWriter{most: most}
	w.value(v)
	return w.String()
}

type flatWriter struct {
	strings.Builder
	most int
	path []starlark.Value // the enclosing collections, one of which may contain itself
}

func (w *flatWriter) value(v starlark.Value) {
	switch v := v.(type) {
	case starlark.Bytes:
		w.WriteString(Bytes(v))
	case *hist.Histogram:
		w.WriteString(v.String())
	case lined:
		w.WriteString("<stack " + Escape(strings.Join(v.Lines(), ";")) + ">")
	case *starlark.List:
		w.inside(v, "[...]", func() { w.sequence("[", v, "]") })
	case starlark.Tuple:
		end := ")"
		if len(v) == 1 {
			end = ",)"
		}
		w.sequence("(", v, end)
	case *starlark.Set:
		w.sequence("set([", v, "])")
	case *starlark.Dict:
		w.inside(v, "{...}", func() { w.dict(v) })
	case *structs.Struct:
		names := v.AttrNames()
		w.WriteString(v.Kind() + "(")
		for i, name := range names {
			if w.full(i, len(names)) {
				break
			}
			a, err := v.Attr(name)
			if err != nil || a == nil {
				continue
			}
			w.WriteString(name + " = ")
			w.value(a)
		}
		w.WriteByte(')')
	default:
		w.WriteString(Escape(v.String()))
	}
}

// inside calls fn unless the collection is contained in itself. In that case it writes again.
func (w *flatWriter) inside(v starlark.Value, again string, fn func()) {
	if slices.Contains(w.path, v) {
		w.WriteString(again)
		return
	}
	w.path = append(w.path, v)
	fn()
	w.path = w.path[:len(w.path)-1]
}

// full writes the separator before the i-th of n elements. If there is no room for more, it writes
// the number of elements left out and returns true.
func (w *flatWriter) full(i, n int) bool {
	if i > 0 {
		w.WriteString(", ")
	}
	if w.most == 0 || w.Len() < w.most || i == 0 {
		return false
	}
	fmt.Fprintf(w, "... and %d more", n-i)
	return true
}

func (w *flatWriter) sequence(begin string, v starlark.Iterable, end string) {
	w.WriteString(begin)
	n := starlark.Len(v)
	iter := v.Iterate()
	defer iter.Done()
	var e starlark.Value
	for i := 0; iter.Next(&e) && !w.full(i, n); i++ {
		w.value(e)
	}
	w.WriteString(end)
}

func (w *flatWriter) dict(d *starlark.Dict) {
	w.WriteByte('{')
	i := 0
	for k, v := range d.Entries() {
		if w.full(i, d.Len()) {
			break
		}
		w.value(k)
		w.WriteString(": ")
		w.value(v)
		i++
	}
	w.WriteByte('}')
}
