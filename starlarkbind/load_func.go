package starlarkbind

import (
	"slices"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// typeParams gives the arguments and the result of a kernel function the types that the kernel's
// BTF has for them, so that handlers can follow pointers. Which arguments exist and where they are
// comes from package bpf. Fields stay untyped if BTF does not describe them or cannot be read.
// Functions of BPF programs are left as they are, because their types are not the kernel's.
func (l *loader) typeParams(ev *compiler.Event, t bpf.Target) {
	p := t.Provider()
	if t.InProgram() || p.ArgTypes != bpf.ArgTypesFunction && p.ArgTypes != bpf.ArgTypesResult {
		return
	}
	if p.TrustedPointers {
		ev.BTFArgs = !l.noDirectLoads
	}
	ev.Fields = slices.Clone(ev.Fields) // other programs share them, untyped
	table, err := l.s.ktypes.of(t.Module())
	if err != nil {
		return
	}
	found := table.Funcs(t.Func)
	if found == nil {
		return
	}
	if p.ArgTypes == bpf.ArgTypesFunction {
		for i, p := range found[0].Params {
			if i < len(ev.Fields) {
				typeField(&ev.Fields[i], p.Type)
			}
		}
	}
	if ev.Ret != nil {
		typeField(ev.Ret, found[0].Result.Type)
	}
}

// typeField gives a field its C type, unless bpf and ctype disagree on its kind, as for old names
// of bool.
func typeField(f *abi.Field, t *ctype.Type) {
	if t == nil || f.Kind == abi.FieldStruct {
		return
	}
	typed := compiler.BTFField(f.Name, f.Offset, t)
	if typed.Kind != f.Kind {
		return
	}
	typed.Tracked, typed.Result = f.Tracked, f.Result
	*f = typed
}
