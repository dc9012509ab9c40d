package kinds

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// kprobeEvent returns the event of a kprobe at function entry, or of a kretprobe. Arguments can be
// read by number, and also by name if BTF describes the function.
func kprobeEvent(fn string, ret bool) (*abi.Event, error) {
	regs, ok := conventionC[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("the registers of %s are not known", runtime.GOARCH)
	}
	f, err := kbtf.FindFunc(fn)
	described := err == nil
	var noBTF *kbtf.NoBTFError
	if err != nil && !errors.Is(err, kbtf.ErrNoTypes) && !errors.Is(err, kbtf.ErrSeveral) && !errors.As(err, &noBTF) {
		return nil, err
	}
	if ret {
		e := &abi.Event{HasRet: true, Fields: []abi.Field{registerField("ret", regs.result, false)},
			NoArgs: "kretprobe:" + fn + " has no arguments: they are gone when the function returns; save them at its entry, or use fexit:" + fn}
		if described {
			ret, ok := returned(f)
			if !ok {
				return &abi.Event{NoArgs: e.NoArgs}, nil
			}
			ret.Offset = e.Fields[0].Offset
			e.Fields[0] = ret
		}
		return e, nil
	}
	e := &abi.Event{SameArgs: true}
	for _, reg := range regs.args {
		e.Args = append(e.Args, registerField("", reg, false))
	}
	if !described {
		return e, nil
	}
	next := 0
	for i, p := range f.Params {
		f := argument(p, i)
		n := regWords(p.Type)
		switch {
		case n == 0 || next+n > len(regs.args):
			f.Kind, f.C = abi.FieldStruct, nil // passed on the stack
			f.Offset = 0
		default:
			f.Offset = e.Args[next].Offset
			next += n
		}
		e.Fields = append(e.Fields, f)
	}
	return e, nil
}

// traceEvent returns the event of fentry or fexit. The arguments are the words of the context,
// followed by the return value (bpf_get_func_arg and bpf_get_func_ret, kernel/trace/bpf_trace.c).
func traceEvent(t bpf.Target, ret bool) (*abi.Event, error) {
	fn, err := lookupFunction(t)
	if err != nil {
		return nil, err
	}
	e := &abi.Event{}
	next := 0
	for i, p := range fn.Params {
		f := argument(p, i)
		f.Offset = 8 * next
		f.Tracked = f.Kind == abi.FieldPointer
		next += max(regWords(p.Type), 1)
		e.Fields = append(e.Fields, f)
		word := f
		word.Name = ""
		if f.Kind != abi.FieldStruct {
			word.Kind, word.CType, word.C, word.Size, word.Signed = abi.FieldInt, "u64", nil, 8, false
		}
		e.Args = append(e.Args, word)
	}
	if f, ok := returned(fn); ret && ok {
		f.Offset = 8 * next
		f.Tracked = f.Kind == abi.FieldPointer
		e.HasRet = true
		e.Fields = append(e.Fields, f)
	}
	if len(e.Fields) == 0 {
		e.NoArgs = t.Func + " has no arguments"
	}
	if InProgram(t) {
		for i := range e.Fields {
			e.Fields[i].C = nil // a program's types are not the kernel's
		}
	}
	return e, nil
}

// returned returns a function's return value as a field, and false if it has none.
func returned(fn kbtf.Func) (abi.Field, bool) {
	r := fn.Result
	if r.Type.Kind == ctype.Void {
		return abi.Field{}, false
	}
	r.Name = "ret"
	f := argument(r, 0)
	f.Result = true
	return f, true
}

// argument returns the field for the i-th argument, or for a return value.
func argument(p ctype.Param, i int) abi.Field {
	if p.Name == "" {
		p.Name = fmt.Sprintf("arg%d", i)
	}
	f := abi.BTFField(p.Name, 0, p.Type)
	f.CType = p.CType
	if f.Kind == abi.FieldStruct {
		f.C = nil // a handler cannot read it
	}
	return f
}

// regWords returns the number of registers that an argument occupies, or 0 if it is passed in
// memory.
func regWords(t *ctype.Type) int {
	switch {
	case t.Kind == ctype.Void || t.Size > 16: // void: the arguments of a variadic function
		return 0
	case t.Size > 8:
		return 2
	}
	return 1
}
