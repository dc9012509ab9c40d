package check

import (
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/plural"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

// A Param is a parameter of a builtin, method or function, used to bind arguments.
type Param struct {
	Name     string
	Required bool
}

// Params parses the parameter list of a signature: "value=1, by" has an optional and a required
// parameter. A starred name takes all remaining positional arguments.
func Params(sig string) []Param {
	open := strings.IndexByte(sig, '(')
	list := strings.TrimSuffix(sig[open+1:], ")")
	if list == "" {
		return nil
	}
	var out []Param
	for _, p := range strings.Split(list, ",") {
		name, _, opt := strings.Cut(strings.TrimSpace(p), "=")
		out = append(out, Param{name, !opt && name[0] != '*'})
	}
	return out
}

// bindArgs returns a call's arguments in the order of the parameters, with nil for those that were
// omitted. Arguments of a starred parameter come last. It reports errors and returns false if the
// call does not match the signature.
func (c *Checker) bindArgs(call *syntax.CallExpr, sig string) ([]syntax.Expr, bool) {
	ps := Params(sig)
	name := sig[:strings.IndexByte(sig, '(')]
	star := len(ps) > 0 && ps[len(ps)-1].Name[0] == '*'
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
				names = append(names, p.Name)
				if p.Name == key {
					at = j
				}
			}
			switch {
			case at < 0:
				c.Errorf(pos, DidYouMean(key, names), "%s() has no parameter %q", name, key)
				ok = false
			case out[at] != nil:
				c.Errorf(pos, "", "%s() got two values for %q", name, key)
				ok = false
			default:
				out[at] = b.Y
			}
			continue
		}
		if u, isStar := a.(*syntax.UnaryExpr); isStar && (u.Op == syntax.STAR || u.Op == syntax.STARSTAR) {
			c.Errorf(pos, "write the arguments out", "%s is not allowed in a call inside a handler", u.Op)
			ok = false
			continue
		}
		switch {
		case i < fixed:
			out[i] = a
		case star:
			out = append(out, a)
		default:
			c.Errorf(pos, "", "%s takes at most %s, got %d", sig, plural.Of(fixed, "argument"), len(call.Args))
			return nil, false
		}
	}
	for i, p := range ps[:fixed] {
		if p.Required && out[i] == nil && ok {
			c.Errorf(call.Lparen, "write "+sig, "%s(): missing argument %q", name, p.Name)
			ok = false
		}
	}
	return out, ok
}

func (c *Checker) callExpr(x *syntax.CallExpr) tree.Expr {
	if dot, ok := unparen(x.Fn).(*syntax.DotExpr); ok {
		return c.methodCall(x, dot)
	}
	fn := c.expr(x.Fn)
	if fn.Type().Kind == types.Invalid {
		c.checkArgs(x)
		return fn
	}
	st, ok := fn.(*tree.StaticExpr)
	if !ok {
		return c.Bad(x.Lparen, UsageHint(fn.Type()), "%s cannot be called", fn.Type().WithArticle())
	}
	switch ent := st.Entity.(type) {
	case *tree.Func:
		return c.callFunc(x, ent)
	case tree.Builtin:
		row := c.rows.Builtins[ent.Name]
		if row == nil {
			hint := hostOnly[ent.Name]
			if hint == "" {
				hint = wordHint(wordlist.Name(ent.Name))
			}
			return c.Bad(x.Lparen, hint, "%s() cannot be called inside a handler", ent.Name)
		}
		if arg := c.boolArg(x); arg != nil {
			e, _, _ := c.condition(arg)
			return e
		}
		if strings.Contains(row.Sig, "**") {
			return c.structDisplay(x)
		}
		args, ok := c.bindArgs(x, row.Sig)
		if !ok {
			return tree.Invalid(x.Lparen)
		}
		return row.Check(c, row, x, c.args(row.Sig, args))
	case *tree.Map:
		return c.Bad(x.Lparen, "write "+ent.Name+".add(...)", "%s %q is not a function", ent.Kind(), ent.Name)
	}
	return c.Bad(x.Lparen, UsageHint(fn.Type()), "%s cannot be called", fn.Type().WithArticle())
}

