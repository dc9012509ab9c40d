package hostrun

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
)

// An event is the argument of a handler that the script calls: event(comm="sh", pid=1,
// args=struct(ret=3)). It has only the fields that it was given; reading another field is an error.
type event struct{ fields starlark.StringDict }

var (
	_ starlark.HasAttrs   = (*event)(nil)
	_ starlark.Comparable = (*event)(nil)
)

// eventRegs is the field of an event that reg() reads. Handlers cannot read it directly.
const eventRegs = "regs"

// Event implements event(**fields).
func (h *Handlers) Event(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("event: name each field: event(comm=\"sh\", pid=1)")
	}
	known := append(eventFieldNames(), eventRegs)
	e := &event{starlark.StringDict{}}
	for _, pair := range kw {
		name, v := string(pair[0].(starlark.String)), pair[1]
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("event: an event has no field %s%s", name, didYouMean(name, known))
		}
		var err error
		switch name {
		case "args":
			v, err = newEventArgs(v)
		case "kstack", "ustack":
			v, err = h.eventStack(name == "ustack", v, kw)
		}
		if err != nil {
			return nil, fmt.Errorf("event: %s: %w", name, err)
		}
		e.fields[name] = v
	}
	return e, nil
}

func eventFieldNames() []string {
	var out []string
	for _, f := range compiler.EventFields() {
		out = append(out, f[0])
	}
	return out
}

func didYouMean(word string, names []string) string {
	if near := suggest.Nearest(word, names, 1); len(near) > 0 {
		return fmt.Sprintf(" (did you mean %s?)", near[0])
	}
	return ""
}

// eventStack makes a stack from a list of addresses. The process of a user stack is the pid among
// the fields kw.
func (h *Handlers) eventStack(user bool, v starlark.Value, kw []starlark.Tuple) (starlark.Value, error) {
	if k, ok := v.(*codec.Stack); ok {
		return k, nil
	}
	it, ok := v.(starlark.Iterable)
	if !ok {
		return nil, fmt.Errorf("got %s, want a list of addresses", v.Type())
	}
	k := &codec.Stack{C: h.env.Codec, User: user}
	if user {
		for _, pair := range kw {
			if n, ok := pair[1].(starlark.Int); ok && pair[0] == starlark.String("pid") {
				k.PID = int(codec.Word(n))
			}
		}
	}
	iter := it.Iterate()
	defer iter.Done()
	var x starlark.Value
	for iter.Next(&x) {
		if _, ok := x.(starlark.Int); !ok {
			return nil, fmt.Errorf("got a list with %s in it, want a list of addresses", x.Type())
		}
		k.Frames = append(k.Frames, codec.Word(x))
	}
	return k, nil
}

func (e *event) Type() string          { return "event" }
func (e *event) Freeze()               { e.fields.Freeze() }
func (e *event) Truth() starlark.Bool  { return true }
func (e *event) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: event") }

// CompareSameType implements starlark.Comparable.
func (e *event) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	same := e == y || y == anyEvent
	switch op {
	case syntax.EQL:
		return same, nil
	case syntax.NEQ:
		return !same, nil
	}
	return false, fmt.Errorf("events have no order")
}

func (e *event) String() string {
	out := "event("
	for i, n := range e.AttrNames() {
		if i > 0 {
			out += ", "
		}
		out += n + "=" + e.fields[n].String()
	}
	return out + ")"
}

// Attr implements starlark.HasAttrs.
func (e *event) Attr(name string) (starlark.Value, error) {
	if v, ok := e.fields[name]; ok {
		return v, nil
	}
	if args, ok := e.fields["args"].(*eventArgs); ok && name == "ret" {
		if v, ok := args.named["ret"]; ok {
			return v, nil
		}
	}
	if slices.Contains(eventFieldNames(), name) {
		return nil, fmt.Errorf("this event has no %s: write event(%s=...)", name, name)
	}
	return nil, fmt.Errorf("an event has no field %s%s", name, didYouMean(name, eventFieldNames()))
}

// AttrNames implements starlark.HasAttrs.
func (e *event) AttrNames() []string {
	names := e.fields.Keys()
	sort.Strings(names)
	return names
}

// fieldTypes returns a description of the event derived from its values. Integers have 64 bits, and
// are unsigned from 2**63 on.
func (e *event) fieldTypes() *compiler.Event {
	out := &compiler.Event{Probe: "event", Func: "event", Event: abi.Event{NoArgs: "the event has no arguments"}}
	if args, ok := e.fields["args"].(*eventArgs); ok {
		out.NoArgs = ""
		for _, name := range args.named.Keys() {
			out.Fields = append(out.Fields, fieldOf(name, args.named[name]))
		}
		for i, v := range args.list {
			out.Args = append(out.Args, fieldOf(fmt.Sprint(i), v))
		}
	}
	if v, err := e.Attr("ret"); err == nil {
		ret := fieldOf("ret", v)
		out.Ret = &ret
	}
	return out
}

