package starlarkbind

import (
	"fmt"
	"math/big"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/starlarkbind/cfmt"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// The model is a second implementation of the semantics of handlers, on plain Go maps: aggregations
// and tables for the interpreter.

// wrapInt wraps a number at 64 bits.
func wrapInt(v starlark.Value, unsigned bool) (starlark.Value, error) {
	x, ok := v.(starlark.Int)
	if !ok {
		return nil, fmt.Errorf("w: %s", v.Type())
	}
	n := new(big.Int).And(x.BigInt(), new(big.Int).SetUint64(^uint64(0))).Uint64()
	if unsigned {
		return starlark.MakeUint64(n), nil
	}
	return starlark.MakeInt64(int64(n)), nil
}

// trimNUL ends a string where the kernel's string ends.
func trimNUL(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return starlark.String(strings.TrimRight(string(a[0].(starlark.String)), "\x00")), nil
}

func wrapper(unsigned bool) *starlark.Builtin {
	return starlark.NewBuiltin("w", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return wrapInt(a[0], unsigned)
	})
}

// modelAgg stores everything that was added.
type modelAgg struct {
	kind   agg.Spec
	values map[string][]int64
	keys   map[string]starlark.Value
}

func newModelAgg(spec agg.Spec) *modelAgg {
	return &modelAgg{spec, map[string][]int64{}, map[string]starlark.Value{}}
}

func (m *modelAgg) String() string        { return "agg" }
func (m *modelAgg) Type() string          { return "agg" }
func (m *modelAgg) Freeze()               {}
func (m *modelAgg) Truth() starlark.Bool  { return true }
func (m *modelAgg) Hash() (uint32, error) { return 0, nil }
func (m *modelAgg) AttrNames() []string   { return []string{"add", "items"} }

// counts returns the keys of a count with their values.
func (m *modelAgg) counts() *starlark.Dict {
	d := starlark.NewDict(len(m.keys))
	for k, key := range m.keys {
		n := int64(0)
		for _, v := range m.values[k] {
			n += v
		}
		if err := d.SetKey(key, starlark.MakeInt64(n)); err != nil {
			panic(err)
		}
	}
	return d
}

func (m *modelAgg) Iterate() starlark.Iterator { return m.counts().Iterate() }

func (m *modelAgg) Attr(name string) (starlark.Value, error) {
	if name == "items" {
		return m.counts().Attr(name)
	}
	return starlark.NewBuiltin("add", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var value, by starlark.Value = starlark.MakeInt(1), starlark.None
		if err := starlark.UnpackArgs("add", a, kw, "value?", &value, "by?", &by); err != nil {
			return nil, err
		}
		w, err := wrapInt(value, false)
		if err != nil {
			return nil, err
		}
		n, _ := w.(starlark.Int).Int64()
		k := by.String()
		m.keys[k] = by
		m.values[k] = append(m.values[k], n)
		return starlark.None, nil
	}), nil
}

// value returns the aggregation's value for a key, computed from everything that was added.
func (m *modelAgg) value(vs []int64) string {
	sum, least, most := int64(0), vs[0], vs[0]
	for _, v := range vs {
		sum += v
		least, most = min(least, v), max(most, v)
	}
	n := int64(len(vs))
	switch m.kind.Kind {
	case agg.Count:
		return fmt.Sprint(sum)
	case agg.Sum:
		return fmt.Sprint(sum)
	case agg.Avg:
		return fmt.Sprint("avg of ", n, " ", sum)
	case agg.Min:
		return fmt.Sprint(least)
	case agg.Max:
		return fmt.Sprint(most)
	case agg.Stats:
		return fmt.Sprintf("%d %d %d %d", n, sum, least, most)
	}
	buckets := map[string]int{}
	for _, v := range vs {
		buckets[m.bucket(v)]++
	}
	return strings.TrimSpace(fmt.Sprintln(n, sum, least, most, buckets))
}

// bucket returns the name of a value's bucket.
func (m *modelAgg) bucket(v int64) string {
	if m.kind.Kind == agg.Lhist {
		switch {
		case v < m.kind.Lo:
			return "below"
		case v >= m.kind.Hi:
			return "above"
		}
		return fmt.Sprint((v - m.kind.Lo) / m.kind.Step)
	}
	mag := new(big.Int).Abs(big.NewInt(v))
	return fmt.Sprint(v < 0, mag.BitLen())
}

