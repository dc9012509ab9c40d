package compiler

import (
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// typedArg checks e.args.NAME if only BTF has the names.
func (c *checker) typedArg(name string, pos syntax.Position) expr {
	if c.typed == nil && c.typedErr == nil {
		c.typed, c.typedErr = c.req.Event.Typed()
	}
	if c.typedErr != nil {
		return c.bad(pos, "read the raw arguments by index: e.args[0]", "the argument names of %s are unknown: %v", c.req.Name, c.typedErr)
	}
	var names []string
	for i := range c.typed {
		if f := &c.typed[i]; f.Name == name {
			c.facts.TypedArgs = true
			return c.arg(f, pos)
		}
		names = append(names, c.typed[i].Name)
	}
	hint := didYouMean(name, names)
	if hint == "" && len(names) > 0 {
		hint = "it has " + strings.Join(names, ", ")
	}
	return c.bad(pos, hint, "%s has no argument %s", c.req.Name, name)
}

// pointers makes two pointers, or a pointer and None, comparable as numbers. None is NULL.
func (c *checker) pointers(op syntax.Token, x, y expr) (expr, expr) {
	null := func(x, other expr) expr {
		if x.typ().Kind == types.None && other.typ().Kind == types.Ptr && (op == syntax.EQL || op == syntax.NEQ) {
			return intConst(0, x.position())
		}
		return x
	}
	x, y = c.addressOf(x), c.addressOf(y)
	x, y = null(x, y), null(y, x)
	if op != syntax.EQL && op != syntax.NEQ {
		for _, p := range []*expr{&x, &y} {
			if (*p).typ().Kind == types.Ptr {
				*p = c.wantInt(*p, "")
			}
		}
	}
	return x, y
}

// pointerKey converts the pointers in a key to ints, which is how the script sees them.
func (c *checker) pointerKey(x expr) expr {
	if t := keyType(x.typ()); t != x.typ() {
		return &eConvert{node{t, x.position()}, x}
	}
	return x
}

func keyType(t *types.Type) *types.Type {
	switch t.Kind {
	case types.Ptr:
		return types.TUint
	case types.Opt:
		if e := keyType(t.Elem); e != t.Elem {
			return types.TOpt(e)
		}
	case types.Tuple:
		elems, changed := make([]*types.Type, len(t.Elems)), false
		for i, e := range t.Elems {
			elems[i] = keyType(e)
			changed = changed || elems[i] != e
		}
		if changed {
			return types.TTuple(elems...)
		}
	}
	return t
}
