package starlarkbind

import (
	"fmt"
	"strings"
)

// A generator makes random handlers from the grammar of the handler language, each as two texts: kernel is what a user
// would write; host is the same with each operation on integers inside w(...), which wraps at 64 bits: the interpreter's
// integers have no end, the kernel's wrap.
type generator struct {
	data         []byte // the choices: what is left of them; zeros when they are used up
	host, kernel strings.Builder
	indent       int
	budget       int // statements left
	loops        int
	helpers      int // functions that can be called
	inHelper     bool
	inFor        bool
	labels       bool // the function label can be called
}

// An ex is an expression in both texts.
type ex struct {
	h, k     string
	t        string // "int", "bool", "str", "tuple"
	unsigned bool   // as the compiler types it
	natural  bool   // signed, but never negative, as the compiler sees it
	konst    bool   // an int constant that is not negative
	literal  bool
}

// n is a choice from 0 to max-1.
func (g *generator) n(max int) int {
	if len(g.data) == 0 {
		g.budget = 0
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return int(b) % max
}

func pick[T any](g *generator, xs ...T) T { return xs[g.n(len(xs))] }

var edgeInts = []string{"0", "1", "2", "3", "7", "8", "10", "63", "64", "255", "1000", "4096", "2147483647", "4294967295", "9223372036854775807",
	"-1", "-2", "-7", "-8", "-10", "-4096", "-2147483648", "-9223372036854775807"}

// integers in the event; see oracleEvent.
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
	f := pick(g, intFields...)
	return ex{h: "e.args." + f.name, k: "e.args." + f.name, t: "int", unsigned: f.unsigned, natural: f.name == "u32"}
}

// variable is an int that is no literal: the compiler computes with literals as they are, and refuses what does not fit.
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

// signed is x as a signed number: a difference is one.
func (x ex) signed() ex {
	if !x.unsigned {
		return x
	}
	return ex{h: "w(" + x.h + ")", k: "(" + x.k + " - 0)", t: "int"}
}

// joined makes one type of two values that meet: an unsigned one stays so beside one that is never negative.
func joined(x, y ex) (ex, ex, bool) {
	if (x.unsigned || y.unsigned) && x.neverNegative() && y.neverNegative() {
		return x, y, true
	}
	return x.signed(), y.signed(), false
}