// modelTable is a dict with the methods of a table.
type modelTable struct{ *starlark.Dict }

func (m *modelTable) Type() string { return "table" }
func (m *modelTable) Attr(name string) (starlark.Value, error) {
	switch name {
	case "pop":
		return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			v, ok, err := m.Delete(a[0])
			if err == nil && !ok {
				v = starlark.None
			}
			return v, err
		}), nil
	case "add":
		return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			var value, by starlark.Value = starlark.MakeInt(1), nil
			if err := starlark.UnpackArgs("add", a, kw, "value?", &value, "by", &by); err != nil {
				return nil, err
			}
			old, ok, err := m.Get(by)
			if err != nil {
				return nil, err
			}
			sum := value.(starlark.Int)
			if ok {
				sum = sum.Add(old.(starlark.Int))
			}
			w, err := wrapInt(sum, false)
			if err != nil {
				return nil, err
			}
			return w, m.SetKey(by, w)
		}), nil
	}
	return m.Dict.Attr(name)
}

// oracleMaps lists the aggregations of the generated handlers, each with the script text that
// creates it.
var oracleMaps = []struct {
	name, make string
	spec       agg.Spec
}{
	{"by_int", "count(max_keys=1024)", agg.Spec{Kind: agg.Count}},
	{"by_size", "count(max_keys=1024)", agg.Spec{Kind: agg.Count}},
	{"by_str", "sum(max_keys=1024)", agg.Spec{Kind: agg.Sum}},
	{"by_tuple", "stats(max_keys=1024)", agg.Spec{Kind: agg.Stats}},
	{"by_bytes", "count(max_keys=1024)", agg.Spec{Kind: agg.Count}},
	{"by_text", "count(max_keys=1024)", agg.Spec{Kind: agg.Count}},
	{"by_pair", "count(max_keys=1024)", agg.Spec{Kind: agg.Count}},
	{"by_bool", "hist(max_keys=1024)", agg.Spec{Kind: agg.Hist}},
	{"total", "sum()", agg.Spec{Kind: agg.Sum}},
	{"most", "max()", agg.Spec{Kind: agg.Max}},
	{"least", "min()", agg.Spec{Kind: agg.Min}},
	{"spread", "hist()", agg.Spec{Kind: agg.Hist}},
	{"mean", "avg()", agg.Spec{Kind: agg.Avg}},
	{"linear", "lhist(-10, 50, 7)", agg.Spec{Kind: agg.Lhist, Lo: -10, Hi: 50, Step: 7}},
	{"none", "count()", agg.Spec{Kind: agg.Count}},
}

// A modelRun interprets a handler on events.
type modelRun struct {
	aggs    map[string]*modelAgg
	tabs    map[string]*modelTable
	sent    strings.Builder // records of the stream
	printed strings.Builder
	errors  map[string]int // counts by errno
	event   oracleEvent    // the current event
	handled int            // events so far
	endless bool           // the run for the last event did not end
}

// modelSteps limits the interpreter's steps in one run. No generated loop that ends needs a tenth
// of them.
const modelSteps = 3_000_000

// oracleTables lists the tables and their sizes.
var oracleTables = map[string]int{"tab": 1024, "words": 64, "sizes": 1024, "pairs": 64, "texts": 64, "recs": 64}

// sentText returns a record of the stream as text.
func sentText(v starlark.HasAttrs) (string, error) {
	text := ""
	for _, name := range []string{"n", "s", "t", "b"} {
		x, err := v.Attr(name)
		if err != nil {
			return "", err
		}
		text += x.String() + " "
	}
	return text + "\n", nil
}

