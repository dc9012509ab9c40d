package codec

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/cfmt"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// compose makes the value that the script sees of a composed value.
func (c *Codec) compose(t *types.Type, b []byte) starlark.Value {
	parts := c.Decode(t.Elem, b).(starlark.Tuple)
	switch {
	case t.IsStruct():
		return structs.Record(t.Fields(), parts)
	case t.IsEither():
		i := slices.IndexFunc(parts, func(v starlark.Value) bool { return v != starlark.None })
		if i < 0 {
			return starlark.None
		}
		return parts[i]
	}
	if t.Format.Name == types.Joined {
		return joinArgs(t.Format.Arg, parts)
	}
	text, err := formatText(t.Format, parts)
	if err != nil { // the checker has compared the format with the types
		c.report(err)
	}
	return starlark.String(text)
}

// joinArgs returns the text of join() of an array in memory. The last part reports whether
// there are more strings.
func joinArgs(sep string, parts starlark.Tuple) starlark.Value {
	last := len(parts) - 1
	var list []string
	for _, v := range parts[:last] {
		if s, ok := starlark.AsString(v); ok {
			list = append(list, s)
		}
	}
	if parts[last] == starlark.True {
		list = append(list, "...")
	}
	return starlark.String(strings.Join(list, sep))
}

// encodeArgs is the inverse of joinArgs.
func (c *Codec) encodeArgs(t *types.Type, text string, b []byte) error {
	list, most := strings.Split(text, t.Format.Arg), len(t.Elem.Elems)-1
	parts := make(starlark.Tuple, most+1)
	for i := range most {
		if parts[i] = starlark.None; i < len(list) && text != "" {
			parts[i] = starlark.String(list[i])
		}
	}
	parts[most] = starlark.Bool(len(list) == most+1 && list[most] == "...")
	if err := c.Encode(t.Elem, parts, b); err != nil {
		return err
	}
	if got, _ := starlark.AsString(c.compose(t, b)); got != text {
		return fmt.Errorf("%q is not a text of %d strings of up to %d bytes", text, most, tree.MaxArg-1)
	}
	return nil
}

// formatText formats the arguments of a text.
func formatText(f *types.Format, args starlark.Tuple) (string, error) {
	if f.Name == types.Sprintf {
		return cfmt.Sprintf(f.Arg, args)
	}
	v, err := starlark.Binary(syntax.PERCENT, starlark.String(f.Arg), args)
	text, _ := starlark.AsString(v)
	return text, err
}

// takeApart is the inverse of compose: it writes the parts of a value. Several parts may have the
// same text; it then writes some of them, which the script sees as the same value.
func (c *Codec) takeApart(t *types.Type, v starlark.Value, b []byte) error {
	clear(b[:t.Size()])
	switch {
	case t.IsStruct():
		return c.encodeStruct(t, v, b)
	case t.IsEither():
		return c.encodeEither(t, v, b)
	}
	text, ok := v.(starlark.String)
	if !ok {
		return fmt.Errorf("got %s, want %s", v.Type(), t)
	}
	if t.Format.Name == types.Joined {
		return c.encodeArgs(t, string(text), b)
	}
	if !c.parseText(t, string(text), b) {
		return fmt.Errorf("%s is not a text in the format %q", text, t.Format.Arg)
	}
	return nil
}

func (c *Codec) encodeStruct(t *types.Type, v starlark.Value, b []byte) error {
	s, ok := v.(*structs.Struct)
	if !ok {
		return fmt.Errorf("got %s, want %s", v.Type(), t)
	}
	names := t.Fields()
	if have := s.AttrNames(); len(have) != len(names) {
		return fmt.Errorf("got a struct with %s, want one with %s", strings.Join(have, ", "), strings.Join(names, ", "))
	}
	for i, e := range t.Elem.Elems {
		x, err := s.Attr(names[i])
		if err != nil {
			return err
		}
		if x == nil {
			return fmt.Errorf("got a struct with %s, want one with %s", strings.Join(s.AttrNames(), ", "), strings.Join(names, ", "))
		}
		if err := c.Encode(e, x, b); err != nil {
			return fmt.Errorf("field %s: %w", names[i], err)
		}
		b = b[e.Size():]
	}
	return nil
}

func (c *Codec) encodeEither(t *types.Type, v starlark.Value, b []byte) error {
	for _, e := range t.Elem.Elems {
		if c.Encode(e, v, b) == nil && v != starlark.None && sameText(c.Decode(e, b), v) {
			return nil
		}
		clear(b[:e.Size()])
		b = b[e.Size():]
	}
	return fmt.Errorf("got %s, want %s", v.Type(), t)
}

// A textParser finds the arguments of a text. It tries how much of the text is that of each
// argument, the longest part first, and remembers where it has failed.
type textParser struct {
	c      *Codec
	form   string
	pieces []types.Piece
	failed map[[2]int]bool // by piece and by bytes of text left
}

// parseText writes to b arguments with which the format of t gives the text. It returns false if
// there are none.
func (c *Codec) parseText(t *types.Type, text string, b []byte) bool {
	pieces, _ := types.Pieces(t.Format.Arg)
	if slices.ContainsFunc(pieces, func(p types.Piece) bool { return strings.Contains(p.Flags, "*") }) {
		return false
	}
	p := &textParser{c: c, form: t.Format.Name, pieces: pieces, failed: map[[2]int]bool{}}
	return p.parse(0, t.Elem.Elems, text, b)
}