// hostOnly has hints for functions that can be called only in the script.
var hostOnly = map[string]string{
	"run":       "call run() in the script",
	"probe":     "attach probes from the script",
	"errors":    "read errors() in the script",
	"list":      "make lists outside of the handler",
	"dict":      "make dicts outside of the handler, or use a table()",
	"range":     "range is allowed only in a for loop: for i in range(n)",
	"type":      "types are known when the handler is compiled",
	"sorted":    "sort it outside of the handler",
	"reversed":  "reverse it outside of the handler",
	"zip":       "make the list outside of the handler",
	"enumerate": "loop over the indexes: for i in range(len(x)): x[i]",
	"sum":       "add the values with +, or compute it outside of the handler",
	"repr":      `write "%r" % (x,), which the host formats`,
	"any":       "write a loop, or compute it outside of the handler",
	"all":       "write a loop, or compute it outside of the handler",
}

// checkArgs checks the arguments of a call that is already wrong, to report their errors too.
func (c *Checker) checkArgs(x *syntax.CallExpr) {
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

// args checks the arguments of a call. One for a parameter with the name list is only read, so it
// may be a list of values that the handler computes.
func (c *Checker) args(sig string, xs []syntax.Expr) []tree.Expr {
	params := Params(sig)
	out := make([]tree.Expr, len(xs))
	for i, x := range xs {
		switch {
		case x == nil:
		case i < len(params) && params[i].Name == "list":
			out[i] = c.sequence(x)
		default:
			out[i] = c.expr(x)
		}
	}
	return out
}

func (c *Checker) exprs(xs []syntax.Expr) []tree.Expr {
	out := make([]tree.Expr, len(xs))
	for i, x := range xs {
		if x != nil {
			out[i] = c.expr(x)
		}
	}
	return out
}

// AnyInvalid reports whether one of xs has an unknown type, an error that has been reported.
// Omitted arguments are nil.
func AnyInvalid(xs []tree.Expr) bool {
	for _, x := range xs {
		if x != nil && x.Type().Kind == types.Invalid {
			return true
		}
	}
	return false
}

func (c *Checker) callFunc(x *syntax.CallExpr, fn *tree.Func) tree.Expr {
	var sig strings.Builder
	sig.WriteString(fn.Name + "(")
	for i, p := range fn.Fn.Params {
		id := paramName(p)
		if id == nil {
			return c.Bad(x.Lparen, "name each parameter", "%s takes a variable number of arguments, which a handler cannot pass", fn.Name)
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
		return tree.Invalid(x.Lparen)
	}
	vals := c.exprs(args)
	for i, v := range vals {
		if v != nil {
			vals[i] = c.AddressOf(v)
		} else {
			id := paramName(fn.Fn.Params[i])
			vals[i] = c.entity(id, fn.Defaults[id.Name])
		}
	}
	if AnyInvalid(vals) {
		return tree.Invalid(x.Lparen)
	}
	for _, v := range vals {
		if _, ok := v.(*chosenExpr); ok {
			return c.Bad(v.Position(), "pass what chooses it, and index it there", "%s that the handler chooses cannot be passed to a function", v.Type().WithArticle())
		}
		if v.Type().Kind == types.Array || v.Type().Kind == types.Method {
			return c.Bad(v.Position(), UsageHint(v.Type()), "%s cannot be passed to a function", v.Type().WithArticle())
		}
	}
	n := len(c.Diags)
	call := c.call(fn, vals, x.Lparen)
	if call == nil || len(c.Diags) > n { // the result type is not known
		return tree.Invalid(x.Lparen)
	}
	return call
}

func (c *Checker) methodCall(x *syntax.CallExpr, dot *syntax.DotExpr) tree.Expr {
	recv := c.expr(dot.X)
	if recv.Type().Kind == types.Invalid {
		c.checkArgs(x)
		return recv
	}
	var m *tree.Map
	kind := recv.Type().Kind.Noun()
	if st, ok := recv.(*tree.StaticExpr); ok {
		if m, ok = st.Entity.(*tree.Map); ok {
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
		for _, r := range c.rows.Methods {
			if r.Recv == kind && r.Name != "[]" && r.Name != "in" {
				names = append(names, r.Name)
			}
		}
		hint := DidYouMean(dot.Name.Name, names)
		if h := textHint(dot.Name.Name); h != "" && recv.Type().InMemory() {
			hint = h
		}
		if h, ok := hostMethods[dot.Name.Name]; ok && m != nil && hint == "" {
			hint = h
		}
		if w := wordlist.Field(dot.Name.Name); w != nil && textHint(dot.Name.Name) == "" && (hint == "" || kind == "event") {
			hint = w.Hint()
		}
		if recv.Type().Kind == types.Ptr || recv.Type().Kind == types.Mem {
			hint = "a member is read without (): omit them"
		}
		if hint == "" && m == nil {
			hint = UsageHint(recv.Type())
		} else if hint == "" {
			hint = "it has " + strings.Join(names, ", ")
		}
		return c.Bad(dot.Dot, hint, "%s has no method %s that a handler can call", types.WithArticle(kind), dot.Name.Name)
	}
	if strings.Contains(row.Sig, "**") {
		return c.callNamed(x, recv, row)
	}
	args, ok := c.bindArgs(x, row.Sig)
	if !ok {
		c.checkArgs(x)
		return tree.Invalid(x.Lparen)
	}
	return c.callMethod(x.Lparen, recv, m, row, c.args(row.Sig, args))
}

// callNamed checks a call of a method that accepts arguments of any names.
func (c *Checker) callNamed(x *syntax.CallExpr, recv tree.Expr, row *Method) tree.Expr {
	e := &tree.MethodExpr{Node: tree.At(types.TNone, x.Lparen), Recv: row.Recv, Name: row.Name, X: recv}
	for _, a := range x.Args {
		b, ok := a.(*syntax.BinaryExpr)
		if !ok || b.Op != syntax.EQ {
			pos, _ := a.Span()
			c.checkArgs(x)
			return c.Bad(pos, "write "+row.Name+"(name=value)", "%s() takes keyword arguments only", row.Name)
		}
		e.Names = append(e.Names, b.X.(*syntax.Ident).Name)
		e.Args = append(e.Args, c.expr(b.Y))
	}
	if AnyInvalid(e.Args) {
		return tree.Invalid(x.Lparen)
	}
	return row.Check(c, e)
}

func (c *Checker) callMethod(pos syntax.Position, recv tree.Expr, m *tree.Map, row *Method, args []tree.Expr) tree.Expr {
	if AnyInvalid(args) {
		return tree.Invalid(pos)
	}
	e := &tree.MethodExpr{Node: tree.At(types.TNone, pos), Recv: row.Recv, Name: row.Name, X: recv, Map: m, Args: args}
	return row.Check(c, e)
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

// hostText lists the string methods that change or split a string, which only a script can do.
var hostText = []string{"capitalize", "join", "lower", "lstrip", "partition", "replace", "rpartition", "rsplit", "rstrip",
	"split", "splitlines", "strip", "title", "upper"}

// textHint returns the hint for a string method that does not exist in a handler, or "".
func textHint(name string) string {
	if slices.Contains(hostText, name) {
		return "send the string to the host, and change it there"
	}
	return textMethods[name]
}

// ConstString returns the value of an argument that must be a constant string. Otherwise it reports
// an error and returns false.
func (c *Checker) ConstString(x tree.Expr, what string) (string, bool) {
	k, ok := x.(*tree.ConstExpr)
	if ok && k.T.Kind == types.Str {
		return k.Value.(string), true
	}
	if x.Type().Kind != types.Invalid {
		c.Errorf(x.Position(), "", "%s must be a constant string", what)
	}
	return "", false
}

func paramName(p syntax.Expr) *syntax.Ident {
	switch p := p.(type) {
	case *syntax.Ident:
		return p
	case *syntax.BinaryExpr: // name=default
		id, _ := p.X.(*syntax.Ident)
		return id
	}
	return nil
}
