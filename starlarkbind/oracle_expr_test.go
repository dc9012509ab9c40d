package starlarkbind

import (
	"fmt"
	"strings"
)

// This file generates the expressions of random handlers.

var edgeInts = []string{"0", "1", "2", "3", "7", "8", "10", "63", "64", "255", "1000", "4096", "2147483647", "4294967295", "9223372036854775807",
	"-1", "-2", "-7", "-8", "-10", "-4096", "-2147483648", "-9223372036854775807"}

// intFields are the integers in an event; see oracleEvent.
var intFields = []struct {
	name     string
	unsigned bool
}{{"i64", false}, {"j64", false}, {"u64", true}, {"v64", true}, {"i32", false}, {"u32", false}}

func (g *generator) intLeaf() ex {
	switch g.n(5) {
	case 0:
		s := pick(g, edgeInts...)
		if s[0] == '-' {
			s = "(" + s + ")"
			return ex{h: s, k: s, t: "int", literal: true}
		}
		return ex{h: s, k: s, t: "int", konst: true, literal: true}
	case 1, 2:
		v := pick(g, "a", "b", "c")
		return ex{h: v, k: v, t: "int"}
	}
	return g.field()
}

// field returns an int of the event.
func (g *generator) field() ex {
	f := pick(g, intFields...)
	return ex{h: "e.args." + f.name, k: "e.args." + f.name, t: "int", unsigned: f.unsigned, natural: f.name == "u32"}
}

// variable returns an int that is not a literal: the compiler evaluates literals exactly, and
// refuses results that do not fit.
func (g *generator) variable(depth int) ex {
	for i := 0; i < 10; i++ {
		if x := g.int(depth); !x.literal {
			return x
		}
	}
	return ex{h: "a", k: "a", t: "int"}
}

func wrap(unsigned bool, h string) string {
	if unsigned {
		return "wu(" + h + ")"
	}
	return "w(" + h + ")"
}

func (x ex) neverNegative() bool { return x.unsigned || x.konst || x.natural }

// signed returns x as a signed number, by making it a difference.
func (x ex) signed() ex {
	if !x.unsigned {
		return x
	}
	return ex{h: "w(" + x.h + ")", k: "(" + x.k + " - 0)", t: "int"}
}

// joined converts two values that are alternatives to one type. An unsigned value stays unsigned if
// the other is never negative. The result reports whether the type is unsigned.
func joined(x, y ex) (ex, ex, bool) {
	if (x.unsigned || y.unsigned) && x.neverNegative() && y.neverNegative() {
		return x, y, true
	}
	return x.signed(), y.signed(), false
}

// beside returns x and y as operands of one arithmetic operation or comparison. If one is unsigned
// and the other is never negative, that one becomes unsigned too, even a sum that has wrapped. For
// any other, the compiler may know more than the generator, so it is made signed by making it a
// difference.
func beside(x, y ex) (ex, ex) {
	if x.unsigned {
		return x, y.besideUnsigned()
	} else if y.unsigned {
		return x.besideUnsigned(), y
	}
	return x, y
}

func (x ex) besideUnsigned() ex {
	switch {
	case x.unsigned, x.konst:
	case x.natural:
		x.h = "wu(" + x.h + ")"
	default:
		x.k = "(" + x.k + " - 0)"
	}
	return x
}

func (g *generator) arith(op string, x, y ex) ex {
	if op != "<<" && op != ">>" {
		x, y = beside(x, y)
	}
	uns := x.neverNegative() && y.neverNegative() && (x.unsigned || y.unsigned)
	natural := x.neverNegative() && y.neverNegative() && !uns
	switch op {
	case "-":
		uns, natural = false, false
	case "&":
		natural = x.konst || y.konst || x.natural || y.natural
		uns = uns && !natural
	case "<<", ">>":
		uns, natural = x.unsigned, x.natural
	case "//":
		if y.konst && strings.Trim(y.k, "()") != "1" && x.unsigned {
			uns, natural = false, true
		}
	case "%":
		if y.konst {
			uns, natural = false, true
		}
	}
	return ex{h: wrap(uns, "("+x.h+" "+op+" "+y.h+")"), k: "(" + x.k + " " + op + " " + y.k + ")", t: "int", unsigned: uns, natural: natural}
}

