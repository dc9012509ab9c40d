package compiler

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A formatted value is one or more numbers in the kernel and a string on the host, which has a
// table of formats. If the compiler can convert a string to these numbers, a handler can compare
// the value with the string. A formatRow is the compiler's row for one format.
type formatRow struct {
	// parse converts a string to a constant of the format's underlying type. If there is none, v is
	// nil and names lists possible values for the hint. parse is nil if the compiler cannot convert
	// strings.
	parse func(c *checker, f *types.Format, s string) (v any, names []string)
	// all returns the values of the format with their names. It is nil if they are not known at
	// compile time.
	all func(c *checker, f *types.Format) map[int64]string
	// hint says what to write instead if parse is nil.
	hint string
}

var formatRows = map[string]formatRow{
	"probe": {parse: func(c *checker, _ *types.Format, s string) (any, []string) {
		return new(big.Int).SetUint64(c.req.ProbeID(s)), nil
	}, all: func(c *checker, _ *types.Format) map[int64]string {
		names := map[int64]string{}
		for _, name := range append(c.req.Event.Names, c.req.Event.Probe, c.req.Event.Func) {
			names[int64(c.req.ProbeID(name))] = name
		}
		return names
	}},
	"enum": {all: func(_ *checker, f *types.Format) map[int64]string { return f.Names }, parse: func(_ *checker, f *types.Format, s string) (any, []string) {
		var names []string
		for n, name := range f.Names {
			if name == s {
				return big.NewInt(n), nil
			}
			names = append(names, name)
		}
		return nil, names
	}},
}

// FormattedType returns the result type of a builtin by the name of its format: "kstack", "ksym", "ip".
// It returns nil for other names.
func FormattedType(name string) *types.Type {
	switch name {
	case "kstack", "ustack":
		return stackType(name, StackFrames)
	case "usym":
		return types.TFormatted(types.TTuple(types.TUint, types.TInt), formatUsym)
	case "ksym":
		return types.TFormatted(types.TUint, formatKsym)
	case "mac":
		return types.TFormatted(types.TUint, formMAC)
	case "cgroup":
		return types.TFormatted(types.TUint, formatCgroup)
	case "errno":
		return types.TFormatted(types.TInt, formatErrno)
	case "syscall":
		return types.TFormatted(types.TInt, formatSyscall)
	case "ip":
		return types.TIP
	}
	return nil
}

// parseFormatted converts a string to a constant of format f. If it cannot, v is nil and names may list
// possible values.
func (c *checker) parseFormatted(f *types.Format, s string) (v any, names []string) {
	if parse := formatRows[f.Name].parse; parse != nil {
		return parse(c, f, s)
	}
	return nil, nil
}

// comparableFormatted reports whether values of a and b, one of which is formatted, can be equal. A
// formatted value can equal another of its format, a string and, if it is numeric, a number.
func comparableFormatted(a, b *types.Type) bool {
	if a.Kind != types.Formatted {
		a, b = b, a
	}
	return a.Equal(b) || a.IsIP() && b.IsIP() || b.Kind == types.Str || a.IsNumber() && (b.IsInt() || b.IsNumber())
}

// number returns a numeric formatted value as a plain number, and any other expression unchanged.
func number(x expr) expr {
	if t := x.typ(); t.IsNumber() {
		if k, ok := x.(*eConst); ok {
			return &eConst{node{t.Elem, k.pos}, k.v}
		}
		return &eConvert{node{t.Elem, x.position()}, x}
	}
	return x
}

// checkFormattedConst checks the constant k in a comparison with a value of type t. Each string
// that is compared with a formatted value must be valid in its format. It reports an error and
// returns false otherwise.
func (c *checker) checkFormattedConst(pos syntax.Position, t *types.Type, k any) bool {
	switch t.Kind {
	case types.Opt:
		return k == nil || c.checkFormattedConst(pos, t.Elem, k)
	case types.Tuple:
		if k, ok := k.(Tuple); ok && len(k) == len(t.Elems) {
			for i, e := range t.Elems {
				if !c.checkFormattedConst(pos, e, k[i]) {
					return false
				}
			}
		}
	case types.Formatted:
		s, ok := k.(string)
		if !ok {
			return true
		}
		row := formatRows[t.Format.Name]
		if row.parse == nil {
			c.errorf(pos, row.hint, "a %s cannot be compared with a string in a handler", t)
			return false
		}
		if v, names := row.parse(c, t.Format, s); v == nil {
			c.errorf(pos, cmp.Or(didYouMean(s, names), fmt.Sprintf("valid names include %s", join(names[:min(len(names), 4)]))), "%q is not a valid %s", s, t)
			return false
		}
	}
	return true
}

