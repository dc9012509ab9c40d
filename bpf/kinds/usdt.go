package kinds

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/exe"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var usdtProvider = Provider{
	Kind: "usdt", Alias: "U", Syntax: "usdt:PATH:NAME or usdt:PATH:PROVIDER:NAME",
	Doc:     "A static probe compiled into a program or library, with typed arguments e.args[i].",
	Example: "usdt:libstdc++:throw",
	minArgs: 2, maxArgs: 3, splitArgs: splitUSDT, PathArg: true,
	List:    listUSDT,
	Resolve: resolveUSDT,
	Driver: bpf.Driver{
		PIDFilter:    filterInKernel,
		Context:      abi.Context{Registers: true},
		Event:        func(t bpf.Target) (*abi.Event, error) { return &abi.Event{Args: payload[userSites](t).args}, nil },
		ProgramTypes: only(ebpf.Kprobe),
		Prepare:      prepareUprobe,
		Attach:       attachUprobe(false), AttachMulti: attachUprobes(false),
	},
}

// splitUSDT splits "PATH:PROVIDER:NAME".
func splitUSDT(text string) []string {
	path, rest, ok := cutPath(text)
	if !ok {
		return []string{path}
	}
	return append([]string{path}, strings.Split(rest, ":")...)
}

// resolveUSDT returns a target for each probe. A probe whose arguments are in different places in
// different copies of the code becomes several targets of the same name, each with a program of its
// own.
func resolveUSDT(s Spec) ([]bpf.Target, error) {
	provider, name := "*", s.Args[len(s.Args)-1]
	if len(s.Args) == 3 {
		provider = s.Args[1]
	}
	var out []bpf.Target
	var missing error
	err := eachFile(s, func(x *exe.File) error {
		all, err := x.StaticProbes()
		if err != nil {
			return fileError(s, err)
		}
		n := len(out)
		for _, p := range all {
			if !match(provider, p.Provider) || !match(name, p.Name) {
				continue
			}
			if out, err = addUSDT(out, s, x, p); err != nil {
				return err
			}
		}
		if len(out) == n {
			missing = cmp.Or(missing, error(noUSDT(s, x, provider, name, all)))
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = missing
	}
	slices.SortStableFunc(out, func(a, b bpf.Target) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// addUSDT adds one site of a probe.
func addUSDT(ts []bpf.Target, s Spec, x *exe.File, p exe.StaticProbe) ([]bpf.Target, error) {
	t := newTarget("usdt", x.Path, p.Provider, p.Name)
	in := userSites{file: x.Path}
	off, ok := x.Offset(p.Addr)
	if !ok {
		return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: its note says that it is at %#x, which is not in the code", t.Name, p.Addr)}
	}
	at := probeSite{offset: off}
	if p.Semaphore != 0 {
		if at.semaphore, ok = x.SemaphoreOffset(p.Semaphore); !ok {
			return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: its semaphore at %#x is not in the file, so the kernel cannot enable the probe", t.Name, p.Semaphore)}
		}
	}
	for i, o := range x.Operands(p) {
		in.args = append(in.args, operandField(t.Name, i, o))
	}
	for i := range ts {
		if old := payload[userSites](ts[i]); ts[i].Name == t.Name && slices.Equal(old.args, in.args) {
			if !slices.Contains(old.sites, at) {
				old.sites = append(old.sites, at)
				ts[i].Payload = old
			}
			return ts, nil
		}
	}
	in.sites = []probeSite{at}
	t.Payload = in
	return append(ts, t), nil
}

// operandField describes how a program reads an argument of a probe.
func operandField(probe string, i int, o exe.Operand) abi.Field {
	f := abi.Field{Name: fmt.Sprintf("args[%d]", i), CType: fmt.Sprintf("u%d", 8*o.Size), Size: o.Size, Signed: o.Signed}
	if o.Signed {
		f.CType = fmt.Sprintf("s%d", 8*o.Size)
	}
	saved := registers[runtime.GOARCH]
	place := func(reg string) int {
		if off, ok := saved[reg]; ok {
			return off
		}
		return -1
	}
	switch o.Kind {
	case exe.Constant:
		f.Kind, f.Value = abi.FieldConst, truncate(o.Value, o.Size, o.Signed)
	case exe.Register:
		f.Kind, f.Offset = abi.FieldInt, place(o.Register)
		if o.High {
			f.Offset++
		}
	case exe.Memory:
		f.Kind, f.At = abi.FieldMemory, abi.Address{Base: place(o.Base), Index: place(o.Index), Scale: o.Scale, Disp: o.Value}
	default:
		f.Kind, f.Why = abi.FieldUnreadable, fmt.Sprintf("argument %d of %s cannot be read: it is %s", i, probe, o.Why)
		f.CType = o.Why
	}
	return f
}

// truncate returns v as it is after being stored in size bytes.
func truncate(v int64, size int, signed bool) int64 {
	shift := 64 - 8*size
	if signed {
		return v << shift >> shift
	}
	return int64(uint64(v) << shift >> shift)
}

// noUSDT returns the error for a probe that the file does not have.
func noUSDT(s Spec, x *exe.File, provider, name string, all []exe.StaticProbe) *NotFoundError {
	e := &NotFoundError{Spec: s.Text}
	if len(all) == 0 {
		e.Reason = x.Path + " has no static probes (USDT)"
		e.Hint = "static probes have to be compiled into a program; probe its functions: uprobe:PATH:FUNCTION"
		return e
	}
	e.Reason = fmt.Sprintf("%s has no static probe that matches", x.Path)
	if isPattern(name) || isPattern(provider) && provider != "*" {
		return e
	}
	e.Reason = fmt.Sprintf("%s has no static probe %q", x.Path, name)
	if provider != "*" {
		e.Reason += fmt.Sprintf(" of the provider %q", provider)
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	for _, near := range suggest.Nearest(name, slices.Compact(names), 3) {
		for _, p := range all {
			full := strings.Join([]string{"usdt", x.Path, p.Provider, p.Name}, ":")
			if p.Name == near && !slices.Contains(e.Suggestions, full) {
				e.Suggestions = append(e.Suggestions, full)
			}
		}
	}
	return e
}

// listUSDT lists the probes in the files that the pattern names, or the files.
func listUSDT(pattern string) ([]bpf.Target, error) {
	k, rest, ok := strings.Cut(pattern, ":")
	if !ok || k != "usdt" || rest == "" || strings.Trim(rest, "*") == "" {
		return nil, nil
	}
	file, probe, whole := cutPath(rest)
	if !whole && isPattern(file) {
		return fileNames("usdt", file), nil
	}
	s := Spec{Kind: "usdt", Text: pattern, Args: append([]string{file}, strings.Split(cmp.Or(probe, "*"), ":")...)}
	if len(s.Args) > 3 {
		return nil, nil
	}
	ts, err := resolveUSDT(s)
	var none *NotFoundError
	if errors.As(err, &none) && exe.Find(file) != nil {
		return nil, nil
	}
	return slices.CompactFunc(ts, func(a, b bpf.Target) bool { return a.Name == b.Name }), err
}