func (g *generator) int(depth int) ex {
	if depth <= 0 {
		return g.intLeaf()
	}
	switch g.n(17) {
	case 14:
		if g.inHelper {
			return g.intLeaf()
		}
		return g.member(depth - 1)
	case 15:
		return g.literal(depth - 1)
	case 16:
		if g.inHelper {
			return g.intLeaf()
		}
		return g.unsigned(depth - 1)
	case 12:
		x, y, op := g.variable(depth-1), g.variable(depth-1), pick(g, "and", "or")
		x, y, uns := joined(x, y)
		natural := !uns && x.neverNegative() && y.neverNegative()
		return ex{h: wrap(uns, "("+x.h+" "+op+" "+y.h+")"), k: "(" + x.k + " " + op + " " + y.k + ")", t: "int", unsigned: uns, natural: natural}
	case 13:
		s := g.str(depth - 1)
		if g.n(2) == 0 {
			return ex{h: "names_str[" + s.h + "]", k: "names_str[" + s.k + "]", t: "int", natural: true}
		}
		return ex{h: "names_str.get(" + s.h + ", -3)", k: "names_str.get(" + s.k + ", -3)", t: "int"}
	case 0, 1, 2, 3:
		x := g.variable(depth - 1)
		op := pick(g, "+", "-", "*", "&", "|", "^")
		return g.arith(op, x, g.int(depth-1))
	case 4, 5:
		x := g.variable(depth - 1)
		y := g.int(depth - 1)
		if y.literal && y.k == "0" {
			y = ex{h: "7", k: "7", t: "int", konst: true, literal: true}
		}
		return g.arith(pick(g, "//", "%"), x, y)
	case 6:
		x := g.variable(depth - 1)
		y := ex{h: "3", k: "3", t: "int", konst: true, literal: true}
		switch g.n(3) {
		case 0:
			y.h = fmt.Sprint(g.n(70))
			y.k = y.h
		case 1:
			y = g.arith("&", g.variable(depth-1), ex{h: "127", k: "127", t: "int", konst: true, literal: true})
		}
		return g.arith(pick(g, "<<", ">>"), x, y)
	case 7:
		x := g.variable(depth - 1)
		op := pick(g, "-", "~")
		return ex{h: wrap(false, "("+op+x.h+")"), k: "(" + op + x.k + ")", t: "int"}
	case 8:
		c := g.compare(depth - 1)
		x, y, uns := joined(g.variable(depth-1), g.variable(depth-1))
		return ex{h: wrap(uns, "("+x.h+" if "+c.h+" else "+y.h+")"), k: "(" + x.k + " if " + c.k + " else " + y.k + ")", t: "int", unsigned: uns, natural: !uns && x.neverNegative() && y.neverNegative()}
	case 9:
		switch g.n(6) {
		case 0, 1:
			s := pick(g, "s", "e.args.s", "l", "q") // the length of a literal is a literal too
			return ex{h: "len(" + s + ")", k: "len(" + s + ")", t: "int", natural: true}
		case 4:
			x := g.byteOf(depth - 1)
			return ex{h: "ord(" + x.h + ")", k: "ord(" + x.k + ")", t: "int", natural: true}
		case 5:
			b := g.compare(depth - 1)
			return ex{h: "int(" + b.h + ")", k: "int(" + b.k + ")", t: "int", natural: true}
		case 2:
			x := g.variable(depth - 1)
			if x.unsigned || x.natural {
				return x
			}
			return ex{h: wrap(false, "abs("+x.h+")"), k: "abs(" + x.k + ")", t: "int"}
		}
		x, y := beside(g.variable(depth-1), g.variable(depth-1))
		f := pick(g, "min", "max")
		uns := x.unsigned && y.unsigned || f == "max" && (x.unsigned || y.unsigned)
		natural := x.neverNegative() && y.neverNegative()
		if f == "max" {
			natural = x.neverNegative() || y.neverNegative()
		}
		return ex{h: wrap(uns, f+"("+x.h+", "+y.h+")"), k: f + "(" + x.k + ", " + y.k + ")", t: "int", unsigned: uns, natural: natural && !uns}
	case 10:
		if g.readers && g.n(2) == 0 {
			return g.call(depth - 1)
		}
		if g.helpers > 0 && !g.inHelper {
			x, y := g.variable(depth-1), g.variable(depth-1)
			f := fmt.Sprintf("helper%d", g.n(g.helpers))
			return ex{h: "w(" + f + "(w(" + x.h + "), w(" + y.h + ")))", k: f + "((" + x.k + " - 0), (" + y.k + " - 0))", t: "int"}
		}
		return g.intLeaf()
	case 11:
		switch g.n(4) {
		case 0:
			k := g.int(depth - 1)
			return ex{h: "names_int.get(" + k.h + ", 5)", k: "names_int.get(" + k.k + ", 5)", t: "int", natural: true}
		case 1:
			k := g.int(depth - 1)
			return ex{h: "w(tab.get(w(" + k.h + "), 3))", k: "tab.get(" + k.signed().k + ", 3)", t: "int"}
		case 2:
			k := g.int(depth - 1)
			return ex{h: "w(tab[w(" + k.h + ")])", k: "tab[" + k.signed().k + "]", t: "int"}
		}
		i := g.n(3)
		tu := g.tuple(depth - 1)
		return ex{h: fmt.Sprintf("w(%s[%d])", tu.h, i), k: fmt.Sprintf("%s[%d]", tu.k, i), t: "int"}
	}
	return g.intLeaf()
}