func (g *generator) arith(op string, x, y ex) ex {
	uns := x.neverNegative() && y.neverNegative() && (x.unsigned || y.unsigned)
	natural := false
	switch op {
	case "-":
		uns = false
	case "&":
		natural = x.konst || y.konst || x.natural || y.natural
		uns = uns && !natural
	case "<<", ">>":
		uns = x.unsigned
	case "//":
		if y.konst && y.k != "1" && x.unsigned {
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
	switch g.n(14) {
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
			s := pick(g, "s", "e.args.s", "l", "q") // the length of a literal is one too
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
		x, y := g.variable(depth-1), g.variable(depth-1)
		f := pick(g, "min", "max")
		uns := x.unsigned && y.unsigned || f == "max" && (x.unsigned || y.unsigned)
		natural := x.neverNegative() && y.neverNegative()
		if f == "max" {
			natural = x.neverNegative() || y.neverNegative()
		}
		return ex{h: f + "(" + x.h + ", " + y.h + ")", k: f + "(" + x.k + ", " + y.k + ")", t: "int", unsigned: uns, natural: natural && !uns}
	case 10:
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

// tuple is one of three signed ints.
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

// Strings of the kernel end at their last byte that is no NUL: z does the same in the host's text. The wide ones do not fit
// on the stack.
func (g *generator) wide(depth int) ex {
	return pick(g, ex{h: "l", k: "l", t: "str"}, ex{h: "l", k: "l", t: "str"}, ex{h: "wides[0]", k: "wides[0]", t: "str"}, ex{h: "wides[1]", k: "wides[1]", t: "str"}, g.str(depth))
}

func (g *generator) bounds() string {
	at := func() string {
		return pick(g, "", "0", "1", "2", "3", "7", "8", "9", "17", "-1", "-2", "-5", "-8", "-9", "-300", "290")
	}
	return "[" + at() + ":" + at() + "]"
}

// part is one byte of a string, or some.
func (g *generator) part(depth int) ex {
	s := pick(g, "s", "e.args.s", "e.args.r", "l", "q")
	if g.n(2) == 0 {
		b := g.bounds()
		return ex{h: "z(" + s + b + ")", k: s + b, t: "str"}
	}
	i := g.at(depth)
	return ex{h: "z(" + s + "[" + i.h + "])", k: s + "[" + i.k + "]", t: "str"}
}

// at is an index: often a good one.
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

// bytes8 is eight bytes, bytes is any number of them.
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

// compare is a comparison of which the compiler does not know the outcome.
func (g *generator) compare(depth int) ex {
	x, y, op := g.variable(depth), g.int(depth), pick(g, "==", "!=", "<", "<=", ">", ">=")
	return ex{h: "(" + x.h + " " + op + " " + y.h + ")", k: "(" + x.k + " " + op + " " + y.k + ")", t: "bool"}
}

// cond is a condition: also an int or a string by its truth.
func (g *generator) cond(depth int) ex {
	switch g.n(6) {
	case 0:
		return g.variable(depth)
	case 1:
		return g.str(depth)
	}
	return g.bool(depth)
}

func (g *generator) line(h, k string) {
	pad := strings.Repeat("    ", g.indent)
	g.host.WriteString(pad + h + "\n")
	g.kernel.WriteString(pad + k + "\n")
}

func (g *generator) both(s string) { g.line(s, s) }

func (g *generator) block(depth int) {
	g.indent++
	n := 1 + g.n(3)
	for i := 0; i < n && g.budget > 0; i++ {
		g.stmt(depth)
	}
	g.both("pass")
	g.indent--
}

func (g *generator) stmt(depth int) {
	g.budget--
	switch g.n(25) {
	case 22, 23, 24:
		g.handLoop(depth)
	case 17:
		g.pair()
	case 18:
		g.emit()
	case 19:
		x, y := g.variable(2), g.variable(2)
		g.line("a, b = w("+x.h+"), w("+y.h+")", "a, b = "+x.k+" - 0, "+y.k+" - 0")
	case 20:
		k := g.int(2)
		g.line("a = w(tab.get(w("+k.h+")) or b)", "a = tab.get("+k.signed().k+") or b")
	case 21:
		if depth <= 0 || g.loops >= 2 || g.inHelper {
			g.both("a, b = b, a")
			return
		}
		g.items(depth)
	case 0, 1:
		v, x := pick(g, "a", "b", "c"), g.int(3)
		if g.inFor && v == "c" {
			v = "a"
		}
		g.line(v+" = w("+x.h+")", v+" = "+x.signed().k)
	case 2:
		v, x := pick(g, "a", "b"), g.int(2)
		op := pick(g, "+", "-", "*", "&", "|", "^")
		g.line(v+" = w("+v+" "+op+" "+x.h+")", v+" "+op+"= "+x.k)
	case 3:
		x := g.bool(3)
		g.line("p = "+x.h, "p = "+x.k)
	case 4:
		switch g.n(5) {
		case 0:
			x := g.wide(2)
			g.line("l = "+x.h, "l = "+x.k)
		case 1:
			x := g.bytes8(2)
			g.line("y = "+x.h, "y = "+x.k)
		case 2:
			x := g.str(2)
			g.line("q = "+x.h, "q = "+x.k)
		default:
			x := g.str(2)
			g.line("s = "+x.h, "s = "+x.k)
		}
	case 5, 6:
		if depth <= 0 {
			g.both("pass")
			return
		}
		c := g.cond(3)
		g.line("if "+c.h+":", "if "+c.k+":")
		g.block(depth - 1)
		if g.n(3) == 0 {
			c := g.cond(2)
			g.line("elif "+c.h+":", "elif "+c.k+":")
			g.block(depth - 1)
		}
		if g.n(2) == 0 {
			g.both("else:")
			g.block(depth - 1)
		}
	case 7:
		if depth <= 0 || g.loops >= 2 || g.inHelper {
			g.both("pass")
			return
		}
		g.loop(depth)
	case 8:
		if g.loops > 0 {
			c := g.bool(2)
			g.line("if "+c.h+":", "if "+c.k+":")
			g.both("    " + pick(g, "break", "continue"))
			return
		}
		x := g.tuple(2)
		g.line("tu = "+x.h, "tu = "+x.k)
	case 9:
		if g.inHelper {
			x := g.variable(2)
			g.line("return w("+x.h+")", "return "+x.signed().k)
			return
		}
		if g.n(4) == 0 {
			g.both("return")
			return
		}
		x := g.tuple(2)
		g.line("a, b, _ = "+x.h, "a, b, _ = "+x.k)
	case 10, 11:
		g.add()
	case 12, 13:
		g.table()
	case 14:
		x, y, z := g.variable(2), g.str(1), g.bool(2)
		if g.n(2) == 0 {
			g.line("print("+x.h+", "+y.h+", "+z.h+", tu, y, l)", "print("+x.k+", "+y.k+", "+z.k+", tu, y, l)")
		} else {
			g.line(`printf("%d|%x|%s|%5s|%s\n", w(`+x.h+"), w("+x.h+") & 255, "+y.h+", "+y.h+", "+z.h+")", `printf("%d|%x|%s|%5s|%s\n", `+x.k+" - 0, "+x.k+" & 255, "+y.k+", "+y.k+", "+z.k+")")
		}
	case 15:
		k, m := g.int(2), pick(g, "get", "pop")
		g.line("o = tab."+m+"(w("+k.h+"))", "o = tab."+m+"("+k.signed().k+")")
		g.both("if o != None:")
		g.line("    a = w(o)", "    a = o")
		g.both("else:")
		g.both("    none.add()")
	case 16:
		if depth <= 0 || g.loops >= 2 || g.inHelper {
			g.both("pass")
			return
		}
		g.longLoop(depth)
	}
}

// longLoop is a loop of which the compiler does not know the length.
func (g *generator) longLoop(depth int) {
	if g.n(3) == 0 {
		g.both("for k, v in tab.items():") // in any order
		g.line("    a = w(a + 3 * k + v)", "    a += 3 * k + v")
		g.both("    if k == c:")
		g.both("        by_int.add(by=v)")
		return
	}
	if g.n(2) == 0 {
		x := g.variable(2)
		step := pick(g, "1", "2", "3", "-2")
		bound := "0, "
		if step == "-2" {
			bound = "7, "
		}
		g.line("for c in range("+bound+"w("+x.h+") & 7, "+step+"):", "for c in range("+bound+x.k+" & 7, "+step+"):")
		g.body(depth, true)
		return
	}
	z := fmt.Sprintf("z%d", g.loops+1)
	g.both(z + " = 0")
	c := g.cond(2)
	g.line("while "+z+" < 6 and "+c.h+":", "while "+z+" < 6 and "+c.k+":")
	g.both("    " + z + " += 1")
	g.body(depth, false)
}

func (g *generator) loop(depth int) {
	switch g.n(4) {
	case 0:
		g.both(fmt.Sprintf("for c in range(%d):", 1+g.n(5)))
	case 1:
		g.both(fmt.Sprintf("for c in range(%d, %d, %d):", g.n(5), -g.n(5), -1-g.n(3)))
	case 2:
		g.both("for c in few:")
	case 3:
		g.both("for s in strs:")
	}
	g.body(depth, true)
}

// body is the block of a loop. counts says that c may not be assigned to in it.
func (g *generator) body(depth int, counts bool) {
	was := g.inFor
	g.loops++
	g.inFor = was || counts
	g.block(depth - 1)
	g.inFor = was
	g.loops--
}

// add adds to an aggregation. Helpers add too.
func (g *generator) add() {
	v := g.variable(2)
	switch g.n(6) {
	case 5:
		k := g.bytes8(2)
		g.line("by_bytes.add(w("+v.h+"), by="+k.h+")", "by_bytes.add("+v.k+" - 0, by="+k.k+")")
	case 0:
		k := g.int(2)
		g.line("by_int.add(by=w("+k.h+"))", "by_int.add(by="+k.signed().k+")")
	case 1:
		k := g.str(2)
		g.line("by_str.add(w("+v.h+"), by="+k.h+")", "by_str.add("+v.k+" - 0, by="+k.k+")")
	case 2:
		k, s := g.tuple(2), g.str(1)
		g.line("by_tuple.add(w("+v.h+"), by=("+s.h+", "+k.h+"))", "by_tuple.add("+v.k+" - 0, by=("+s.k+", "+k.k+"))")
	case 3:
		b := g.bool(2)
		g.line("by_bool.add(w("+v.h+"), by="+b.h+")", "by_bool.add("+v.k+" - 0, by="+b.k+")")
	case 4:
		m := pick(g, "total", "most", "least", "spread", "mean", "linear")
		g.line(m+".add(w("+v.h+"))", m+".add("+v.k+" - 0)")
	}
}

func (g *generator) table() {
	k, v := g.int(1), g.variable(2)
	kh, vh := "w("+k.h+")", "w("+v.h+")"
	switch g.n(7) {
	case 0, 1:
		g.line("tab["+kh+"] = "+vh, "tab["+k.signed().k+"] = "+v.signed().k)
	case 2:
		g.line("tab["+kh+"] = w(tab["+kh+"] + "+v.h+")", "tab["+k.signed().k+"] += "+v.signed().k)
	case 3:
		g.line("a = w(tab.add("+vh+", by="+kh+"))", "a = tab.add("+v.signed().k+", by="+k.signed().k+")")
	case 4:
		s, x := g.str(1), g.str(1)
		g.line("words["+s.h+"] = "+x.h, "words["+s.k+"] = "+x.k)
	case 5:
		s := g.str(1)
		g.line("s = words.get("+s.h+", \"a\")", "s = words.get("+s.k+", \"a\")")
	case 6:
		g.line("if "+kh+" in tab:", "if "+k.signed().k+" in tab:")
		g.line("    a = w(tab["+kh+"])", "    a = tab["+k.signed().k+"]")
		g.line("    tab["+kh+"] = w(tab["+kh+"] + "+v.h+")", "    tab["+k.signed().k+"] += "+v.signed().k)
		g.line("    b = w(tab["+kh+"])", "    b = tab["+k.signed().k+"]")
	}
}

const oracleGlobals = `ints = [%s]
few = [3, -1, 8]
strs = ["a", "abc", "abcdefgh"]
names_int = {1: 10, -1: 20, 7: 30, 255: 40}
names_str = {"a": 1, "abcdefgh": 2}
some = set([1, 2, 7])
PAT = b"ab,1"
wides = ["abcdefghi" * 40, "abc\x00" + "xyz" * 100 + "ab"]
`

// prologue gives every local a value, and every map its types.
const oraclePrologue = `    a, b, c, p, s, o = 1 + e.args.i64 * 0, -2, 3 + e.args.i64 * 0, False, "ab", None # signed, whatever is assigned to them
    tu = (a, b, c)
    q, l, y = e.args.r, wides[0], e.args.raw8
    if e.args.i64 == 1234567890123456789:
        o = e.args.i64
        s = e.args.long
        tab[e.args.i64] = -1
        words["abcdefghijklmno"] = e.args.long
        pairs[(e.args.long, e.args.i64)] = ((e.args.j64, e.args.long), p)
        by_int.add(by=e.args.i64)
        by_str.add(-1, by=s)
        by_tuple.add(-1, by=(s, tu))
        by_bool.add(-1, by=p)
        by_bytes.add(-1, by=y)
        total.add(-1)
        most.add(-1)
        least.add(-1)
        spread.add(-1)
        mean.add(-1)
        linear.add(-1)
        none.add()
`

// generate makes a handler named handler in both texts.
func generate(data []byte) (host, kernel string) {
	g := &generator{data: data, budget: 14}
	globals := fmt.Sprintf(oracleGlobals, strings.Join(edgeInts[:4+g.n(len(edgeInts)-4)], ", "))
	g.host.WriteString(globals)
	g.kernel.WriteString(globals)
	helpers := g.n(3)
	for i := 0; i < helpers; i++ {
		g.inHelper = true
		g.both(fmt.Sprintf("def helper%d(a, b):", i))
		g.indent++
		g.both(`c, p, s, tu, o = 3 + b * 0, True, "a", (a, b, 3 + b * 0), None`)
		// e is not there: take its fields from what is
		n := 1 + g.n(3)
		for j := 0; j < n; j++ {
			x := g.pureInt(2)
			v := pick(g, "a", "b", "c")
			switch g.n(4) {
			case 0:
				g.line("if "+x.h+" > b:", "if "+x.k+" > b:")
				g.line("    return w("+x.h+")", "    return "+x.k)
			case 1:
				g.both(pick(g, "for i in few:", "for i in range(b & 3):", "for i in (a, 2, b):"))
				g.line("    if "+x.h+" > i:", "    if "+x.k+" > i:")
				g.line("        return w("+x.h+")", "        return "+x.k)
				g.line("    "+v+" = w("+v+" + i)", "    "+v+" += i")
			default:
				g.line(v+" = w("+x.h+")", v+" = "+x.signed().k)
			}
		}
		x := g.pureInt(2)
		g.line("return w("+x.h+")", "return "+x.signed().k)
		g.indent--
		g.inHelper = false
		g.helpers = i + 1
	}
	if g.n(3) == 0 {
		g.label()
	}
	g.both("def handler(e):")
	g.host.WriteString(oraclePrologue)
	g.kernel.WriteString(oraclePrologue)
	g.indent = 1
	for g.budget > 0 {
		g.stmt(3)
	}
	g.both("by_int.add(by=a)")
	g.both(`by_str.add(b, by=s)`)
	return g.host.String(), g.kernel.String()
}

// pureInt is an int expression over a, b and c alone.
func (g *generator) pureInt(depth int) ex {
	v := pick(g, "a", "b", "c")
	x := ex{h: v, k: v, t: "int"}
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
