package starlarkbind

import (
	"fmt"
	"strings"
)

// This file generates the statements of random handlers.

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
	switch g.n(31) {
	case 28, 29, 30:
		if g.inHelper {
			g.both("pass")
			return
		}
		g.texts()
	case 27:
		g.calls()
	case 25, 26:
		g.setUnsigned()
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

// longLoop writes a loop whose length the compiler does not know.
func (g *generator) longLoop(depth int) {
	if g.n(3) == 0 {
		g.both("for key, v in tab.items():") // in any order
		g.line("    a = w(a + 3 * key + v)", "    a += 3 * key + v")
		g.both("    if key == c:")
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

// body writes the block of a loop. counts is true if the block may not assign to c.
func (g *generator) body(depth int, counts bool) {
	was := g.inFor
	g.loops++
	g.inFor = was || counts
	g.block(depth - 1)
	g.inFor = was
	g.loops--
}

// add writes an add to an aggregation. Helpers add too.
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
