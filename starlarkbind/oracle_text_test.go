package starlarkbind

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
	"github.com/bpfrepl/bpfrepl/starlarkbind/cfmt"
)

// This file generates texts, structs and values of several types.

// hostTexts returns the functions that make texts, for the interpreter.
func hostTexts() starlark.StringDict {
	d := functions(map[string]func(a starlark.Tuple) starlark.Value{
		"errno_name": func(a starlark.Tuple) starlark.Value {
			n, _ := a[0].(starlark.Int).Int64()
			return starlark.String(kernelnames.Errno(n))
		},
		"join": func(a starlark.Tuple) starlark.Value {
			var parts []string
			list := a[0].(starlark.Indexable)
			for i := range list.Len() {
				s, _ := starlark.AsString(list.Index(i))
				parts = append(parts, s)
			}
			sep, _ := starlark.AsString(a[1])
			return starlark.String(strings.Join(parts, sep))
		},
	})
	d["sprintf"] = starlark.NewBuiltin("sprintf", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		format, _ := starlark.AsString(a[0])
		s, err := cfmt.Sprintf(format, a[1:])
		return starlark.String(s), err
	})
	return d
}

// made returns an expression made of others: #0, #1 and so on in the form.
func made(form string, xs ...ex) ex {
	x := ex{h: form, k: form, t: "text"}
	for i, y := range xs {
		h, k := y.h, y.k
		if y.t == "int" {
			h, k = "w("+h+")", "("+k+" - 0)"
		}
		at := fmt.Sprintf("#%d", i)
		x.h, x.k = strings.ReplaceAll(x.h, at, h), strings.ReplaceAll(x.k, at, k)
	}
	return x
}

// text returns a string or a text that the host makes.
func (g *generator) text(depth int) ex {
	s := g.str(depth - 1)
	if depth <= 0 {
		return s
	}
	switch g.n(11) {
	case 0:
		return made(`sprintf("%s|%5d|%-6s", #0, #1, #0)`, s, g.variable(depth-1))
	case 1:
		return made(`sprintf("%x,%08d%%%.2s", #0, #1, #2)`, g.variable(depth-1), g.variable(depth-1), s)
	case 2:
		return made(`("%s:%d" % (#0, #1))`, s, g.variable(depth-1))
	case 3:
		return made(`("%x%%%o" % (#0, #1))`, g.variable(depth-1), g.variable(depth-1))
	case 4:
		return made(`(#0 + #1)`, g.text(depth-1), s)
	case 5:
		return made(`("<" + #0)`, s)
	case 6:
		return made(`join([#0, "x", #1], "-")`, s, g.text(depth-1))
	case 7:
		return made(`", ".join((#0, #0))`, s)
	case 8:
		return made(`(#0 if #1 else #2)`, g.text(depth-1), g.compare(depth-1), s)
	case 9:
		return made(`("%s!" % #0)`, s)
	}
	return made(`("%r %s" % (#0, #1))`, s, g.bool(depth-1))
}

// either returns a value that is a string or a number.
func (g *generator) either(depth int) ex {
	x := g.variable(depth)
	switch g.n(8) {
	case 7:
		return made(`({0: "zero", 2: ""}.get(#0 & 3) or #0)`, x)
	case 0:
		return made(`(errno_name(#0 & 127) if #1 else #0)`, x, g.compare(depth))
	case 1:
		return made(`(#0 if #1 else "none")`, x, g.compare(depth))
	case 2:
		return made(`{0: "zero", 1: -7, 2: "two"}.get(#0 & 3, #0)`, x)
	case 3:
		return made(`["zero", 9][#0 & 1]`, x)
	case 4:
		return made(`(#0 if #1 else #2)`, g.text(depth), g.compare(depth), x)
	case 5:
		return made(`describe(#0, #1)`, x, g.str(depth))
	}
	return made(`(errno_name(#0 & 31) if #1 else #2)`, x, g.compare(depth), g.text(depth))
}

// describe is a function that returns values of several types.
const describe = `def describe(n, s):
    if n < 0:
        return "negative"
    if n > 1000:
        return s + "+"
    return errno_name(n) if n > 0 else n
`

// texts writes a statement that uses a text, a struct or a value of several types.
func (g *generator) texts() {
	x, s := g.variable(1), g.str(1)
	both := func(form string, xs ...ex) {
		y := made(form, xs...)
		g.line(y.h, y.k)
	}
	key := pick(g, made(`("%d:%s" % (#0, #1))`, x, s), made(`sprintf("%d:%s", #0, #1)`, x, s))
	switch g.n(12) {
	case 10, 11:
		g.nested(x, s)
	case 0:
		both(`print(#0, #1, #2)`, g.text(2), g.either(1), x)
	case 1:
		both(`printf("%s|%9s|%s\n", #0, #1, (#2, #0))`, g.text(2), g.either(1), x)
	case 2, 3:
		both(`by_text.add(by=#0)`, pick(g, g.text(1), g.text(1), g.either(1)))
	case 4:
		both(`texts[#0] = #1`, key, pick(g, g.text(1), s))
	case 5:
		both(`print(texts.get(#0), texts.get(#0, "none"), #0 in texts)`, key)
	case 6:
		both(`recs[#0] = struct(n=#1, t=#2, b=#3, e=#4)`, x, g.variable(1), s, g.bool(1), g.either(1))
	case 7:
		m := pick(g, "get", "pop")
		both(`rec = recs.`+m+`(#0)`, x)
		g.both("if rec != None:")
		g.both("    " + pick(g, "a, s = rec.n, rec.t", "print(rec, rec.e)", "by_text.add(by=rec.e)", "p = rec.b"))
	case 8:
		both(`sent.emit(n=#0, s=#1, t=#2, b=#3)`, g.either(1), g.text(1), made(`struct(x=#0, y=#1)`, x, s), g.text(1))
	case 9:
		both(`by_pair.add(by=(#0, #1))`, g.either(1), x)
	}
}
