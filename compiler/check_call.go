package compiler

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

// A param is a parameter of a builtin, method or function, used to bind arguments.
type param struct {
	name     string
	required bool
}

// params parses the parameter list of a signature: "value=1, by" has an optional and a required
// parameter. A starred name takes all remaining positional arguments.
func params(sig string) []param {
	open := strings.IndexByte(sig, '(')
	list := strings.TrimSuffix(sig[open+1:], ")")
	if list == "" {
		return nil
	}
	var out []param
	for _, p := range strings.Split(list, ",") {
		name, _, opt := strings.Cut(strings.TrimSpace(p), "=")
		out = append(out, param{name, !opt && name[0] != '*'})
	}
	return out
}

// bindArgs returns a call's arguments in the order of the parameters, with nil for those that were
// omitted. Arguments of a starred parameter come last. It reports errors and returns false if the
// call does not match the signature.
func (c *checker) bindArgs(call *syntax.CallExpr, sig string) ([]syntax.Expr, bool) {
	ps := params(sig)
	name := sig[:strings.IndexByte(sig, '(')]
	star := len(ps) > 0 && ps[len(ps)-1].name[0] == '*'
	fixed := len(ps)
	if star {
		fixed--
	}
	out := make([]syntax.Expr, fixed)
	ok := true
	for i, a := range call.Args {
		pos, _ := a.Span()
		if b, isNamed := a.(*syntax.BinaryExpr); isNamed && b.Op == syntax.EQ {
			key := b.X.(*syntax.Ident).Name
			at := -1
			var names []string
			for j, p := range ps[:fixed] {
				names = append(names, p.name)
				if p.name == key {
					at = j
				}
			}
			switch {
			case at < 0:
				c.errorf(pos, didYouMean(key, names), "%s() has no parameter %q", name, key)
				ok = false
			case out[at] != nil:
				c.errorf(pos, "", "%s() got two values for %q", name, key)
				ok = false
			default:
				out[at] = b.Y
			}
			continue
		}
		if u, isStar := a.(*syntax.UnaryExpr); isStar && (u.Op == syntax.STAR || u.Op == syntax.STARSTAR) {
			c.errorf(pos, "write the arguments out", "%s is not allowed in a call inside a handler", u.Op)
			ok = false
			continue
		}
		switch {
		case i < fixed:
			out[i] = a
		case star:
			out = append(out, a)
		default:
			c.errorf(pos, "", "%s takes at most %s, got %d", sig, countOf(fixed, "argument"), len(call.Args))
			return nil, false
		}
	}
	for i, p := range ps[:fixed] {
		if p.required && out[i] == nil && ok {
			c.errorf(call.Lparen, "write "+sig, "%s(): missing argument %q", name, p.name)
			ok = false
		}
	}
	return out, ok
}

func didYouMean(word string, names []string) string {
	if near := suggest.Nearest(word, names, 1); len(near) > 0 {
		return fmt.Sprintf("did you mean %q?", near[0])
	}
	return ""
}

func (c *checker) callExpr(x *syntax.CallExpr) expr {
	if dot, ok := unparen(x.Fn).(*syntax.DotExpr); ok {
		return c.methodCall(x, dot)
	}
	fn := c.expr(x.Fn)
	if fn.typ().Kind == types.Invalid {
		c.checkArgs(x)
		return fn
	}
	st, ok := fn.(*eStatic)
	if !ok {
		return c.bad(x.Lparen, usage(fn.typ()), "%s cannot be called", fn.typ().WithArticle())
	}
	switch ent := st.ent.(type) {
	case *Func:
		return c.callFunc(x, ent)
	case Builtin:
		row := c.rows.builtins[ent.Name]
		if row == nil {
			hint := hostOnly[ent.Name]
			if hint == "" {
				hint = wordHint(wordlist.Name(ent.Name))
			}
			return c.bad(x.Lparen, hint, "%s() cannot be called inside a handler", ent.Name)
		}
		if arg := c.boolArg(x); arg != nil {
			e, _, _ := c.condition(arg)
			return e
		}
		args, ok := c.bindArgs(x, row.sig)
		if !ok {
			return invalid(x.Lparen)
		}
		return row.check(c, row, x, c.exprs(args))
	case *Map:
		return c.bad(x.Lparen, "write "+ent.Name+".add(...)", "%s %q is not a function", ent.Kind(), ent.Name)
	}
	return c.bad(x.Lparen, usage(fn.typ()), "%s cannot be called", fn.typ().WithArticle())
}

