package compiler

import "github.com/bpfrepl/bpfrepl/compiler/types"

func checkAggAdd(c *checker, e *eMethod) expr {
	m, value, by := e.m, e.args[0], e.args[1]
	t := c.typing(m)
	if value == nil {
		value = intConst(1, e.pos)
	}
	value = c.wantInt(value, "the value to add")
	if value.typ().Kind == types.Invalid {
		return value
	}
	vt := value.typ()
	if k, ok := value.(*eConst); ok && t.val.t != nil && smallConst(k) {
		vt = t.val.t // a constant that is not negative fits both signs
	}
	switch {
	case t.val.t == nil:
		c.growMap(&t.val, vt, e.pos)
	default:
		j := types.Join(t.val.t, vt)
		if j == nil || t.valFixed && j.Kind != t.val.t.Kind {
			c.errorf(value.position(), joinHint(t.val.t, vt), "%s %q adds values of type %s elsewhere, and %s here", m.Kind(), m.Name, t.val.t, vt)
			c.pointAt(c.diags, t.val.at, "values of type %s here", t.val.t)
			return invalid(value.position())
		}
		if !t.valFixed && !t.val.t.Equal(j) {
			c.growMap(&t.val, j, e.pos)
		}
	}
	if by == nil || by.typ().Kind == types.None {
		if t.key.t == nil {
			c.growMap(&t.key, types.TNone, e.pos)
		}
		if t.key.t.Kind != types.None {
			c.errorf(e.pos, "write by=key here too, or make another "+m.Kind()+"()", "%s %q has keys of type %s; this add has no key", m.Kind(), m.Name, t.key.t)
			c.pointAt(c.diags, t.key.at, "keys of type %s here", t.key.t)
			return invalid(e.pos)
		}
		by = nil
	} else {
		if t.key.t != nil && t.key.t.Kind == types.None {
			c.errorf(by.position(), "leave out by= here, or make another "+m.Kind()+"()", "%s %q has no keys; this add has one", m.Kind(), m.Name)
			c.pointAt(c.diags, t.key.at, "no key here")
			return invalid(by.position())
		}
		if by = c.useKey(m, by); by.typ().Kind == types.Invalid {
			return by
		}
	}
	e.args = []expr{value, by}
	return e
}

// tableKey checks the key of a table access, and returns it with the type of the values. That type
// may still be unknown (TInvalid). ok is false after an error.
func (c *checker) tableKey(e *eMethod, key expr) (expr, *types.Type, bool) {
	key = c.useKey(e.m, key)
	if key.typ().Kind == types.Invalid {
		return key, nil, false
	}
	t := c.typing(e.m)
	if t.val.t == nil {
		return key, types.TInvalid, true // until an assignment determines it
	}
	return key, t.val.t.Stored(), true
}

func checkTableIndex(c *checker, e *eMethod) expr {
	key, t, ok := c.tableKey(e, e.args[0])
	if !ok {
		return key
	}
	e.args = []expr{key}
	e.t = t
	return e
}

func checkTableIn(c *checker, e *eMethod) expr {
	key, _, ok := c.tableKey(e, e.args[0])
	if !ok {
		return key
	}
	e.args = []expr{key}
	e.t = types.TBool
	return e
}

// checkTableGet checks get and pop. Without a default, the result is an optional.
func checkTableGet(c *checker, e *eMethod) expr {
	key, t, ok := c.tableKey(e, e.args[0])
	if !ok {
		return key
	}
	def := e.args[1]
	if def == nil {
		if t.Kind == types.Invalid {
			return invalid(e.pos)
		}
		def = &eConst{node: node{types.TNone, e.pos}}
	}
	// While the type of the values is not known, use that of the default: seen[k] = seen.get(k, 0)
	// + 1
	j := types.Join(t, def.typ())
	if j == nil {
		return c.bad(def.position(), meetHint(t, def.typ()), "table %q has values of type %s; the default is %s", e.m.Name, t, def.typ().WithArticle())
	}
	e.args = []expr{key, convert(def, j)}
	e.t = j
	return e
}

func checkTableAdd(c *checker, e *eMethod) expr {
	value, by := e.args[0], e.args[1]
	if by == nil {
		return c.bad(e.pos, "write by=key", "table.add(): missing argument \"by\"")
	}
	if value == nil {
		value = intConst(1, e.pos)
	}
	value = c.wantInt(value, "the value to add")
	key := c.useKey(e.m, by)
	if anyInvalid([]expr{value, key}) {
		return invalid(e.pos)
	}
	if c.addTo(e.m, value, false, "add", e.pos) {
		return invalid(e.pos)
	}
	e.args = []expr{value, key}
	e.t = c.typing(e.m).val.t.Stored()
	return e
}

func checkTableClear(c *checker, e *eMethod) expr {
	if !c.req.Features.ForEachElem {
		return c.bad(e.pos, "clear it from the script, or remove keys with pop", "clear() in a handler needs kernel 5.13 (bpf_for_each_map_elem)")
	}
	t := c.typing(e.m)
	if t.key.t == nil {
		return c.bad(e.pos, "use it first, in an earlier probe or from the script", "the types of table %q are not known yet", e.m.Name)
	}
	return e
}
