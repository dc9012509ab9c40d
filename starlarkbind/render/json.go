package render

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
)

// JSON formats a value on one line, as to_json() does. A dict with string keys becomes an object,
// any other dict a list of objects with key and value. All other values are as described in
// docs/json.md.
//
// check is called before each value with the number of values written so far. If it returns an
// error, JSON stops. check may be nil.
func JSON(v starlark.Value, check func(n int) error) ([]byte, error) {
	w := &jsonWriter{objects: true, check: check}
	err := w.value(v, 0)
	return SafeJSON([]byte(w.String())), err
}

// JSONValue formats a value as it appears in a line of -f json (docs/json.md). Every dict has the
// same form, whatever its keys.
func JSONValue(v starlark.Value) ([]byte, error) {
	w := &jsonWriter{}
	err := w.value(v, 0)
	return SafeJSON([]byte(w.String())), err
}

// JSONString formats a string without loss. The string need not be UTF-8.
func JSONString(s string) []byte {
	w := &jsonWriter{}
	w.text(s)
	return SafeJSON([]byte(w.String()))
}

// JSONEntries formats the items of a dict.
func JSONEntries(items []starlark.Tuple) ([]byte, error) {
	w := &jsonWriter{}
	err := w.entries(items, 0)
	return SafeJSON([]byte(w.String())), err
}

// SafeJSON escapes the characters in JSON that encoding/json does not escape and that are unsafe in
// a terminal: DEL, the control characters from U+0080 on, of which U+009B starts an escape sequence
// in terminals, and format characters. They can only occur in strings.
func SafeJSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, unsafe) {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		if unsafe(r) {
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04x`, u)
			}
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

const maxDepth = 100

// A jsonWriter writes values as JSON.
type jsonWriter struct {
	strings.Builder
	objects bool              // dicts with string keys become objects
	check   func(n int) error // may be nil
	n       int               // values so far
}

func (b *jsonWriter) value(v starlark.Value, depth int) error {
	if b.check != nil {
		if err := b.check(b.n); err != nil {
			return err
		}
		b.n++
	}
	if depth > maxDepth {
		return fmt.Errorf("to_json: the value nests too deeply")
	}
	switch v := v.(type) {
	case starlark.NoneType:
		b.WriteString("null")
	case starlark.Bool:
		b.WriteString(strconv.FormatBool(bool(v)))
	case starlark.Int:
		b.WriteString(v.String())
	case starlark.Float:
		b.float(float64(v))
	case starlark.String:
		b.text(string(v))
	case starlark.Bytes:
		b.base64(string(v))
	case *hist.Histogram:
		return b.histogram(v, depth)
	case starlark.IterableMapping:
		return b.dict(v.Items(), depth)
	case starlark.HasAttrs:
		if it, ok := v.(starlark.Iterable); ok {
			return b.list(it, depth)
		}
		return b.attrs(v, depth)
	case starlark.Iterable:
		return b.list(v, depth)
	default:
		return fmt.Errorf("to_json: a %s cannot be written as JSON", v.Type())
	}
	return nil
}

// float writes a number. JSON has no NaN and no infinities, so they are written as strings.
func (b *jsonWriter) float(f float64) {
	switch {
	case math.IsNaN(f):
		b.WriteString(`"NaN"`)
	case math.IsInf(f, 0):
		b.WriteString(map[bool]string{true: `"Infinity"`, false: `"-Infinity"`}[f > 0])
	default:
		out, err := json.Marshal(f)
		if err != nil {
			out = []byte(strconv.Quote(err.Error())) // cannot happen: only NaN and infinities fail
		}
		b.Write(out)
	}
}

// text writes a string. If it is not UTF-8, it is written like bytes.
func (b *jsonWriter) text(s string) {
	if !utf8.ValidString(s) {
		b.base64(s)
		return
	}
	b.name(s)
}

// name writes a string that must be a JSON string, such as a member's name.
func (b *jsonWriter) name(s string) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		b.WriteString(strconv.Quote(s)) // cannot happen: the encoder accepts every string
		return
	}
	b.Write(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}

func (b *jsonWriter) base64(s string) {
	b.WriteString(`{"base64":"` + base64.StdEncoding.EncodeToString([]byte(s)) + `"}`)
}

func (b *jsonWriter) list(it starlark.Iterable, depth int) error {
	iter := it.Iterate()
	defer iter.Done()
	b.WriteByte('[')
	var e starlark.Value
	for i := 0; iter.Next(&e); i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := b.value(e, depth+1); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func (b *jsonWriter) dict(items []starlark.Tuple, depth int) error {
	if !b.objects {
		b.WriteString(`{"entries":`)
		err := b.entries(items, depth)
		b.WriteByte('}')
		return err
	}
	for _, it := range items {
		if k, ok := it[0].(starlark.String); !ok || !utf8.ValidString(string(k)) {
			return b.pairs(items, depth)
		}
	}
	b.WriteByte('{')
	for i, it := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.name(string(it[0].(starlark.String)))
		b.WriteByte(':')
		if err := b.value(it[1], depth+1); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// pairs writes a dict whose keys cannot all be member names.
func (b *jsonWriter) pairs(items []starlark.Tuple, depth int) error {
	return b.keyed(items, depth, func(key starlark.Value) error { return b.value(key, depth+1) })
}

// entries writes the items of a dict. Each key is a list of its parts.
func (b *jsonWriter) entries(items []starlark.Tuple, depth int) error {
	return b.keyed(items, depth, func(key starlark.Value) error {
		parts, ok := key.(starlark.Tuple)
		if !ok {
			parts = starlark.Tuple{key}
		}
		return b.list(parts, depth+1)
	})
}

func (b *jsonWriter) keyed(items []starlark.Tuple, depth int, key func(starlark.Value) error) error {
	b.WriteByte('[')
	for i, it := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"key":`)
		if err := key(it[0]); err != nil {
			return err
		}
		b.WriteString(`,"value":`)
		if err := b.value(it[1], depth+1); err != nil {
			return err
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return nil
}

func (b *jsonWriter) attrs(v starlark.HasAttrs, depth int) error {
	b.WriteByte('{')
	first := true
	err := eachField(v, v.AttrNames(), func(name string, a starlark.Value) error {
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.name(name)
		b.WriteByte(':')
		return b.value(a, depth+1)
	})
	b.WriteByte('}')
	return err
}

// eachField calls fn for each attribute of a value that is not a method.
func eachField(v starlark.HasAttrs, names []string, fn func(name string, a starlark.Value) error) error {
	for _, name := range names {
		a, err := v.Attr(name)
		if err != nil {
			return err
		}
		if _, method := a.(*starlark.Builtin); a == nil || method {
			continue
		}
		if err := fn(name, a); err != nil {
			return err
		}
	}
	return nil
}

func (b *jsonWriter) histogram(h *hist.Histogram, depth int) error {
	b.WriteByte('{')
	for i, name := range []string{"count", "sum", "min", "max"} {
		a, err := h.Attr(name)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "%q:", name)
		if err := b.value(a, depth+1); err != nil {
			return err
		}
	}
	b.WriteString(`,"buckets":[`)
	for i, r := range h.Rows() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"lo":`)
		if err := b.value(r.Lo, depth+1); err != nil {
			return err
		}
		b.WriteString(`,"hi":`)
		if err := b.value(r.Hi, depth+1); err != nil {
			return err
		}
		fmt.Fprintf(b, `,"n":%d}`, r.N)
	}
	b.WriteString("]}")
	return nil
}