// hostOnly has hints for functions that can be called only in the script.
var hostOnly = map[string]string{
	"sprintf": formatHint,
	"run":     "call run() in the script",
	"probe":   "attach probes from the script",
	"errors":  "read errors() in the script",
	"list":    "make lists outside of the handler",
	"dict":    "make dicts outside of the handler, or use a table()",
	"range":   "range is allowed only in a for loop: for i in range(n)",
	"type":    "types are known when the handler is compiled",
}

const formatHint = `write printf("%d\n", x), which formats on the host`

// wordHint returns the hint for a row of the word list, or "" for nil.
func wordHint(w *wordlist.Word) string {
	if w == nil {
		return ""
	}
	return w.Hint()
}

// storeHint returns what to write instead of x, which cannot be stored: a builtin's name where the
// event's field is meant, or a C value with several parts.
func storeHint(x expr) string {
	if st, ok := x.(*eStatic); ok {
		if b, ok := st.ent.(Builtin); ok {
			return wordHint(wordlist.Name(b.Name))
		}
	}
	return usage(x.typ())
}

// checkArgs checks the arguments of a call that is already wrong, to report their errors too.
func (c *checker) checkArgs(x *syntax.CallExpr) {
	for _, a := range x.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			a = b.Y
		}
		if u, ok := a.(*syntax.UnaryExpr); ok && (u.Op == syntax.STAR || u.Op == syntax.STARSTAR) {
			continue
		}
		c.expr(a)
	}
}

func (c *checker) exprs(xs []syntax.Expr) []expr {
	out := make([]expr, len(xs))
	for i, x := range xs {
		if x != nil {
			out[i] = c.expr(x)
		}
	}
	return out
}

func anyInvalid(xs []expr) bool {
	for _, x := range xs {
		if x != nil && x.typ().Kind == types.Invalid {
			return true
		}
	}
	return false
}

func (c *checker) callFunc(x *syntax.CallExpr, fn *Func) expr {
	var sig strings.Builder
	sig.WriteString(fn.Name + "(")
	for i, p := range fn.Fn.Params {
		id := paramName(p)
		if id == nil {
			return c.bad(x.Lparen, "name each parameter", "%s takes a variable number of arguments, which a handler cannot pass", fn.Name)
		}
		if i > 0 {
			sig.WriteString(", ")
		}
		sig.WriteString(id.Name)
		if fn.Defaults[id.Name] != nil {
			sig.WriteString("=...")
		}
	}
	sig.WriteString(")")
	args, ok := c.bindArgs(x, sig.String())
	if !ok {
		return invalid(x.Lparen)
	}
	vals := c.exprs(args)
	for i, v := range vals {
		if v != nil {
			vals[i] = c.addressOf(v)
		} else {
			id := paramName(fn.Fn.Params[i])
			vals[i] = c.entity(id, fn.Defaults[id.Name])
		}
	}
	if anyInvalid(vals) {
		return invalid(x.Lparen)
	}
	for _, v := range vals {
		if v.typ().Kind == types.Array || v.typ().Kind == types.Method {
			return c.bad(v.position(), usage(v.typ()), "%s cannot be passed to a function", v.typ().WithArticle())
		}
	}
	n := len(c.diags)
	call := c.call(fn, vals, x.Lparen)
	if call == nil || len(c.diags) > n { // the result type is not known
		return invalid(x.Lparen)
	}
	return call
}