// fieldOf describes a field of an event by the value it was given.
func fieldOf(name string, v starlark.Value) abi.Field {
	f := abi.Field{Name: name, Kind: abi.FieldInt, Size: 8, CType: v.Type()}
	switch v := v.(type) {
	case starlark.Int:
		_, f.Signed = v.Int64()
	case starlark.Bool:
		f.Kind = abi.FieldBool
	case starlark.String:
		f.Kind, f.Type = abi.FieldValue, types.TStr(len(v))
	case starlark.Bytes:
		f.Kind, f.Type = abi.FieldValue, types.TBytes(len(v))
	default:
		f.Kind = abi.FieldUnreadable
	}
	return f
}

// types returns a string that is equal for events whose fieldTypes agree in what matters to
// arithmetic.
func (e *event) types() string {
	t := e.fieldTypes()
	fields := append(t.Fields, t.Args...)
	if t.Ret != nil {
		fields = append(fields, *t.Ret)
	}
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprint(&b, f.Name, f.Kind, f.Signed, " ")
	}
	return b.String()
}

// eventArgs is e.args, by name or by index, as the event was given them.
type eventArgs struct {
	named starlark.StringDict
	list  []starlark.Value
}

var (
	_ starlark.HasAttrs  = (*eventArgs)(nil)
	_ starlark.Indexable = (*eventArgs)(nil)
)

// newEventArgs makes e.args from a struct or a dict, whose arguments have names, or from a list or
// tuple, whose arguments have indexes.
func newEventArgs(v starlark.Value) (starlark.Value, error) {
	a := &eventArgs{named: starlark.StringDict{}}
	switch v := v.(type) {
	case *eventArgs:
		return v, nil
	case *starlark.Dict:
		for _, it := range v.Items() {
			name, ok := it[0].(starlark.String)
			if !ok {
				return nil, fmt.Errorf("the names of arguments are strings, got %s", it[0].Type())
			}
			a.named[string(name)] = it[1]
		}
	case starlark.Indexable: // before HasAttrs, because a list has attributes: its methods
		if _, isStr := v.(starlark.String); isStr {
			return nil, fmt.Errorf("got string, want a struct, a dict or a list")
		}
		for i := range v.Len() {
			a.list = append(a.list, v.Index(i))
		}
	case starlark.HasAttrs:
		for _, name := range v.AttrNames() {
			x, err := v.Attr(name)
			if err != nil {
				return nil, err
			}
			a.named[name] = x
		}
	default:
		return nil, fmt.Errorf("got %s, want a struct, a dict or a list", v.Type())
	}
	return a, nil
}

func (a *eventArgs) Type() string          { return "arguments" }
func (a *eventArgs) Freeze()               { a.named.Freeze() }
func (a *eventArgs) Truth() starlark.Bool  { return true }
func (a *eventArgs) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: arguments") }

func (a *eventArgs) String() string {
	if a.list != nil {
		return starlark.NewList(a.list).String()
	}
	return a.named.String()
}

// Attr implements starlark.HasAttrs.
func (a *eventArgs) Attr(name string) (starlark.Value, error) {
	if v, ok := a.named[name]; ok {
		return v, nil
	}
	return nil, fmt.Errorf("this event has no argument %s%s: write event(args=struct(%s=...))", name, didYouMean(name, a.named.Keys()), name)
}

// AttrNames implements starlark.HasAttrs.
func (a *eventArgs) AttrNames() []string { return a.named.Keys() }

// Len implements starlark.Indexable.
func (a *eventArgs) Len() int { return len(a.list) }

// Index implements starlark.Indexable.
func (a *eventArgs) Index(i int) starlark.Value { return a.list[i] }

// eventOf returns the event of the handler that the script is calling, or nil if it is calling
// none.
func eventOf(thread *starlark.Thread) *event {
	for i := range thread.CallStackDepth() {
		f := thread.DebugFrame(i)
		if fn, ok := f.Callable().(*starlark.Function); ok && fn.NumParams() > 0 {
			if _, v := f.Local(0); v != nil {
				if e, ok := v.(*event); ok {
					return e
				}
			}
		}
	}
	return nil
}

// InHandler reports whether the script is calling a handler.
func InHandler(thread *starlark.Thread) bool { return eventOf(thread) != nil }

// eventField returns a field of the event of the handler that is being called. fn names the caller
// in errors.
func eventField(thread *starlark.Thread, fn, name string) (starlark.Value, error) {
	e := eventOf(thread)
	if e == nil {
		return nil, fmt.Errorf("%s: there is no event here: call it in a handler, handler(event(%s=...))", fn, name)
	}
	return e.Attr(name)
}

// anyEvent compares equal to every event.
var anyEvent = &event{}
