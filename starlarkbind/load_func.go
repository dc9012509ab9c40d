package starlarkbind

import (
	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// typeParams gives the arguments of a kernel function the types that the kernel's BTF has for them, so that handlers can follow
// pointers: bpf tells which they are and where they lie. Where it has none of them, or the kernel's types cannot be read, they
// stay as they are.
func (l *loader) typeParams(ev *compiler.Event, t bpf.Target) {
	switch t.Kind {
	case "kprobe", "fentry", "fexit":
	default:
		return
	}
	table, err := l.s.ktypes.load()
	if err != nil {
		return
	}
	params, ok := table.Params(t.Func)
	if !ok {
		return
	}
	for i, p := range params {
		if i >= len(ev.Fields) || ev.Fields[i].Kind == compiler.FieldOpaque || p.Type == nil {
			continue
		}
		f := &ev.Fields[i]
		typed := compiler.BTFField(f.Name, f.Offset, p.Type)
		if typed.Kind != f.Kind {
			continue // bpf and ctype see it differently: an old name of bool
		}
		typed.AnySpace, typed.Tracked = f.AnySpace && !typed.User, f.Tracked
		*f = typed
	}
}
