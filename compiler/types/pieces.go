package types

import (
	"slices"
	"strconv"
	"strings"
)

// A Piece is a part of the format of a text: a literal, or a conversion of the next argument.
type Piece struct {
	Literal string
	Verb    byte   // 0 for a literal
	Flags   string // of a conversion: flags, width and precision
}

// Width returns the minimum width of a conversion's text.
func (p Piece) Width() int {
	digits, _, _ := strings.Cut(strings.TrimLeft(p.Flags, "-+ #0"), ".")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// Pieces splits a format at its conversions. %% is part of a literal. ok is false if the format
// ends in the middle of a conversion.
func Pieces(format string) (pieces []Piece, ok bool) {
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			pieces = append(pieces, Piece{Literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			literal.WriteByte(format[i])
			continue
		}
		from := i + 1
		for i++; i < len(format) && strings.IndexByte("-+ #0123456789.*", format[i]) >= 0; i++ {
		}
		flags := format[from:i]
		for i < len(format) && strings.IndexByte("hlzjt", format[i]) >= 0 {
			i++
		}
		switch {
		case i >= len(format):
			return nil, false
		case format[i] == '%':
			literal.WriteByte('%')
		default:
			flush()
			pieces = append(pieces, Piece{Verb: format[i], Flags: flags})
		}
	}
	flush()
	return pieces, true
}

// Escape returns a text as part of a format.
func Escape(text string) string { return strings.ReplaceAll(text, "%", "%%") }

const (
	decimals = "0123456789"
	hexes    = "0123456789abcdefABCDEFxX"
	signs    = "+- "
)

// Digits returns the characters that a conversion of a value of type t consists of, besides a sign
// and padding, if the text is that of one number only. Otherwise it returns "".
func (p Piece) Digits(t *Type) string {
	number := t.IsInt() || (t.Kind == Bool || t.Kind == Ptr) && p.Verb != 's' && p.Verb != 'r'
	if strings.ContainsAny(p.Flags, ".*") || !number {
		return ""
	}
	switch p.Verb {
	case 'd', 'i', 'u', 'o', 'b':
		return decimals + "b"[:min(1, strings.Count(p.Flags, "#"))]
	case 'x', 'X', 'p':
		return hexes
	case 's', 'r':
		if p.Flags == "" {
			return decimals
		}
	}
	return ""
}

// uniqueText reports whether the arguments follow from the text: at most one of them has a text of
// any form, and the numbers on both sides of it are delimited.
func (t *Type) uniqueText() bool {
	pieces, ok := Pieces(t.Format.Arg)
	if !ok || t.Format.Name == Joined {
		return false
	}
	args := t.Elem.Elems
	free := false  // an argument of any form was seen
	digits := ""   // those of the number that ends here
	literal := " " // what came before, and ends here
	for _, p := range pieces {
		if p.Verb == 0 {
			literal = p.Literal
			if !free && strings.IndexByte(digits, literal[0]) >= 0 {
				return false
			}
			digits = ""
			continue
		}
		if len(args) == 0 || digits != "" {
			return false
		}
		arg := args[0]
		args = args[1:]
		switch d := p.Digits(arg); {
		case d != "" && free && (literal == "" || strings.IndexByte(d+signs, literal[len(literal)-1]) >= 0):
			return false
		case d != "":
			digits = d
		case free, p.Verb != 's', p.Flags != "", !arg.oneText():
			return false
		default:
			free = true
		}
		literal = ""
	}
	return true
}

// oneText reports whether %s shows each value of type t in its own way.
func (t *Type) oneText() bool {
	return t.Kind == Str || t.Kind == Bool || t.Kind == Formatted && !t.IsStruct() && !t.IsEither() && !t.SameText()
}

// SplitText returns the parts of a text in the format of t, one for each argument. known is false
// if it cannot tell: a conversion is not the plain one of a string or of a decimal number.
func (t *Type) SplitText(text string) (parts []string, ok, known bool) {
	pieces, ok := Pieces(t.Format.Arg)
	if !ok || t.Format.Name == Joined {
		return nil, false, false
	}
	args := t.Elem.Elems
	for _, p := range pieces {
		if p.Verb == 0 {
			continue
		}
		if p.Flags != "" || len(args) == 0 || !(p.Verb == 's' && args[0].Kind == Str) && !(strings.IndexByte("dis", p.Verb) >= 0 && args[0].IsInt()) {
			return nil, false, false
		}
		args = args[1:]
	}
	parts, ok = splitPieces(pieces, t.Elem.Elems, text)
	return parts, ok, true
}

// splitPieces splits a text at its literals. It tries the longest part first.
func splitPieces(pieces []Piece, args []*Type, text string) ([]string, bool) {
	if len(pieces) == 0 {
		return nil, text == ""
	}
	if pieces[0].Verb == 0 {
		rest, ok := strings.CutPrefix(text, pieces[0].Literal)
		if !ok {
			return nil, false
		}
		return splitPieces(pieces[1:], args, rest)
	}
	for n := len(text); n >= 0; n-- {
		if !holds(args[0], text[:n]) {
			continue
		}
		if parts, ok := splitPieces(pieces[1:], args[1:], text[n:]); ok {
			return append([]string{text[:n]}, parts...), true
		}
	}
	return nil, false
}

// holds reports whether a string or a number of type t has this text.
func holds(t *Type, text string) bool {
	switch {
	case t.Kind == Str:
		return len(text) < t.Cap && !strings.HasSuffix(text, "\x00")
	case t.Kind == Uint:
		n, err := strconv.ParseUint(text, 10, 64)
		return err == nil && strconv.FormatUint(n, 10) == text
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == text
}

// Apart reports whether no text of type t is also one of type u.
func (t *Type) Apart(u *Type) bool {
	differ := func(a, b string) bool { return !strings.HasPrefix(a, b) && !strings.HasPrefix(b, a) }
	a, b := t.ends(), u.ends()
	if differ(a[0], b[0]) || differ(a[1], b[1]) {
		return true
	}
	if len(t.Elem.Elems) > 0 {
		t, u = u, t
	}
	if len(t.Elem.Elems) > 0 {
		return false
	}
	_, ok, known := u.SplitText(strings.ReplaceAll(t.Format.Arg, "%%", "%"))
	return known && !ok
}

// ends returns what all texts of type t begin with and, reversed, what they end with.
func (t *Type) ends() [2]string {
	var out [2]string
	pieces, ok := Pieces(t.Format.Arg)
	if !ok || len(pieces) == 0 || t.Format.Name == Joined {
		return out
	}
	out[0] = pieces[0].Literal
	last := []byte(pieces[len(pieces)-1].Literal)
	slices.Reverse(last)
	out[1] = string(last)
	return out
}