// tuple returns a tuple of three signed ints.
func (g *generator) tuple(depth int) ex {
	if depth <= 0 || g.n(3) == 0 {
		return ex{h: "tu", k: "tu", t: "tuple"}
	}
	var h, k []string
	for i := 0; i < 3; i++ {
		x := g.variable(depth - 1)
		h, k = append(h, "w("+x.h+")"), append(k, "("+x.k+" - 0)") // a difference is signed
	}
	return ex{h: "(" + strings.Join(h, ", ") + ")", k: "(" + strings.Join(k, ", ") + ")", t: "tuple"}
}

var strLits = []string{`""`, `"a"`, `"ab"`, `"abc"`, `"abcdefg"`, `"abcdefgh"`, `"abcdefghi"`, `"ünï"`, `"b"`}

// wide returns a string that may be too large for the stack. Strings in the kernel end at their
// last byte that is not NUL; z does the same in the host's text.
func (g *generator) wide(depth int) ex {
	return pick(g, ex{h: "l", k: "l", t: "str"}, ex{h: "l", k: "l", t: "str"}, ex{h: "wides[0]", k: "wides[0]", t: "str"}, ex{h: "wides[1]", k: "wides[1]", t: "str"}, g.str(depth))
}

func (g *generator) bounds() string {
	at := func() string {
		return pick(g, "", "0", "1", "2", "3", "7", "8", "9", "17", "-1", "-2", "-5", "-8", "-9", "-300", "290")
	}
	return "[" + at() + ":" + at() + "]"
}

// part returns one byte or a slice of a string.
func (g *generator) part(depth int) ex {
	s := pick(g, "s", "e.args.s", "e.args.r", "l", "q")
	if g.n(2) == 0 {
		b := g.bounds()
		return ex{h: "z(" + s + b + ")", k: s + b, t: "str"}
	}
	i := g.at(depth)
	return ex{h: "z(" + s + "[" + i.h + "])", k: s + "[" + i.k + "]", t: "str"}
}

// at returns an index, which is in range most of the time.
func (g *generator) at(depth int) ex {
	if g.n(2) == 0 {
		s := pick(g, "0", "0", "0", "1", "2", "-1", "-2", "5", "8")
		return ex{h: s, k: s, t: "int", literal: true}
	}
	x := g.variable(depth)
	if g.n(6) != 0 {
		x = ex{h: "(" + x.h + " & 1)", k: "(" + x.k + " & 1)", t: "int"}
	}
	return x
}