func runModel(text string, events []oracleEvent) (*modelRun, error) {
	m := &modelRun{aggs: map[string]*modelAgg{}, tabs: map[string]*modelTable{}, errors: map[string]int{}}
	pre := starlark.StringDict{"w": wrapper(false), "wu": wrapper(true), "z": starlark.NewBuiltin("z", trimNUL),
		"struct": starlark.NewBuiltin("struct", structs.Make),
		"sent": starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{"emit": starlark.NewBuiltin("emit", func(_ *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			text, err := sentText(starlarkstruct.FromKeywords(starlarkstruct.Default, kw))
			m.sent.WriteString(text)
			return starlark.None, err
		})}),
		"print": starlark.NewBuiltin("print", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			for i, x := range a {
				if i > 0 {
					m.printed.WriteByte(' ')
				}
				if s, ok := starlark.AsString(x); ok {
					m.printed.WriteString(render.Escape(s))
				} else if b, ok := x.(starlark.Bytes); ok {
					m.printed.WriteString(render.Bytes(b))
				} else {
					m.printed.WriteString(x.String())
				}
			}
			m.printed.WriteByte('\n')
			return starlark.None, nil
		}),
		"printf": starlark.NewBuiltin("printf", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			for i, x := range a[1:] {
				if s, ok := starlark.AsString(x); ok {
					a[1+i] = starlark.String(render.Escape(s))
				}
			}
			s, err := cfmt.Sprintf(string(a[0].(starlark.String)), a[1:])
			m.printed.WriteString(s)
			return starlark.None, err
		})}
	for _, readers := range []starlark.StringDict{m.readers(), m.hostReaders(), hostTexts()} {
		for name, f := range readers {
			pre[name] = f
		}
	}
	for name := range oracleTables {
		m.tabs[name] = &modelTable{starlark.NewDict(8)}
		pre[name] = m.tabs[name]
	}
	for _, om := range oracleMaps {
		a := newModelAgg(om.spec)
		m.aggs[om.name] = a
		pre[om.name] = a
	}
	globals, err := starlark.ExecFileOptions(source.Options, &starlark.Thread{}, "host.star", text, pre)
	if err != nil {
		return nil, err
	}
	for _, ev := range events {
		m.event, m.handled = ev, m.handled+1
		thread := &starlark.Thread{}
		thread.SetMaxExecutionSteps(modelSteps)
		if _, err := starlark.Call(thread, globals["handler"], starlark.Tuple{ev.value()}, nil); err != nil {
			switch msg := err.Error(); {
			case thread.ExecutionSteps() >= modelSteps:
				m.endless = true
				return m, nil
			case strings.Contains(msg, "division by zero"), strings.Contains(msg, "modulo by zero"):
				m.errors["EDOM"]++
			case strings.Contains(msg, "not in table"), strings.Contains(msg, "not in dict"):
				m.errors["ENOENT"]++
			case strings.Contains(msg, "negative shift count"):
				m.errors["EINVAL"]++
			case strings.Contains(msg, "index out of range"), strings.Contains(msg, "out of range"):
				m.errors["ERANGE"]++
			default:
				return nil, fmt.Errorf("the model fails: %w", err)
			}
		}
	}
	return m, nil
}

// An oracleEvent is the contents of the twelve words that a program receives. value returns the
// same for the interpreter.
type oracleEvent struct {
	ints [4]uint64
	half [2]uint32
	flag bool
	s, r string
}

const (
	sCap, rCap, longCap = 16, 8, 16
)

func padded(s string, n int) string { return s + strings.Repeat("\x00", n-len(s)) }

func (ev oracleEvent) value() starlark.Value {
	args := starlark.StringDict{
		"i64": starlark.MakeInt64(int64(ev.ints[0])), "j64": starlark.MakeInt64(int64(ev.ints[1])),
		"u64": starlark.MakeUint64(ev.ints[2]), "v64": starlark.MakeUint64(ev.ints[3]),
		"i32": starlark.MakeInt64(int64(int32(ev.half[0]))), "u32": starlark.MakeUint64(uint64(ev.half[1])),
		"mem": starlark.MakeUint64(memoryAt), "flag": starlark.Bool(ev.flag), "s": starlark.String(ev.s), "r": starlark.String(ev.r), "long": starlark.String(""),
		"raw": starlark.Bytes(padded(ev.s, sCap)), "raw8": starlark.Bytes(padded(ev.r, rCap))}
	return starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{"args": starlarkstruct.FromStringDict(starlarkstruct.Default, args)})
}
