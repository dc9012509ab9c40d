package codec

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

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
	text, err := formatText(t.Format, parts)
	if err != nil { // the checker has compared the format with the types
		c.report(err)
	}
	return starlark.String(text)
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
	args, err := c.parseText(t, string(text))
	if err != nil {
		return err
	}
	if err := c.Encode(t.Elem, args, b); err != nil {
		return err
	}
	if c.compose(t, b) != text {
		return notThatText(t, text)
	}
	return nil
}

func notThatText(t *types.Type, text starlark.String) error {
	return fmt.Errorf("%s is not a text in the format %q", text, t.Format.Arg)
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
	var last error
	for _, e := range t.Elem.Elems {
		err := c.Encode(e, v, b)
		if err == nil && v != starlark.None {
			return nil
		}
		clear(b[:e.Size()])
		last = err
		b = b[e.Size():]
	}
	if v == starlark.None || len(t.Elem.Elems) > 1 {
		return fmt.Errorf("got %s, want %s", v.Type(), t)
	}
	return last
}

// parseText returns arguments with which the format of t gives the text.
func (c *Codec) parseText(t *types.Type, text string) (starlark.Tuple, error) {
	pieces, _ := types.Pieces(t.Format.Arg)
	var pattern strings.Builder
	pattern.WriteString("^(?s)")
	n := 0
	for _, p := range pieces {
		switch {
		case p.Verb == 0:
			pattern.WriteString(regexp.QuoteMeta(p.Literal))
		case n >= len(t.Elem.Elems): // a width among the arguments
			return nil, fmt.Errorf("a script cannot make keys in the format %q", t.Format.Arg)
		case p.Digits(t.Elem.Elems[n]) != "":
			pattern.WriteString("( *[-+ ]?(?:0[xXb])?[0-9a-fA-F]+ *)")
			n++
		default:
			pattern.WriteString("(.*)")
			n++
		}
	}
	re, err := regexp.Compile(pattern.String() + "$")
	if err != nil {
		return nil, err
	}
	found := re.FindStringSubmatch(text)
	if found == nil || n != len(t.Elem.Elems) {
		return nil, notThatText(t, starlark.String(text))
	}
	args := make(starlark.Tuple, n)
	n = 0
	for _, p := range pieces {
		if p.Verb == 0 {
			continue
		}
		if args[n], err = c.parsePart(p, t.Elem.Elems[n], found[n+1]); err != nil {
			return nil, notThatText(t, starlark.String(text))
		}
		n++
	}
	return args, nil
}

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
	case t.Kind == types.Bool && p.Verb == 's':
		return starlark.Bool(text == "True"), nil
	case t.IsEither():
		for _, a := range t.Alternatives() {
			if v, err := c.parsePart(p, a, text); err == nil && c.Encode(a, v, make([]byte, a.Size())) == nil {
				return v, nil
			}
		}
	case p.Verb == 'c' && t.IsInt():
		if r := []rune(strings.TrimSpace(text)); len(r) == 1 {
			return starlark.MakeInt(int(r[0])), nil
		}
	case p.Verb == 's' && (t.Kind == types.Str || t.Kind == types.Formatted && !t.IsStruct()):
		return starlark.String(text), nil
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