func (c *checker) methodCall(x *syntax.CallExpr, dot *syntax.DotExpr) expr {
	recv := c.expr(dot.X)
	if recv.typ().Kind == types.Invalid {
		c.checkArgs(x)
		return recv
	}
	var m *Map
	kind := recv.typ().Kind.Noun()
	if st, ok := recv.(*eStatic); ok {
		if m, ok = st.ent.(*Map); ok {
			kind = "aggregation"
			if m.Agg == nil {
				kind = "table"
			}
		}
	}
	row := c.rows.method(kind, dot.Name.Name)
	if row == nil {
		c.checkArgs(x)
		var names []string
		for _, r := range c.rows.methods {
			if r.recv == kind && r.name != "[]" && r.name != "in" {
				names = append(names, r.name)
			}
		}
		hint := didYouMean(dot.Name.Name, names)
		if h, ok := textMethods[dot.Name.Name]; ok && recv.typ().InMemory() {
			hint = h
		}
		if h, ok := hostMethods[dot.Name.Name]; ok && m != nil && hint == "" {
			hint = h
		}
		if w := wordlist.Field(dot.Name.Name); w != nil && textMethods[dot.Name.Name] == "" && (hint == "" || kind == "event") {
			hint = w.Hint()
		}
		if recv.typ().Kind == types.Ptr || recv.typ().Kind == types.Mem {
			hint = "a member is read without (): omit them"
		}
		if hint == "" && m == nil {
			hint = usage(recv.typ())
		} else if hint == "" {
			hint = "it has " + strings.Join(names, ", ")
		}
		return c.bad(dot.Dot, hint, "%s has no method %s that a handler can call", types.WithArticle(kind), dot.Name.Name)
	}
	if strings.Contains(row.sig, "**") {
		return c.callNamed(x, recv, row)
	}
	args, ok := c.bindArgs(x, row.sig)
	if !ok {
		c.checkArgs(x)
		return invalid(x.Lparen)
	}
	return c.callMethod(x.Lparen, recv, m, row, c.exprs(args))
}

// callNamed checks a call of a method that accepts arguments of any names.
func (c *checker) callNamed(x *syntax.CallExpr, recv expr, row *method) expr {
	e := &eMethod{node: node{types.TNone, x.Lparen}, kind: row.recv, name: row.name, recv: recv}
	for _, a := range x.Args {
		b, ok := a.(*syntax.BinaryExpr)
		if !ok || b.Op != syntax.EQ {
			pos, _ := a.Span()
			c.checkArgs(x)
			return c.bad(pos, "write "+row.name+"(name=value)", "%s() takes keyword arguments only", row.name)
		}
		e.names = append(e.names, b.X.(*syntax.Ident).Name)
		e.args = append(e.args, c.expr(b.Y))
	}
	if anyInvalid(e.args) {
		return invalid(x.Lparen)
	}
	return row.check(c, e)
}

func (c *checker) callMethod(pos syntax.Position, recv expr, m *Map, row *method, args []expr) expr {
	if anyInvalid(args) {
		return invalid(pos)
	}
	e := &eMethod{node: node{types.TNone, pos}, kind: row.recv, name: row.name, recv: recv, m: m, args: args}
	return row.check(c, e)
}

// hostMethods has hints for methods that exist only in the script, or under another name.
var hostMethods = map[string]string{
	"top": "call it in the script", "snapshot": "call it in the script", "items": "read the map in the script", "keys": "read the map in the script",
	"value": "read it in the script", "per_cpu": "call it in the script", "dropped": "read it in the script",
	"values": "read the map in the script", "delta": "call it in the script", "clear": "call it in the script",
	"take": "call it in the script", "each": "call it in the script", "emitted": "read it in the script", "lost": "read it in the script",
	"update": "write .add(value, by=key)", "inc": "write .add(by=key)", "increment": "write .add(by=key)", "setdefault": "write t.get(key, default)",
}

// textMethods has hints for string methods that do not exist in a handler.
var textMethods = map[string]string{
	"find": "`x in s` reports whether it is present", "rfind": "`x in s` reports whether it is present", "index": "`x in s` reports whether it is present",
	"rindex": "`x in s` reports whether it is present", "count": "`x in s` reports whether it is present",
	"removeprefix": `slice it: s[3:] if s.startswith("abc") else s`, "removesuffix": `slice it: s[:-3] if s.endswith("abc") else s`,
	"startswith": `slice it: b[:3] == b"abc"`, "endswith": `slice it: b[-3:] == b"abc"`,
	"elems": "take them by index: ord(b[i])",
}

func init() {
	for _, name := range []string{"capitalize", "join", "lower", "lstrip", "partition", "replace", "rpartition", "rsplit", "rstrip",
		"split", "splitlines", "strip", "title", "upper"} {
		textMethods[name] = "send the string to the host, and change it there"
	}
}

// constString returns the value of an argument that must be a constant string. Otherwise it reports
// an error and returns false.
func (c *checker) constString(x expr, what string) (string, bool) {
	k, ok := x.(*eConst)
	if ok && k.t.Kind == types.Str {
		return k.v.(string), true
	}
	if x.typ().Kind != types.Invalid {
		c.errorf(x.position(), "", "%s must be a constant string", what)
	}
	return "", false
}
