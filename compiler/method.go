package compiler

import (
	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A method is a method or operator that handlers may use. Each is one table row, used by the
// checker, the lowering and help.
type method struct {
	recv    string // kind of receiver: "aggregation", "table", "string", "dict"...
	name    string // "[]" and "in" for operators
	sig     string
	doc     string
	example string
	check   func(c *checker, e *eMethod) expr
	lower   func(lw *lowerer, e *eMethod) val
	jump    func(lw *lowerer, e *eMethod, t, f *ir.Block) // lowers a bool as a condition; may be nil
}

func methods() []method {
	return []method{
		{"aggregation", "add", "add(value=1, by=None)", "add a value, to the key passed as by", "calls.add(by=e.comm)", checkAggAdd, lowerAggAdd, nil},
		{"table", "[]", "t[key]", "the value of a key; a missing key ends the handler", "t0 = start[e.tid]", checkTableIndex, lowerTableIndex, nil},
		{"table", "in", "key in t", "whether the table has the key", "if e.tid in start: start.pop(e.tid)", checkTableIn, lowerTableIn, nil},
		{"table", "get", "get(key, default=None)", "the value of a key, or the default", "n = seen.get(e.pid, 0)", checkTableGet, lowerTableGet, nil},
		{"table", "pop", "pop(key, default=None)", "remove a key and return its value, or the default", "t0 = start.pop(e.tid)", checkTableGet, lowerTablePop, nil},
		{"table", "add", "add(value=1, by=None)", "add atomically, from 0 if the key is absent; returns the new value", "n = seen.add(by=e.pid)", checkTableAdd, lowerTableAdd, nil},
		{"table", "clear", "clear()", "remove all keys (5.13)", "t.clear()", checkTableClear, lowerTableClear, nil},
		{"stream", "emit", "emit(**fields)", "send a record to the script", "opens.emit(pid=e.pid, comm=e.comm)", checkEmit, lowerEmit, nil},
		{"string", "startswith", "startswith(prefix)", "whether the string begins with another, or with one of a tuple", `if e.comm.startswith("kworker"): return`, checkAffix, lowerAffix, jumpAffix},
		{"string", "endswith", "endswith(suffix)", "whether the string ends with another, or with one of a tuple", `if e.comm.endswith(("d", "worker")): return`, checkAffix, lowerAffix, jumpAffix},
		{"shown value", "startswith", "startswith(prefix)", "whether a name (e.func, e.probe, syscall_name(), errno_name(), an enum) begins with a string, or with one of a tuple", `if syscall_name(e.args.id).startswith("get"): calls.add()`, checkFormattedAffix, nil, nil},
		{"shown value", "endswith", "endswith(suffix)", "whether a name ends with a string, or with one of a tuple", `if errno_name(e.args.id).endswith("INTR"): calls.add()`, checkFormattedAffix, nil, nil},
		{"dict", "get", "get(key, default=None)", "the value of a key of a captured dict, or the default", `name = names.get(e.args.id, "other")`, checkDictGet, nil, nil},
		{"dict", "items", "items()", "the (key, value) tuples of a captured dict, to loop over", `for id, name in names.items(): print(id, name)`, checkDictItems, nil, nil},
		{"dict", "keys", "keys()", "the keys of a captured dict", `if e.args.id in names.keys(): print(e.comm)`, checkDictItems, nil, nil},
		{"dict", "values", "values()", "the values of a captured dict", `if e.comm in names.values(): print(e.comm)`, checkDictItems, nil, nil},
	}
}

// Methods lists the methods that a handler can call. Name is "aggregation.add" and so on.
func Methods() []Doc {
	var out []Doc
	for _, m := range rows.methods {
		out = append(out, Doc{m.recv + "." + m.name, m.sig, m.doc, m.example, exampleProbe, ""})
	}
	return out
}

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
			return c.bad(value.position(), joinHint(t.val.t, vt), "%s %q adds values of type %s%s, and %s here", m.Kind(), m.Name, t.val.t, elsewhere(t.val.at), vt)
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
			return c.bad(e.pos, "write by=key here too, or make another "+m.Kind()+"()", "%s %q has keys of type %s; this add has no key", m.Kind(), m.Name, t.key.t)
		}
		by = nil
	} else {
		if t.key.t != nil && t.key.t.Kind == types.None {
			return c.bad(by.position(), "leave out by= here, or make another "+m.Kind()+"()", "%s %q has no keys; this add has one", m.Kind(), m.Name)
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
		return c.bad(def.position(), meetHint(t, def.typ()), "table %q has values of type %s; the default is a %s", e.m.Name, t, def.typ())
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

func checkDictGet(c *checker, e *eMethod) expr {
	k, ok := e.recv.(*eConst)
	if !ok {
		return c.bad(e.pos, "", "this dict is not a constant")
	}
	def := e.args[1]
	if def == nil {
		def = &eConst{node: node{types.TNone, e.pos}}
	}
	return c.dictGet(e.pos, k.v.(Dict), e.args[0], def)
}