// bytes8 returns bytes of length eight; bytes returns bytes of any length.
func (g *generator) bytes8(depth int) ex {
	if depth > 0 && g.n(4) == 0 {
		c, x, y := g.bool(depth-1), g.bytes8(depth-1), g.bytes8(depth-1)
		return ex{h: "(" + x.h + " if " + c.h + " else " + y.h + ")", k: "(" + x.k + " if " + c.k + " else " + y.k + ")", t: "bytes"}
	}
	s := pick(g, "y", "y", "e.args.raw[0:8]", "e.args.raw[5:13]", "e.args.raw[-8:]", "e.args.raw8", `b"abcdefgh"`, `b"a\x00b\x00\xff\x00\x00\x00"`)
	return ex{h: s, k: s, t: "bytes"}
}

func (g *generator) bytes(depth int) ex {
	switch g.n(4) {
	case 0:
		return g.bytes8(depth)
	case 1:
		s := pick(g, "y", "e.args.raw") + g.bounds()
		return ex{h: s, k: s, t: "bytes"}
	case 2:
		return g.byteOf(depth)
	}
	s := pick(g, "e.args.raw", `b""`, `b"a"`, `b"b\x00"`, `b"\x00\x00"`, `b"cdefghi"`)
	return ex{h: s, k: s, t: "bytes"}
}

func (g *generator) byteOf(depth int) ex {
	s, i := pick(g, "y", "e.args.raw", "e.args.raw8"), g.at(depth)
	return ex{h: s + "[" + i.h + "]", k: s + "[" + i.k + "]", t: "bytes"}
}

func (g *generator) str(depth int) ex {
	if depth > 0 && g.n(4) == 0 {
		return g.part(depth - 1)
	}
	if depth > 0 && g.n(4) == 0 {
		c, x, y := g.bool(depth-1), g.str(depth-1), g.str(depth-1)
		return ex{h: "(" + x.h + " if " + c.h + " else " + y.h + ")", k: "(" + x.k + " if " + c.k + " else " + y.k + ")", t: "str"}
	}
	if depth > 0 && g.labels && g.n(6) == 0 {
		x, y := g.str(depth-1), g.variable(depth-1)
		return ex{h: "label(" + x.h + ", w(" + y.h + "))", k: "label(" + x.k + ", " + y.k + " - 0)", t: "str"}
	}
	if depth > 0 && !g.inHelper && g.n(6) == 0 {
		return g.readString(depth - 1)
	}
	s := pick(g, append([]string{"e.args.s", "e.args.s", "e.args.r", "s", "q", `"a\x00b"`}, strLits[:4]...)...)
	return ex{h: s, k: s, t: "str"}
}

