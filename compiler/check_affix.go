package compiler

import (
	"math/big"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// checkAffix checks startswith and endswith, whose argument may be a tuple.
func checkAffix(c *checker, e *eMethod) expr {
	arg := e.args[0]
	var list []expr
	switch a := arg.(type) {
	case *eConst:
		list = []expr{a}
		if tup, ok := a.v.(Tuple); ok && a.t.Kind == types.Tuple {
			list = nil
			for i, v := range tup {
				list = append(list, &eConst{node{a.t.Elems[i], a.pos}, v})
			}
		}
	case *eTuple:
		list = a.elems
	default:
		list = []expr{arg}
	}
	known, all := false, true
	for _, p := range list {
		if p.typ().Kind != types.Str {
			hint := ""
			if p.typ().Kind == types.List {
				hint = "a tuple is allowed here: (" + `"a", "b")`
			}
			return c.bad(p.position(), hint, "%s needs a string or a tuple of strings, not %s", e.name, p.typ().WithArticle())
		}
		kr, ok1 := e.recv.(*eConst)
		kp, ok2 := p.(*eConst)
		if ok2 {
			if most, s, cut := cutBelow(e.recv.typ(), kp.v); cut {
				c.tooLong(p.position(), e.recv, most, s)
				return invalid(e.pos)
			}
		}
		if !ok1 || !ok2 {
			all = false
			continue
		}
		has := strings.HasPrefix
		if e.name == "endswith" {
			has = strings.HasSuffix
		}
		known = known || has(kr.v.(string), kp.v.(string))
	}
	if all {
		return boolConst(known, e.pos)
	}
	e.args = list
	e.t = types.TBool
	return e
}

// checkFormattedAffix checks startswith and endswith of a value that the host shows as a name. It
// compares the value with the numbers of all names that match.
func checkFormattedAffix(c *checker, e *eMethod) expr {
	t := e.recv.typ()
	var all map[int64]string
	if names := requestFormats[t.Format.Name].names; names != nil {
		all = names(c)
	} else if names := t.Format.Row().Names; names != nil {
		all = names(t.Format)
	} else {
		return c.bad(e.pos, t.Format.Row().Hint, "%s() of %s: its text is produced on the host", e.name, t.WithArticle())
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
		return c.bad(e.args[0].position(), "", "%s() of %s takes a constant string, or a tuple of these", e.name, t.WithArticle())
	}
	has := strings.HasPrefix
	if e.name == "endswith" {
		has = strings.HasSuffix
	}
	var list []any
	for n, name := range all {
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