// isMixed reports whether a comparison of the types would compare a formatted value with a string
// somewhere.
func isMixed(a, b *types.Type) bool {
	switch {
	case a.Kind == types.Opt:
		return isMixed(a.Elem, b)
	case b.Kind == types.Opt:
		return isMixed(a, b.Elem)
	case a.Kind == types.Tuple && b.Kind == types.Tuple:
		for i := range a.Elems {
			if isMixed(a.Elems[i], b.Elems[i]) {
				return true
			}
		}
		return false
	}
	return a.Kind == types.Formatted && b.Kind == types.Str || a.Kind == types.Str && b.Kind == types.Formatted
}

// checkFormattedAffix checks startswith and endswith of a value that the host shows as a name. It
// compares the value with the numbers of all names that match.
func checkFormattedAffix(c *checker, e *eMethod) expr {
	t := e.recv.typ()
	all := formatRows[t.Format.Name].all
	if all == nil {
		hint := formatRows[t.Format.Name].hint
		if t.Format.Name == "cgroup" {
			hint = "count by it, and look at the keys in the script"
		}
		return c.bad(e.pos, hint, "%s() of a %s: its text is produced on the host", e.row.name, t)
	}
	k, ok := e.args[0].(*eConst)
	var affixes []string
	if ok {
		switch v := k.v.(type) {
		case string:
			affixes = []string{v}
		case Tuple:
			for _, x := range v {
				s, isStr := x.(string)
				ok = ok && isStr
				affixes = append(affixes, s)
			}
		default:
			ok = false
		}
	}
	if !ok {
		return c.bad(e.args[0].position(), "", "%s() of a %s takes a constant string, or a tuple of these", e.row.name, t)
	}
	has := strings.HasPrefix
	if e.row.name == "endswith" {
		has = strings.HasSuffix
	}
	var list []any
	for n, name := range all(c, t.Format) {
		if slices.ContainsFunc(affixes, func(s string) bool { return has(name, s) }) {
			list = append(list, big.NewInt(n))
		}
	}
	slices.SortFunc(list, func(a, b any) int { return a.(*big.Int).Cmp(b.(*big.Int)) })
	if v, ok := e.recv.(*eConst); ok {
		return boolConst(slices.ContainsFunc(list, func(n any) bool { return n.(*big.Int).Cmp(v.v.(*big.Int)) == 0 }), e.pos)
	}
	return &eIn{node{types.TBool, e.pos}, &eConvert{node{t.Elem, e.pos}, e.recv}, list, false}
}

// sameMixed reports whether v, a constant of type t with numbers for formatted values, equals the
// constant k with strings for them.
func (c *checker) sameMixed(t *types.Type, v, k any) bool {
	switch t.Kind {
	case types.Opt:
		return c.sameMixed(t.Elem, v, k)
	case types.Tuple:
		tv, ok1 := v.(Tuple)
		tk, ok2 := k.(Tuple)
		if !ok1 || !ok2 || len(tv) != len(tk) {
			return false
		}
		for i, e := range t.Elems {
			if !c.sameMixed(e, tv[i], tk[i]) {
				return false
			}
		}
		return true
	case types.Formatted:
		if s, ok := k.(string); ok {
			k, _ = c.parseFormatted(t.Format, s)
		}
	}
	return constRepr(v) == constRepr(k)
}

// compareMixed checks a comparison of formatted values with strings, which must be constants.
func (c *checker) compareMixed(pos syntax.Position, op syntax.Token, x, y expr) expr {
	if op != syntax.EQL && op != syntax.NEQ {
		return c.bad(pos, usage(x.typ()), "a %s cannot be ordered with %s in a handler", x.typ(), op)
	}
	k, ok := y.(*eConst)
	if !ok || y.typ().Kind == types.Formatted {
		x, y = y, x
		k, ok = y.(*eConst)
	}
	if !ok || y.typ().Kind == types.Formatted {
		t := x.typ()
		if t.Kind == types.Str {
			t = y.typ()
		}
		return c.bad(pos, "compare it with a constant", "a %s can be compared with constant strings only", t)
	}
	if !c.checkFormattedConst(k.pos, x.typ(), k.v) {
		return invalid(pos)
	}
	if kx, ok := x.(*eConst); ok {
		return boolConst(c.sameMixed(x.typ(), kx.v, k.v) == (op == syntax.EQL), pos)
	}
	return &eCompare{node{types.TBool, pos}, op, x, y}
}