func (g *generator) bool(depth int) ex {
	if depth <= 0 {
		return pick(g, ex{h: "p", k: "p", t: "bool"}, ex{h: "True", k: "True", t: "bool"}, ex{h: "False", k: "False", t: "bool"}, ex{h: "e.args.flag", k: "e.args.flag", t: "bool"})
	}
	two := func(x, y ex, op string) ex {
		return ex{h: "(" + x.h + " " + op + " " + y.h + ")", k: "(" + x.k + " " + op + " " + y.k + ")", t: "bool"}
	}
	switch g.n(18) {
	case 16:
		x, y, op := g.tuple(depth-1), g.tuple(depth-1), pick(g, "==", "!=")
		return two(x, y, op)
	case 17:
		x, y := g.str(depth-1), g.variable(depth-1)
		return ex{h: "((" + x.h + ", w(" + y.h + ")) in pairs)", k: "((" + x.k + ", " + y.k + " - 0) in pairs)", t: "bool"}
	case 11:
		return two(g.wide(depth-1), g.wide(depth-1), pick(g, strOps...))
	case 12:
		return two(g.str(depth-1), g.wide(depth-1), pick(g, "in", "not in"))
	case 13:
		x, y := g.bytes(depth-1), g.bytes(depth-1)
		return two(x, y, pick(g, append([]string{"in", "not in"}, strOps...)...))
	case 14:
		x := g.variable(depth - 1)
		if g.n(8) != 0 {
			x = ex{h: "(" + x.h + " & 255)", k: "(" + x.k + " & 255)", t: "int"}
		}
		return two(x, g.bytes(depth-1), "in")
	case 15:
		s, p, q := g.wide(depth-1), g.wide(depth-1), g.str(depth-1)
		m := "." + pick(g, strMethods...)
		if g.n(2) == 0 {
			return ex{h: "(" + s.h + m + "((" + p.h + ", " + q.h + ")))", k: "(" + s.k + m + "((" + p.k + ", " + q.k + ")))", t: "bool"}
		}
		return ex{h: "(" + s.h + m + "(" + p.h + "))", k: "(" + s.k + m + "(" + p.k + "))", t: "bool"}
	case 0, 1, 2:
		return g.compare(depth - 1)
	case 3:
		return two(g.bool(depth-1), g.bool(depth-1), pick(g, "and", "or"))
	case 4:
		x := g.bool(depth - 1)
		return ex{h: "(not " + x.h + ")", k: "(not " + x.k + ")", t: "bool"}
	case 5:
		return two(g.str(depth-1), g.str(depth-1), pick(g, strOps...))
	case 6:
		x := g.int(depth - 1)
		coll := pick(g, "ints", "few", "names_int", "(1, 5, -1)", "some", "[1, 5, -1]")
		return two(x, ex{h: coll, k: coll}, pick(g, "in", "not in"))
	case 7:
		coll := pick(g, "strs", "names_str", `("a", "abcdefgh")`)
		return two(g.str(depth-1), ex{h: coll, k: coll}, pick(g, "in", "not in"))
	case 8:
		s := g.str(depth - 1)
		lit := pick(g, strLits...)
		m := pick(g, strMethods...)
		return ex{h: "(" + s.h + "." + m + "(" + lit + "))", k: "(" + s.k + "." + m + "(" + lit + "))", t: "bool"}
	case 9:
		x := g.variable(depth - 1)
		return ex{h: "bool(" + x.h + ")", k: "bool(" + x.k + ")", t: "bool"}
	}
	x := g.int(depth - 1)
	return ex{h: "(w(" + x.h + ") in tab)", k: "(" + x.signed().k + " in tab)", t: "bool"}
}

var (
	strOps     = []string{"==", "!=", "<", "<=", ">", ">="}
	strMethods = []string{"startswith", "endswith"}
)

// compare returns a comparison whose result the compiler does not know.
func (g *generator) compare(depth int) ex {
	x, y := beside(g.variable(depth), g.int(depth))
	op := pick(g, "==", "!=", "<", "<=", ">", ">=")
	return ex{h: "(" + x.h + " " + op + " " + y.h + ")", k: "(" + x.k + " " + op + " " + y.k + ")", t: "bool"}
}

// cond returns a condition, which may also be the truth of an int or a string.
func (g *generator) cond(depth int) ex {
	switch g.n(6) {
	case 0:
		return g.variable(depth)
	case 1:
		return g.str(depth)
	}
	return g.bool(depth)
}

// pureInt returns an int expression over a, b, c and, where there is one, the event.
func (g *generator) pureInt(depth int) ex {
	v := pick(g, "a", "b", "c")
	x := ex{h: v, k: v, t: "int"}
	if g.hasEvent && g.n(2) == 0 {
		x = g.field()
	}
	if depth <= 0 {
		return x
	}
	y := g.pureInt(depth - 1)
	if g.helpers > 0 && g.n(6) == 0 {
		f := fmt.Sprintf("helper%d", g.n(g.helpers))
		return ex{h: "w(" + f + "(w(" + x.h + "), w(" + y.h + ")))", k: f + "(" + x.k + " - 0, " + y.k + " - 0)", t: "int"}
	}
	if g.n(3) == 0 {
		s := pick(g, edgeInts...)
		y = ex{h: "(" + s + ")", k: "(" + s + ")", t: "int", konst: s[0] != '-', literal: true}
	}
	if g.n(4) == 0 && y.k != "(0)" {
		return g.arith(pick(g, "//", "%"), x, y)
	}
	return g.arith(pick(g, "+", "-", "*", "&", "|", "^"), x, y)
}
