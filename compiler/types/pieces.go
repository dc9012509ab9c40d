package types

import (
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
