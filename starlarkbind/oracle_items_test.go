package starlarkbind

// This file generates the parts of random handlers that use tuples, loops over collections and
// streams.

// pair writes a use of the table of tuples.
func (g *generator) pair() {
	s, n := g.str(1), g.variable(1)
	kh, kk := "("+s.h+", w("+n.h+"))", "("+s.k+", "+n.k+" - 0)"
	switch g.n(4) {
	case 0, 1:
		x, t, b := g.variable(2), g.str(1), g.bool(1)
		g.line("pairs["+kh+"] = ((w("+x.h+"), "+t.h+"), "+b.h+")", "pairs["+kk+"] = (("+x.k+" - 0, "+t.k+"), "+b.k+")")
	case 2:
		g.line("(a, q), p = pairs["+kh+"]", "(a, q), p = pairs["+kk+"]")
	case 3:
		m := pick(g, "get", "pop")
		g.line("r = pairs."+m+"("+kh+")", "r = pairs."+m+"("+kk+")")
		g.both("if r != None:")
		g.both("    " + pick(g, "(a, s), p = r", "a = r[0][0]", "s, p = r[0][1], not r[1]"))
	}
}

// emit writes a call that sends a record.
func (g *generator) emit() {
	n, s, t, b := g.variable(2), g.str(1), g.tuple(1), g.bool(1)
	g.line("sent.emit(n=w("+n.h+"), s="+s.h+", t="+t.h+", b="+b.h+")", "sent.emit(n="+n.k+" - 0, s="+s.k+", t="+t.k+", b="+b.k+")")
}

// items writes a loop over a map or a tuple. Maps have no order, and do not report that they change
// during a loop. The body therefore only makes updates whose order does not matter.
func (g *generator) items(depth int) {
	switch g.n(6) {
	case 0:
		g.both("for (ks, n), ((v, t), f) in pairs.items():")
		g.both("    " + pick(g, "by_str.add(v, by=ks)", "by_bool.add(n, by=f)", "by_tuple.add(v, by=(t, tu))"))
		return
	case 1:
		g.both("for key, n in by_int.items():")
		g.both("    most.add(n)")
		g.both("    if key " + pick(g, "==", "<") + " a:")
		g.both("        none.add()")
		return
	case 2:
		g.both("for key in " + pick(g, "tab", "by_int", "tab.values()") + ":")
		g.both("    least.add(key)")
		return
	case 3:
		g.both("for ks in words:")
		g.both("    by_str.add(by=ks)")
		return
	}
	counts := g.n(2) == 0
	if counts {
		x := g.tuple(2)
		g.line("for c in "+x.h+":", "for c in "+x.k+":")
	} else {
		x, y := g.str(1), g.str(1)
		g.line("for s in ("+x.h+", s, "+y.h+"):", "for s in ("+x.k+", s, "+y.k+"):")
	}
	g.body(depth, counts)
}
