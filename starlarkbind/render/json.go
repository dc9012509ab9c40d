package render

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
)

// JSON renders a value on one line. A dict with string keys is an object, any other dict a list of objects with key and
// value; what has attributes is an object of them. Integers are exact. Bytes that are not UTF-8 are escaped as in text.
func JSON(v starlark.Value) ([]byte, error) {
	var b strings.Builder
	if err := write(&b, v, 0); err != nil {
		return nil, err
	}
	return SafeJSON([]byte(b.String())), nil
}

// SafeJSON escapes in JSON what encoding/json leaves of the characters that are unsafe in a terminal: DEL, those from U+0080 on, of
// which terminals take U+009B for an escape, and format characters. They can be in strings only.
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

func write(b *strings.Builder, v starlark.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("to_json: the value nests too deeply")
	}
	list := func(it starlark.Iterable) error {
		iter := it.Iterate()
		defer iter.Done()
		b.WriteByte('[')
		var e starlark.Value
		for i := 0; iter.Next(&e); i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := write(b, e, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	}
	switch v := v.(type) {
	case starlark.NoneType:
		b.WriteString("null")
	case starlark.Bool:
		b.WriteString(strconv.FormatBool(bool(v)))
	case starlark.Int:
		b.WriteString(v.String())
	case starlark.Float:
		out, err := json.Marshal(float64(v))
		if err != nil {
			return fmt.Errorf("to_json: %s has no form in JSON", v)
		}
		b.Write(out)
	case starlark.String:
		writeString(b, string(v))
	case starlark.Bytes:
		writeString(b, base64.StdEncoding.EncodeToString([]byte(v)))
	case *hist.Histogram:
		return writeHist(b, v, depth)
	case starlark.IterableMapping:
		return writeDict(b, v.Items(), depth)
	case starlark.HasAttrs:
		if it, ok := v.(starlark.Iterable); ok {
			return list(it)
		}
		return writeAttrs(b, v, depth)
	case starlark.Iterable:
		return list(v)
	default:
		return fmt.Errorf("to_json: a %s has no form in JSON", v.Type())
	}
	return nil
}

func writeString(b *strings.Builder, s string) {
	if !utf8.ValidString(s) {
		s = Escape(s)
	}
	out, err := json.Marshal(s)
	if err != nil {
		out = []byte(strconv.Quote(s)) // cannot happen for valid UTF-8
	}
	b.Write(out)
}

func writeDict(b *strings.Builder, items []starlark.Tuple, depth int) error {
	strs := true
	for _, it := range items {
		if _, ok := it[0].(starlark.String); !ok {
			strs = false
		}
	}
	if strs {
		b.WriteByte('{')
	} else {
		b.WriteByte('[')
	}
	for i, it := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		if !strs {
			b.WriteString(`{"key":`)
		}
		if err := write(b, it[0], depth+1); err != nil {
			return err
		}
		if strs {
			b.WriteByte(':')
		} else {
			b.WriteString(`,"value":`)
		}
		if err := write(b, it[1], depth+1); err != nil {
			return err
		}
		if !strs {
			b.WriteByte('}')
		}
	}
	if strs {
		b.WriteByte('}')
	} else {
		b.WriteByte(']')
	}
	return nil
}

func writeAttrs(b *strings.Builder, v starlark.HasAttrs, depth int) error {
	b.WriteByte('{')
	first := true
	err := eachField(v, v.AttrNames(), func(name string, a starlark.Value) error {
		if !first {
			b.WriteByte(',')
		}
		first = false
		writeString(b, name)
		b.WriteByte(':')
		return write(b, a, depth+1)
	})
	b.WriteByte('}')
	return err
}

// eachField calls fn for those attributes of a value that are no methods.
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

func writeHist(b *strings.Builder, h *hist.Histogram, depth int) error {
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
		if err := write(b, a, depth+1); err != nil {
			return err
		}
	}
	b.WriteString(`,"buckets":[`)
	for i, r := range h.Rows() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"lo":`)
		if err := write(b, r.Lo, depth+1); err != nil {
			return err
		}
		b.WriteString(`,"hi":`)
		if err := write(b, r.Hi, depth+1); err != nil {
			return err
		}
		fmt.Fprintf(b, `,"n":%d}`, r.N)
	}
	b.WriteString("]}")
	return nil
}
