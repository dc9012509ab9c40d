package export

import (
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/pprof"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
)

// Pprof implements pprof(agg, path, unit="count", labels=None).
func (e *Exporter) Pprof(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var m starlark.Value
	var path string
	var labels starlark.Iterable
	unit := "count"
	if err := starlark.UnpackArgs("pprof", args, kw, "agg", &m, "path", &path, "unit?", &unit, "labels??", &labels); err != nil {
		return nil, err
	}
	names, err := stringsOf("pprof: labels", labels)
	if err != nil {
		return nil, err
	}
	items, err := stackItems("pprof", m)
	if err != nil {
		return nil, err
	}
	p := &pprof.Profile{Time: time.Now(), Types: []pprof.Type{{Name: "samples", Unit: unit}}}
	if n, ok := m.(interface{ Name() string }); ok {
		p.Types[0].Name = n.Name()
	}
	if a, ok := m.(interface{ Since() time.Time }); ok && !a.Since().IsZero() {
		p.Duration = time.Since(a.Since())
	}
	w := &profileWriter{e: e, labels: names}
	for i, it := range items {
		if err := e.run.Interrupted(i); err != nil {
			return nil, err
		}
		values, err := amounts(it[1])
		if err == nil && i > 0 && len(values) != len(p.Samples[0].Values) {
			err = errors.New("pprof: the values must be of one kind")
		}
		if err != nil {
			return nil, err
		}
		sample, err := w.sample(it[0])
		if err != nil {
			return nil, err
		}
		sample.Values = values
		p.Samples = append(p.Samples, sample)
	}
	if len(p.Samples) > 0 && len(p.Samples[0].Values) == 2 {
		p.Types = append([]pprof.Type{{Name: "count", Unit: "count"}}, p.Types...)
	}
	b, err := p.Encode()
	if err != nil {
		return nil, err
	}
	return starlark.None, e.files.Write("pprof", path, b)
}

// amounts returns the sample values for a value: one number, or the count and the sum of statistics
// and histograms.
func amounts(v starlark.Value) ([]int64, error) {
	parts := []starlark.Value{v}
	if a, ok := v.(starlark.HasAttrs); ok {
		n, err1 := a.Attr("count")
		sum, err2 := a.Attr("sum")
		if err1 == nil && err2 == nil && n != nil && sum != nil {
			parts = []starlark.Value{n, sum}
		}
	}
	var out []int64
	for _, p := range parts {
		n, ok := p.(starlark.Int)
		if !ok {
			return nil, fmt.Errorf("pprof: the values must be numbers, got %s", v.Type())
		}
		i, ok := n.Int64()
		if !ok {
			return nil, fmt.Errorf("pprof: %s is too large: a profile holds signed 64-bit values", n)
		}
		out = append(out, i)
	}
	return out, nil
}

// A profileWriter converts keys to samples.
type profileWriter struct {
	e      *Exporter
	labels []string // names for the parts of a key that are not stacks
	kernel *pprof.Mapping
}

// sample returns a sample with the frames of a key's stacks, kernel frames innermost. The other
// parts of the key become labels.
func (w *profileWriter) sample(key starlark.Value) (pprof.Sample, error) {
	parts := []starlark.Value{key}
	if t, ok := key.(starlark.Tuple); ok {
		parts = t
	}
	var out pprof.Sample
	var kernel, user []pprof.Frame
	stacks := 0
	for i, p := range parts {
		k, ok := p.(*codec.Stack)
		if !ok {
			l := pprof.Label{Key: fmt.Sprint("key", i+1), Text: render.Cell(p)}
			if n := len(out.Labels); n < len(w.labels) {
				l.Key = w.labels[n]
			}
			out.Labels = append(out.Labels, l)
			continue
		}
		stacks++
		if k.User {
			user = append(user, w.frames(k)...)
		} else {
			kernel = append(kernel, w.frames(k)...)
		}
	}
	if stacks == 0 {
		return out, fmt.Errorf("pprof: the key %s has no stack: count by=kstack(), or by=(e.comm, ustack())", key)
	}
	if w.labels != nil && len(w.labels) != len(out.Labels) {
		return out, fmt.Errorf("pprof: labels has the wrong number of names: got %d, want %d (one for each part of a key that is not a stack)", len(w.labels), len(out.Labels))
	}
	for _, p := range parts {
		if k, ok := p.(*codec.Stack); ok && k.User && k.PID != 0 {
			out.Labels = append(out.Labels, pprof.Label{Key: "pid", Text: fmt.Sprint(k.PID)})
		}
	}
	if out.Frames = append(kernel, user...); len(out.Frames) == 0 {
		out.Frames = []pprof.Frame{{Function: "[no stack]"}}
	}
	return out, nil
}

// frames returns the frames of a stack, innermost first. All but the innermost are return
// addresses. They are lowered by one, because the call comes before the return address.
func (w *profileWriter) frames(k *codec.Stack) []pprof.Frame {
	if k.Lost != "" {
		return []pprof.Frame{{Function: k.Lost}}
	}
	out := make([]pprof.Frame, len(k.Frames))
	for i, addr := range k.Frames {
		if i > 0 {
			addr--
		}
		if k.User {
			p := w.e.symbols.UserSymbols().Lookup(k.PID, addr)
			out[i] = pprof.Frame{Addr: addr, Function: render.Escape(p.Name),
				Mapping: pprof.Mapping{Start: p.Start, End: p.End, Offset: p.FileOff, File: render.Escape(p.Path), BuildID: p.BuildID}}
			continue
		}
		sym, _, _, err := symbol.KernelSymbol(addr)
		if err != nil {
			w.e.report(err)
		}
		out[i] = pprof.Frame{Addr: addr, Function: sym.Name, Mapping: w.kernelMapping()}
		if sym.Module != "" {
			out[i].Mapping = pprof.Mapping{File: "[" + sym.Module + "]"}
		}
	}
	return out
}

// kernelMapping returns the mapping of the kernel image, under the name that other tools use for
// it.
func (w *profileWriter) kernelMapping() pprof.Mapping {
	if w.kernel == nil {
		w.kernel = &pprof.Mapping{File: "[kernel.kallsyms]", BuildID: symbol.KernelBuildID()}
		start, err1 := symbol.KernelAddr("_stext")
		end, err2 := symbol.KernelAddr("_etext")
		if err1 == nil && err2 == nil {
			w.kernel.Start, w.kernel.End = start, end
		}
	}
	return *w.kernel
}
