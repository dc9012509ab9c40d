package render

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// unsafe reports whether a terminal or a reader may take a character for something else: control
// characters except newline and tab, line separators, and format characters such as U+202E, which
// shows the following text from right to left. The joiners of emoji and of some scripts are safe.
func unsafe(r rune) bool {
	switch {
	case r == '\n' || r == '\t' || r == '\u200c' || r == '\u200d':
		return false
	case r < 0x300: // covers most text
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u00ad'
	}
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Escape makes a string safe for a terminal. It replaces unsafe characters, and bytes that are not
// UTF-8, by escapes such as \x1b and \u202e. It keeps newlines and tabs.
func Escape(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, unsafe) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unsafe(r):
			b.WriteString(escaped(r))
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func escaped(r rune) string {
	switch {
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// EscapeAll returns the values with all strings escaped.
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

// Bytes formats bytes as a literal, such as b"GET\x00". Everything but printable ASCII is escaped,
// because bytes are not text in any encoding.
func Bytes(v starlark.Bytes) string {
	var b strings.Builder
	b.WriteString(`b"`)
	for i := range len(v) {
		switch c := v[i]; c {
		case '"', '\\':
			b.WriteString(`\` + string(c))
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			if c < ' ' || c > '~' {
				fmt.Fprintf(&b, `\x%02x`, c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String() + `"`
}
