package starlarkbind

import "fmt"

// This file generates the functions that random handlers call. One that is called several times
// becomes a subprogram.

// helper writes a function of two ints, which may call those before it.
func (g *generator) helper(i int) {
	g.inHelper = true
	g.both(fmt.Sprintf("def helper%d(a, b):", i))
	g.indent++
	g.both(`c, p, s, tu, o = 3 + b * 0, True, "a", (a, b, 3 + b * 0), None`)
	// A helper does not have e, so it uses its own parameters.
	n := 1 + g.n(3)
	for range n {
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

// reader writes a function that reads the event, in loops of run-time length too, and uses maps.
func (g *generator) reader() {
	g.inHelper, g.hasEvent = true, true
	g.both("def reader(e, a, b):")
	g.indent++
	g.both("c, i = 3 + b * 0, 0")
	for range 1 + g.n(3) {
		x, y := g.pureInt(2), g.pureInt(1)
		v := pick(g, "a", "b", "c")
		set := func(pad string) { g.line(pad+v+" = w("+x.h+")", pad+v+" = "+x.signed().k) }
		loop := func(head string) {
			g.both(head)
			switch g.n(4) {
			case 0:
				l, r := beside(y, ex{h: "b", k: "b", t: "int"})
				g.line("    if "+l.h+" < "+r.h+":", "    if "+l.k+" < "+r.k+":")
				g.both("        " + pick(g, "break", "continue", "return c", "return a"))
			case 1:
				g.both("    total.add(b)")
			case 2:
				g.both("    b = tab.get(a, 3)")
			}
			set("    ")
		}
		switch g.n(5) {
		case 0:
			loop(pick(g, "for i in range(e.args.u32 & 7):", "for i in range(a & 7):", "for i in few:", "for i in range(4):"))
		case 1:
			g.both("i = 0")
			l, r := beside(y, ex{h: "a", k: "a", t: "int"})
			g.line("while i < 5 and "+l.h+" != "+r.h+":", "while i < 5 and "+l.k+" != "+r.k+":")
			g.both("    i += 1")
			set("    ")
		case 2:
			g.both("for key, n in tab.items():") // in any order
			g.line("    "+v+" = w("+v+" + 3 * key + n)", "    "+v+" += 3 * key + n")
		case 3:
			g.both(pick(g, "tab[a] = b", "by_int.add(by=c)", "none.add()", "c = tab[a]", "if e.args.flag: return b"))
		default:
			set("")
		}
	}
	x := g.pureInt(2)
	g.line("return w("+x.h+")", "return "+x.signed().k)
	g.indent--
	g.inHelper, g.hasEvent, g.readers = false, false, true
}

// call returns a call of reader.
func (g *generator) call(depth int) ex {
	x, y := g.variable(depth), g.variable(depth)
	return ex{h: "w(reader(e, w(" + x.h + "), w(" + y.h + ")))", k: "reader(e, (" + x.k + " - 0), (" + y.k + " - 0))", t: "int"}
}

// calls writes calls of reader on several paths, on none of which another comes first.
func (g *generator) calls() {
	if !g.readers {
		g.both("b, a = a, b")
		return
	}
	word := "if "
	for range 1 + g.n(3) {
		c, x, v := g.compare(1), g.call(1), pick(g, "a", "b")
		g.line(word+c.h+":", word+c.k+":")
		g.line("    "+v+" = w("+x.h+")", "    "+v+" = "+x.k)
		word = "elif "
	}
	x := g.call(1)
	g.both("else:")
	g.line("    a = w("+x.h+")", "    a = "+x.k)
}

// label writes a function of a string.
func (g *generator) label() {
	g.inHelper = true
	g.both("def label(s, a):")
	g.indent++
	g.both(`b, c = -3, 4`)
	for range g.n(3) {
		x := g.pureInt(1)
		switch g.n(3) {
		case 0:
			g.line("if "+x.h+" > b:", "if "+x.k+" > b:")
			g.both("    return " + pick(g, `"many"`, `""`, "s", `"abcdefghijk"`))
		case 1:
			g.both("for t in strs:")
			g.both("    if t " + pick(g, "== s:", "in s:", "< s:"))
			g.both("        return t")
		case 2:
			at := g.bounds()
			g.line("s = z(s"+at+")", "s = s"+at)
		}
	}
	g.both("return s")
	g.indent--
	g.inHelper, g.labels = false, true
}
