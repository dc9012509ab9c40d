package maps

import (
	"fmt"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/methods"
)

func list(tuples []starlark.Tuple) *starlark.List {
	out := make([]starlark.Value, len(tuples))
	for i, t := range tuples {
		out[i] = t
	}
	return starlark.NewList(out)
}

func column(tuples []starlark.Tuple, i int) *starlark.List {
	out := make([]starlark.Value, len(tuples))
	for j, t := range tuples {
		out[j] = t[i]
	}
	return starlark.NewList(out)
}

// AggregationMethods are the methods of all aggregations.
var AggregationMethods = []methods.Row[*Aggregation]{
	methods.New("add", "add(value=1, by=None)", "add from the script, as a handler does", `calls.add(5, by="sh")`, (*Aggregation).callAdd),
	methods.New("clear", "clear()", "empty it", "calls.clear()", func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		if err := starlark.UnpackArgs("clear", args, kw); err != nil {
			return nil, err
		}
		return starlark.None, a.clear()
	}),
	methods.New("delta", "delta()", "what was added since the last delta(), as a plain dict or value", "every(1, lambda: print(calls.delta()))", func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		if err := starlark.UnpackArgs("delta", args, kw); err != nil {
			return nil, err
		}
		return a.delta()
	}),
	methods.New("get", "get(key, default=None)", "the value of a key, or the default", `calls.get("sh", 0)`, func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return getDefault(a, args, kw)
	}),
	methods.New("items", "items()", "list of (key, value)", "for k, v in calls.items(): print(k, v)", func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		e, err := a.entries()
		return list(e), err
	}),
	methods.New("keys", "keys()", "list of keys", "sorted(calls.keys())", func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		e, err := a.entries()
		return column(e, 0), err
	}),
	methods.New("per_cpu", "per_cpu()", "for each key, the list of per-CPU values", "calls.per_cpu()", func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return a.perCPU()
	}),
	methods.New("snapshot", "snapshot()", "a plain dict of keys and values; without keys the plain value", "before = calls.snapshot()", func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return a.Snapshot()
	}),
	methods.New("top", "top(n=10)", "list of the n largest (key, value), the largest first", "for k, v in calls.top(5): print(k, v)", func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		n := 10
		if err := starlark.UnpackArgs("top", args, kw, "n?", &n); err != nil {
			return nil, err
		}
		if n < 0 {
			return nil, fmt.Errorf("top: n must not be negative, got %d", n)
		}
		e, err := a.top(n)
		return list(e), err
	}),
	methods.New("values", "values()", "list of values", "sum(calls.values())", func(a *Aggregation, _ *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		e, err := a.entries()
		return column(e, 1), err
	}),
}

// Attr implements starlark.HasAttrs.
func (a *Aggregation) Attr(name string) (starlark.Value, error) {
	return methods.Attr(a, name, AggregationMethods, func(name string) (starlark.Value, error) {
		switch name {
		case "name":
			return starlark.String(a.Name()), nil
		case "value":
			if !a.Keyless() && a.Live() != nil {
				return nil, fmt.Errorf("%s %q has keys; read %s[key], or %s.snapshot()", a.Type(), a.Name(), a.Name(), a.Name())
			}
			w, err := a.Read(a.env.Run.Context())
			if err != nil {
				return nil, err
			}
			v := w.Get("")
			if v == nil {
				v = make([]uint64, a.spec().Words())
			}
			return a.Value(v), nil
		case "dropped":
			n, err := a.env.Dropped(a.decl)
			return starlark.MakeUint64(n), err
		}
		return nil, nil
	})
}

// AttrNames implements starlark.HasAttrs.
func (a *Aggregation) AttrNames() []string {
	return methods.Names(AggregationMethods, "dropped", "name", "value")
}

// callAdd implements add(value=1, by=None). It runs the same compiled code in the kernel as a
// handler.
func (a *Aggregation) callAdd(thread *starlark.Thread, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var value, by starlark.Value = starlark.MakeInt(1), nil
	if err := starlark.UnpackArgs("add", args, kw, "value?", &value, "by?", &by); err != nil {
		return nil, err
	}
	return a.env.Add(thread, a.decl, value, by)
}

// getDefault implements get(key, default=None) of a mapping.
func getDefault(m starlark.Mapping, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var key, def starlark.Value = nil, starlark.None
	if err := starlark.UnpackArgs("get", args, kw, "key", &key, "default?", &def); err != nil {
		return nil, err
	}
	v, ok, err := m.Get(key)
	if err != nil || ok {
		return v, err
	}
	return def, nil
}
