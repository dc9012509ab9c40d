// Package cfmt formats Starlark values with C's printf formats. Flags, width and precision are
// those of C (ISO C11, 7.21.6.1); integers may have any size; %s formats any value and %r its repr.
// Length modifiers are accepted and ignored.
package cfmt

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/plural"
	"go.starlark.net/starlark"
)

// spec is one conversion specification.
type spec struct {
	minus, plus, space, alt, zero bool
	width, prec                   int
	hasPrec                       bool
	verb                          byte
}

// Sprintf formats the arguments. Errors begin with "printf: ".
func Sprintf(format string, args []starlark.Value) (string, error) {
	var b strings.Builder
	n := 0
	next := func() (starlark.Value, error) {
		if n >= len(args) {
			return nil, fmt.Errorf("printf: the format needs more than %s", plural.Of(len(args), "argument"))
		}
		n++
		return args[n-1], nil
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		sp, end, err := parse(format, i+1, next)
		if err != nil {
			return "", err
		}
		i = end
		if sp.verb == '%' {
			b.WriteByte('%')
			continue
		}
		v, err := next()
		if err != nil {
			return "", err
		}
		s, err := sp.format(v, n)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	if n != len(args) {
		return "", fmt.Errorf("printf: the format needs %s, got %d", plural.Of(n, "argument"), len(args))
	}
	return b.String(), nil
}

// Arguments returns the number of arguments that a format takes. It returns an error if the format
// is invalid for any arguments.
func Arguments(format string) (int, error) {
	n := 0
	next := func() (starlark.Value, error) { n++; return starlark.MakeInt(0), nil }
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		sp, end, err := parse(format, i+1, next)
		if err != nil {
			return 0, err
		}
		i = end
		switch {
		case sp.verb == '%':
		case strings.IndexByte("srdiuxXobpcfFeEgG", sp.verb) >= 0:
			n++
		default:
			return 0, noConversion(sp.verb)
		}
	}
	return n, nil
}

func noConversion(verb byte) error { return fmt.Errorf("printf: unknown conversion %%%c", verb) }

// parse parses a conversion at index i of f, just after its percent sign. It calls next for the
// argument of each *. end is the index of the last byte of the conversion.
func parse(f string, i int, next func() (starlark.Value, error)) (sp spec, end int, err error) {
	for ; i < len(f); i++ {
		switch f[i] {
		case '-':
			sp.minus = true
		case '+':
			sp.plus = true
		case ' ':
			sp.space = true
		case '#':
			sp.alt = true
		case '0':
			sp.zero = true
		default:
			goto width
		}
	}
width:
	number := func() (int, error) {
		if i < len(f) && f[i] == '*' {
			i++
			v, err := next()
			if err != nil {
				return 0, err
			}
			n, err := starlark.AsInt32(v)
			if err != nil {
				return 0, fmt.Errorf("printf: * needs an int, got %s", v.Type())
			}
			return n, nil
		}
		n := 0
		for ; i < len(f) && f[i] >= '0' && f[i] <= '9'; i++ {
			if n = n*10 + int(f[i]-'0'); n > 1<<20 {
				return 0, fmt.Errorf("printf: the width or precision is too large")
			}
		}
		return n, nil
	}
	if sp.width, err = number(); err != nil {
		return
	}
	if sp.width < 0 {
		sp.minus, sp.width = true, -sp.width
	}
	if i < len(f) && f[i] == '.' {
		i++
		sp.hasPrec = true
		if sp.prec, err = number(); err != nil {
			return
		}
		if sp.prec < 0 {
			sp.hasPrec = false
		}
	}
	for i < len(f) && strings.IndexByte("hlzjt", f[i]) >= 0 {
		i++
	}
	if i >= len(f) {
		return sp, i, fmt.Errorf("printf: the format ends in the middle of a conversion: %q", f)
	}
	sp.verb = f[i]
	return sp, i, nil
}

