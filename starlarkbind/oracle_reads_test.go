package starlarkbind

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// This file generates reads: oracleMembers of structures and strings in a program's memory,
// elements of literals, and unsigned variables.

// A member is a number in the memory that e.args.mem points to. The kernel's text reads it as a
// member of a structure.
type member struct {
	text         string
	at, size     int
	shift, width int // of a bit field
	signed       bool
}

var oracleMembers = []member{
	{text: `"struct iphdr *").ihl`, at: 0, size: 1, width: 4},
	{text: `"struct iphdr *").version`, at: 0, size: 1, shift: 4, width: 4},
	{text: `"struct iphdr *").tos`, at: 1, size: 1},
	{text: `"struct iphdr *").tot_len`, at: 2, size: 2},
	{text: `"struct iphdr *").saddr`, at: 12, size: 4},
	{text: `"struct __kernel_timespec *").tv_sec`, at: 0, size: 8, signed: true},
	{text: `"struct __kernel_timespec *").tv_nsec`, at: 8, size: 8, signed: true},
	{text: `"struct in6_addr *").in6_u.u6_addr8[3]`, at: 3, size: 1},
	{text: `"struct in6_addr *").in6_u.u6_addr32[2]`, at: 8, size: 4},
	{text: `"struct in6_addr *")[1].in6_u.u6_addr16[5]`, at: 26, size: 2},
	{text: `"u64 *")[2]`, at: 16, size: 8},
	{text: `"s32 *")[6]`, at: 24, size: 4, signed: true},
}

// read returns the number that mem contains at the member.
func (f member) read(mem []byte) starlark.Value {
	n := uint64(0)
	for i := f.size - 1; i >= 0; i-- {
		n = n<<8 | uint64(mem[f.at+i])
	}
	if f.width > 0 {
		n = n >> f.shift & (1<<f.width - 1)
	}
	if !f.signed {
		return starlark.MakeUint64(n)
	}
	unused := 64 - 8*f.size
	return starlark.MakeInt64(int64(n<<unused) >> unused)
}

// hostReaders returns the functions that replace, in the interpreter's text, expressions that only
// the kernel's text has.
func (m *modelRun) hostReaders() starlark.StringDict {
	number := func(v starlark.Value) int {
		n, _ := v.(starlark.Int).Int64()
		return int(n)
	}
	return functions(map[string]func(a starlark.Tuple) starlark.Value{
		"member": func(a starlark.Tuple) starlark.Value { return oracleMembers[number(a[0])].read(m.event.memory()) },
		"byte":   func(a starlark.Tuple) starlark.Value { return member{at: number(a[0]), size: 1}.read(m.event.memory()) },
		"strn": func(a starlark.Tuple) starlark.Value {
			s, _, _ := strings.Cut(string(m.event.memory()), "\x00")
			return starlark.String(s[:min(len(s), max(0, number(a[0])-1))])
		},
	})
}

// member returns a read of a member.
func (g *generator) member(depth int) ex {
	if g.n(4) == 0 {
		x := g.variable(depth)
		return ex{h: "byte(" + x.h + " & 15)", k: `cast(e.args.mem, "struct in6_addr *").in6_u.u6_addr8[` + x.k + ` & 15]`, t: "int", natural: true}
	}
	i := g.n(len(oracleMembers))
	f := oracleMembers[i]
	return ex{h: fmt.Sprintf("member(%d)", i), k: "cast(e.args.mem, " + f.text, t: "int", unsigned: !f.signed && f.size == 8, natural: !f.signed && f.size < 8}
}

// literal returns an element of a list or dict literal that is only read.
func (g *generator) literal(depth int) ex {
	x, y, i := g.variable(depth), g.variable(depth), g.variable(depth)
	x, y, uns := joined(x, y)
	natural := !uns && x.neverNegative() && y.neverNegative()
	if g.n(2) == 0 {
		return ex{h: wrap(uns, "["+x.h+", "+y.h+"]["+i.h+" & 1]"), k: "[" + x.k + ", " + y.k + "][" + i.k + " & 1]", t: "int", unsigned: uns, natural: natural}
	}
	d := pick(g, "{0: -5, 1: 70000}", "{1: 2, 0: 3, 7: 1}")
	return ex{h: d + "[" + i.h + " & 1]", k: d + "[" + i.k + " & 1]", t: "int", natural: d[4] != '-'}
}

// unsigned returns an unsigned number: a variable, an element of a table, or the larger of two
// numbers.
func (g *generator) unsigned(depth int) ex {
	v := pick(g, "u", "u", "uu")
	x := ex{h: v, k: v, t: "int", unsigned: true}
	if g.inHelper || depth <= 0 {
		return x
	}
	switch g.n(4) {
	case 0:
		k := g.int(depth - 1)
		return ex{h: "wu(sizes.get(w(" + k.h + "), 1))", k: "sizes.get(" + k.signed().k + ", 1)", t: "int", unsigned: true}
	case 1:
		y, z, uns := joined(g.variable(depth-1), g.variable(depth-1))
		return ex{h: "larger(" + wrap(uns, y.h) + ", " + wrap(uns, z.h) + ")", k: "larger(" + y.k + ", " + z.k + ")", t: "int", unsigned: uns, natural: !uns && y.neverNegative() && z.neverNegative()}
	}
	return x
}

// setUnsigned writes an assignment of a number that is never negative to something unsigned.
func (g *generator) setUnsigned() {
	x := g.variable(2)
	for i := 0; i < 10 && !x.neverNegative(); i++ {
		x = g.variable(2)
	}
	if !x.neverNegative() {
		x = ex{h: "u", k: "u", unsigned: true}
	}
	switch g.n(6) {
	case 0, 1:
		v := pick(g, "u", "uu")
		g.line(v+" = wu("+x.h+")", v+" = "+x.k)
	case 2:
		k := g.int(1)
		g.line("sizes[w("+k.h+")] = wu("+x.h+")", "sizes["+k.signed().k+"] = "+x.k)
	case 3:
		g.line("by_size.add(by=wu("+x.h+"))", "by_size.add(by="+x.k+")")
	case 4:
		op := pick(g, "+", "*", "&", "|", "^", ">>")
		if op == ">>" {
			x = ex{h: "3", k: "3"}
		}
		g.line("u = wu(u "+op+" "+x.h+")", "u "+op+"= "+x.k)
	case 5:
		g.line("u, uu = wu(uu), wu("+x.h+")", "u, uu = uu, "+x.k)
	}
}

// readString returns a string from a program's memory, or a slice of a string, with a length that
// the handler computes.
func (g *generator) readString(depth int) ex {
	x := g.variable(depth)
	if g.n(2) == 0 {
		return ex{h: "strn(" + x.h + " & 31)", k: "str(e.args.mem, " + x.k + " & 31)", t: "str"}
	}
	y := g.variable(depth)
	s := pick(g, "s", "e.args.s", "q", "l")
	switch g.n(3) {
	case 0:
		return ex{h: "z(" + s + "[" + x.h + " & 7:])", k: s + "[" + x.k + " & 7:]", t: "str"}
	case 1:
		return ex{h: "z(" + s + "[:" + x.h + " & 15])", k: s + "[:" + x.k + " & 15]", t: "str"}
	}
	return ex{h: "z(" + s + "[" + x.h + " & 7:" + y.h + " & 15])", k: s + "[" + x.k + " & 7:" + y.k + " & 15]", t: "str"}
}
