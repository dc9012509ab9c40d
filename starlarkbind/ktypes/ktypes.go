// Package ktypes looks up the types of the running kernel for the compiler, for completion and for
// the lists of probes: structs, the arguments of raw tracepoints, enumerators.
package ktypes

import (
	"fmt"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
)

// Types are the types of the running kernel and its modules (BTF). They are read when a
// handler first needs them.
type Types struct {
	Load func() (*ctype.Table, error) // the kernel's own
}

// New returns the types of the running kernel.
func New() *Types { return &Types{Load: kbtf.Kernel} }

// Lookup implements compiler.Types.
func (k *Types) Lookup(name string) (*ctype.Type, error) {
	t, err := k.Load()
	if err != nil {
		return nil, err
	}
	if ct, ok := t.Lookup(name); ok {
		return ct, nil
	}
	ts, err := k.all()
	for _, t := range ts {
		if ct, ok := t.Lookup(name); ok {
			return ct, nil
		}
	}
	return nil, err
}

// all returns the types of every loaded module.
func (k *Types) all() ([]*ctype.Table, error) {
	names, err := kbtf.Modules()
	var out []*ctype.Table
	for _, n := range names {
		t, err := kbtf.Module(n)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, err
}

// Names implements compiler.Types.
func (k *Types) Names(name string) ([]string, error) {
	t, err := k.Load()
	if err != nil {
		return nil, err
	}
	out := t.Names(name)
	ts, err := k.all()
	for _, t := range ts {
		out = append(out, t.Names(name)...)
	}
	return out, err
}

// TracepointArgs returns the arguments of a raw tracepoint. Names come from the function that calls
// the event's probes or from the one that records the event (include/linux/tracepoint.h,
// include/trace/bpf_probe.h). Types come from the btf_trace_ typedef, which the verifier uses too.
func (k *Types) TracepointArgs(event string) ([]abi.Field, error) {
	t, err := k.Load()
	if err != nil {
		return nil, err
	}
	params, ok := t.PointerParams("btf_trace_" + event)
	if !ok {
		return nil, fmt.Errorf("this kernel does not describe the event %s", event)
	}
	var named []ctype.Param
	for _, fn := range []string{"__traceiter_" + event, "__bpf_trace_" + event, "trace_event_raw_event_" + event} {
		if fs := t.Funcs(fn); fs != nil && len(fs[0].Params) == len(params) {
			named = fs[0].Params
			break
		}
	}
	var out []abi.Field
	for i, p := range params[min(1, len(params)):] { // the first is the probe's private data
		name := p.Name
		if named != nil {
			name = named[i+1].Name
		}
		if name == "" {
			name = fmt.Sprintf("arg%d", i)
		}
		out = append(out, abi.BTFField(name, 8*i, p.Type))
	}
	return out, nil
}

// Listed returns the arguments of an event as C declarations. If the kernel does not describe a raw
// tracepoint, its arguments are untyped words.
func (k *Types) Listed(t bpf.Target) ([]string, error) {
	var out []string
	if t.Driver.TracepointTypes {
		if args, err := k.TracepointArgs(t.Parts[0]); err == nil {
			for _, a := range args {
				out = append(out, declared(a.CType, a.Name))
			}
			return out, nil
		}
	}
	ev, err := t.Event()
	if err != nil {
		return nil, err
	}
	for _, f := range ev.NamedArgs() {
		out = append(out, declared(f.CType, f.Name))
	}
	if len(out) == 0 && ev.SameArgs {
		out = append(out, fmt.Sprintf("no types: e.args[0] to e.args[%d]", len(ev.Args)-1))
	}
	return out, nil
}

// declared returns a C declaration of an argument. It does not handle types with a part after the
// name, such as arrays.
func declared(typ, name string) string {
	if strings.HasSuffix(typ, "*") {
		return typ + name
	}
	return typ + " " + name
}

// Enumerator returns the value of a kernel enumerator. It looks up only names in capitals, because
// any other unknown name is a typing error.
func (k *Types) Enumerator(name string) (n int64, ok bool) {
	if !enumeratorName().MatchString(name) {
		return 0, false
	}
	t, err := k.Load()
	if err != nil {
		return 0, false // a kernel without BTF has no such name
	}
	_, n, ok = t.Enumerator(name)
	return n, ok
}

var enumeratorName = lazyregexp.Regexp(`^[A-Z][A-Z0-9_]+$`)