// parse parses the text from piece i on; args are the types of the remaining arguments.
func (p *textParser) parse(i int, args []*types.Type, text string, b []byte) bool {
	if i == len(p.pieces) {
		return text == ""
	}
	piece, at := p.pieces[i], [2]int{i, len(text)}
	if piece.Verb == 0 {
		rest, ok := strings.CutPrefix(text, piece.Literal)
		return ok && p.parse(i+1, args, rest, b)
	}
	if p.failed[at] {
		return false
	}
	t := args[0]
	for n := min(len(text), longest(piece, t)); n >= 0; n-- {
		if i+1 < len(p.pieces) && !strings.HasPrefix(text[n:], p.pieces[i+1].Literal) {
			continue
		}
		v, err := p.c.parsePart(piece, t, text[:n])
		if err != nil || p.c.Encode(t, v, b) != nil || !p.shows(piece, p.c.Decode(t, b), text[:n]) {
			continue
		}
		if p.parse(i+1, args[1:], text[n:], b[t.Size():]) {
			return true
		}
	}
	p.failed[at] = true
	return false
}

// longest returns the maximum number of bytes of an argument's text.
func longest(p types.Piece, t *types.Type) int {
	switch {
	case p.Digits(t) != "":
		return max(p.Width(), 70)
	case t.Kind == types.Str && p.Verb == 's':
		return max(t.Cap-1, 4*p.Width()) // a character has at most four bytes
	}
	return math.MaxInt
}

// shows reports whether a conversion of v has this text.
func (p *textParser) shows(piece types.Piece, v starlark.Value, text string) bool {
	got, err := formatText(&types.Format{Name: p.form, Arg: "%" + piece.Flags + string(piece.Verb)}, starlark.Tuple{v})
	return err == nil && got == text
}

// sameText reports whether a script sees the same value in v and w. A name can have other forms,
// such as a number for an error, that stand for the same value in the kernel.
func sameText(v, w starlark.Value) bool { return v.Type() == w.Type() && v.String() == w.String() }

// parsePart returns the argument that a conversion showed as this text.
func (c *Codec) parsePart(p types.Piece, t *types.Type, text string) (starlark.Value, error) {
	if p.Digits(t) != "" {
		return parseNumber(p, t, text)
	}
	switch {
	case t.Kind == types.Opt && text == "None":
		return starlark.None, nil
	case t.Kind == types.Opt:
		return c.parsePart(p, t.Elem, text)
	case t.IsEither():
		for _, a := range t.Alternatives() {
			b := make([]byte, a.Size())
			if v, err := c.parsePart(p, a, text); err == nil && c.Encode(a, v, b) == nil && sameText(c.Decode(a, b), v) {
				return v, nil
			}
		}
		return nil, errNoInverse
	case p.Verb == 'r':
		return unquote(t, text)
	}
	if n := len([]rune(text)); n == p.Width() && strings.Contains(p.Flags, "-") {
		text = strings.TrimRight(text, " ")
	} else if n == p.Width() {
		text = strings.TrimLeft(text, " ")
	}
	switch {
	case t.Kind == types.Bool && p.Verb == 's':
		return starlark.Bool(text == "True"), nil
	case p.Verb == 'c' && t.IsInt():
		if r := []rune(text); len(r) == 1 {
			return starlark.MakeInt(int(r[0])), nil
		}
	case p.Verb == 's' && (t.Kind == types.Str || t.Kind == types.Formatted && !t.IsStruct()):
		return starlark.String(text), nil
	}
	return nil, errNoInverse
}

// unquote is the inverse of %r, for strings and bools.
func unquote(t *types.Type, text string) (starlark.Value, error) {
	x, err := new(syntax.FileOptions).ParseExpr("", text, 0)
	lit, ok := x.(*syntax.Literal)
	switch {
	case err == nil && ok && lit.Token == syntax.STRING:
		return starlark.String(lit.Value.(string)), nil
	case t.Kind == types.Bool:
		return starlark.Bool(text == "True"), nil
	}
	return nil, errNoInverse
}

var errNoInverse = errors.New("no inverse")

func parseNumber(p types.Piece, t *types.Type, text string) (starlark.Value, error) {
	base := map[byte]int{'x': 16, 'X': 16, 'p': 16, 'o': 8, 'b': 2}[p.Verb]
	digits := strings.TrimLeft(strings.TrimSpace(text), "+")
	negative := strings.HasPrefix(digits, "-")
	digits = strings.TrimPrefix(digits, "-")
	if base == 0 {
		base = 10
	} else {
		digits = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(digits), "0x"), "0b")
	}
	n, ok := new(big.Int).SetString(digits, base)
	switch {
	case !ok:
		return nil, errNoInverse
	case negative:
		n.Neg(n)
	case t.Kind == types.Int && !n.IsInt64() && n.IsUint64(): // %x of a negative number
		n.SetInt64(int64(n.Uint64()))
	case t.Kind == types.Bool:
		return starlark.Bool(n.Sign() != 0), nil
	}
	return starlark.MakeBigInt(n), nil
}
