package check

import (
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// AggAdd checks agg.add(value, by=key).
func AggAdd(c *Checker, e *tree.MethodExpr) tree.Expr {
	m, value, by := e.Map, e.Args[0], e.Args[1]
	t := c.typing(m)
	if value == nil {
		value = tree.IntConst(1, e.Pos)
	}
	value = c.WantInt(value, "the value to add")
	if value.Type().Kind == types.Invalid {
		return value
	}
	vt := value.Type()
	if k, ok := value.(*tree.ConstExpr); ok && t.val.t != nil && tree.SmallConst(k) {
		vt = t.val.t // a constant that is not negative fits both signs
	}
	switch {
	case t.val.t == nil:
		c.growMap(&t.val, vt, e.Pos)
	default:
		j := types.Join(t.val.t, vt)
		if j == nil || t.valFixed && j.Kind != t.val.t.Kind {
			c.Errorf(value.Position(), joinHint(t.val.t, vt), "%s %q adds values of type %s elsewhere, and %s here", m.Kind(), m.Name, t.val.t, vt)
			c.pointAt(c.Diags, t.val.at, "values of type %s here", t.val.t)
			return tree.Invalid(value.Position())
		}
		if !t.valFixed && !t.val.t.Equal(j) {
			c.growMap(&t.val, j, e.Pos)
		}
	}
	if by == nil || by.Type().Kind == types.None {
		if t.key.t == nil {
			c.growMap(&t.key, types.TNone, e.Pos)
		}
		if t.key.t.Kind != types.None {
			c.Errorf(e.Pos, "write by=key here too, or make another "+m.Kind()+"()", "%s %q has keys of type %s; this add has no key", m.Kind(), m.Name, t.key.t)
			c.pointAt(c.Diags, t.key.at, "keys of type %s here", t.key.t)
			return tree.Invalid(e.Pos)
		}
		by = nil
	} else {
		if t.key.t != nil && t.key.t.Kind == types.None {
			c.Errorf(by.Position(), "leave out by= here, or make another "+m.Kind()+"()", "%s %q has no keys; this add has one", m.Kind(), m.Name)
			c.pointAt(c.Diags, t.key.at, "no key here")
			return tree.Invalid(by.Position())
		}
		if by = c.useKey(m, by); by.Type().Kind == types.Invalid {
			return by
		}
	}
	e.Args = []tree.Expr{value, by}
	return e
}

// tableKey checks the key of a table access, and returns it with the type of the values. That type
// may still be unknown (TInvalid). ok is false after an error.
func (c *Checker) tableKey(e *tree.MethodExpr, key tree.Expr) (tree.Expr, *types.Type, bool) {
	key = c.useKey(e.Map, key)
	if key.Type().Kind == types.Invalid {
		return key, nil, false
	}
	t := c.typing(e.Map)
	if t.val.t == nil {
		return key, types.TInvalid, true // until an assignment determines it
	}
	return key, t.val.t.Stored(), true
}

// TableIndex checks t[key].
func TableIndex(c *Checker, e *tree.MethodExpr) tree.Expr {
	key, t, ok := c.tableKey(e, e.Args[0])
	if !ok {
		return key
	}
	e.Args = []tree.Expr{key}
	e.T = t
	return e
}

// TableIn checks key in t.
func TableIn(c *Checker, e *tree.MethodExpr) tree.Expr {
	key, _, ok := c.tableKey(e, e.Args[0])
	if !ok {
		return key
	}
	e.Args = []tree.Expr{key}
	e.T = types.TBool
	return e
}

// TableGet checks get and pop. Without a default, the result is an optional.
func TableGet(c *Checker, e *tree.MethodExpr) tree.Expr {
	key, t, ok := c.tableKey(e, e.Args[0])
	if !ok {
		return key
	}
	def := e.Args[1]
	if def == nil {
		if t.Kind == types.Invalid {
			return tree.Invalid(e.Pos)
		}
		def = &tree.ConstExpr{Node: tree.At(types.TNone, e.Pos)}
	}
	// While the type of the values is not known, use that of the default: seen[k] = seen.get(k, 0)
	// + 1
	j := types.Join(t, def.Type())
	if j == nil {
		return c.Bad(def.Position(), meetHint(t, def.Type()), "table %q has values of type %s; the default is %s", e.Map.Name, t, def.Type().WithArticle())
	}
	e.Args = []tree.Expr{key, tree.Convert(def, j)}
	e.T = j
	return e
}

// TableAdd checks t.add(value, by=key).
func TableAdd(c *Checker, e *tree.MethodExpr) tree.Expr {
	value, by := e.Args[0], e.Args[1]
	if by == nil {
		return c.Bad(e.Pos, "write by=key", "table.add(): missing argument \"by\"")
	}
	if value == nil {
		value = tree.IntConst(1, e.Pos)
	}
	value = c.WantInt(value, "the value to add")
	key := c.useKey(e.Map, by)
	if AnyInvalid([]tree.Expr{value, key}) {
		return tree.Invalid(e.Pos)
	}
	if c.addTo(e.Map, value, false, "add", e.Pos) {
		return tree.Invalid(e.Pos)
	}
	e.Args = []tree.Expr{value, key}
	e.T = c.typing(e.Map).val.t.Stored()
	return e
}

// TableClear checks t.clear().
func TableClear(c *Checker, e *tree.MethodExpr) tree.Expr {
	if !c.Req.Features.ForEachElem {
		return c.Bad(e.Pos, "clear it from the script, or remove keys with pop", "clear() in a handler needs kernel 5.13 (bpf_for_each_map_elem)")
	}
	t := c.typing(e.Map)
	if t.key.t == nil {
		return c.Bad(e.Pos, "use it first, in an earlier probe or from the script", "the types of table %q are not known yet", e.Map.Name)
	}
	return e
}