func (sp *spec) format(v starlark.Value, arg int) (string, error) {
	switch sp.verb {
	case 's', 'r':
		s := v.String()
		if str, ok := starlark.AsString(v); ok && sp.verb == 's' {
			s = str
		}
		if sp.hasPrec && sp.prec < len(s) {
			s = s[:sp.prec]
		}
		return sp.pad("", s), nil
	case 'd', 'i', 'u', 'x', 'X', 'o', 'b', 'p', 'c':
		n, err := toInt(v)
		if err != nil {
			return "", fmt.Errorf("printf: %%%c needs an int, got %s (argument %d)", sp.verb, v.Type(), arg)
		}
		if sp.verb == 'c' {
			return sp.pad("", string(rune(n.Int64()))), nil
		}
		return sp.integer(n), nil
	case 'f', 'F', 'e', 'E', 'g', 'G':
		x, ok := starlark.AsFloat(v)
		if !ok {
			return "", fmt.Errorf("printf: %%%c needs a number, got %s (argument %d)", sp.verb, v.Type(), arg)
		}
		return sp.float(x), nil
	}
	return "", noConversion(sp.verb)
}

func toInt(v starlark.Value) (*big.Int, error) {
	switch v := v.(type) {
	case starlark.Int:
		return v.BigInt(), nil
	case starlark.Bool:
		if v {
			return big.NewInt(1), nil
		}
		return new(big.Int), nil
	}
	return nil, fmt.Errorf("not an int")
}

var two64 = new(big.Int).Lsh(big.NewInt(1), 64)

// integer formats n for an integer verb. Unsigned verbs show negative numbers as 64-bit words.
func (sp *spec) integer(n *big.Int) string {
	sign, prefix, base := "", "", 10
	switch sp.verb {
	case 'd', 'i':
		switch {
		case n.Sign() < 0:
			sign = "-"
		case sp.plus:
			sign = "+"
		case sp.space:
			sign = " "
		}
		n = new(big.Int).Abs(n)
	default:
		if n.Sign() < 0 { // two's complement in 64 bits
			n = new(big.Int).Add(n, two64)
		}
		switch sp.verb {
		case 'x', 'X', 'p':
			base = 16
		case 'o':
			base = 8
		case 'b':
			base = 2
		}
	}
	digits := n.Text(base)
	if sp.alt && n.Sign() != 0 || sp.verb == 'p' {
		prefix = map[byte]string{'x': "0x", 'X': "0X", 'p': "0x", 'o': "0", 'b': "0b"}[sp.verb]
	}
	if sp.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	if sp.hasPrec {
		if sp.prec == 0 && n.Sign() == 0 {
			digits = ""
		}
		digits = strings.Repeat("0", max(0, sp.prec-len(digits))) + digits
	} else if sp.zero && !sp.minus {
		digits = strings.Repeat("0", max(0, sp.width-len(sign)-len(prefix)-len(digits))) + digits
	}
	return sp.pad(sign+prefix, digits)
}

func (sp *spec) float(x float64) string {
	prec := 6
	if sp.hasPrec {
		prec = sp.prec
	}
	var s string
	switch verb := sp.verb; verb {
	case 'g', 'G':
		s = fmt.Sprintf("%."+strconv.Itoa(max(prec, 1))+string(verb), x)
	case 'F':
		s = strconv.FormatFloat(x, 'f', prec, 64)
	default:
		s = strconv.FormatFloat(x, verb, prec, 64)
	}
	sign := ""
	switch {
	case strings.HasPrefix(s, "-"):
		sign, s = "-", s[1:]
	case sp.plus:
		sign = "+"
	case sp.space:
		sign = " "
	}
	s = strings.TrimPrefix(s, "+")
	if sp.zero && !sp.minus {
		s = strings.Repeat("0", max(0, sp.width-len(sign)-len(s))) + s
	}
	return sp.pad(sign, s)
}

// pad pads prefix+s with blanks to the width, on the left unless the - flag is set.
func (sp *spec) pad(prefix, s string) string {
	n := len([]rune(prefix + s))
	if n >= sp.width {
		return prefix + s
	}
	fill := strings.Repeat(" ", sp.width-n)
	if sp.minus {
		return prefix + s + fill
	}
	return fill + prefix + s
}
