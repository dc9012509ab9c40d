package starlarkbind

import (
	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/ctype"
)

// typeParams gives the arguments and the result of a kernel function the types that the kernel's BTF has for them, so that
// handlers can follow pointers: bpf tells which they are and where they lie. Where it has none of them, or the kernel's types
// cannot be read, they stay as they are. To a program of fentry or fexit the verifier knows what they point to. The functions of
// BPF programs are left as they are: their types are not the kernel's.
func (l *loader) typeParams(ev *compiler.Event, t bpf.Target) {
	switch {
	case t.InProgram():
		return
	case t.Kind == "fentry" || t.Kind == "fexit":
		ev.BTFArgs = !l.noDirectLoads
	case t.Kind != "kprobe" && t.Kind != "kretprobe":
		return
	}
	table, err := l.s.ktypes.of(t.Module())
	if err != nil {
		return
	}
	if params, ok := table.Params(t.Func); ok && t.Kind != "kretprobe" {
		for i, p := range params {
			if i < len(ev.Fields) {
				typeField(&ev.Fields[i], p.Type)
			}
		}
	}
	if result, ok := table.Result(t.Func); ok && ev.Ret != nil {
		typeField(ev.Ret, result)
	}
}

// typeField gives a field a type of C, unless bpf and ctype see it differently: an old name of bool.
func typeField(f *compiler.Field, t *ctype.Type) {
	if f.Kind == compiler.FieldOpaque || t == nil {
		return
	}
	typed := compiler.BTFField(f.Name, f.Offset, t)
	if typed.Kind != f.Kind {
		return
	}
	typed.Tracked, typed.Result = f.Tracked, f.Result
	*f = typed
}
