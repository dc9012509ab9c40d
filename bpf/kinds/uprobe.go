package kinds

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/exe"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var uprobeProvider = Provider{
	Kind: "uprobe", Alias: "u", Syntax: "uprobe:PATH:FUNCTION, uprobe:PATH:FUNCTION+OFFSET or uprobe:PATH:0xADDRESS",
	Doc:     "The entry of a function in a program or library; e.args[i] are its arguments, untyped.",
	Example: "uprobe:libc:malloc",
	minArgs: 2, maxArgs: 2, splitArgs: splitPath, literal: true, PathArg: true,
	List:    listUprobes("uprobe"),
	Resolve: resolveUprobe,
	Driver: bpf.Driver{
		PIDFilter: filterInKernel,
		Context:   abi.Context{Registers: true},
		Event: func(t bpf.Target) (*abi.Event, error) {
			c := conventionOf(t)
			e := &abi.Event{GoProgram: goProgram(t)}
			for _, r := range c.args {
				e.Args = append(e.Args, registerField("", r, false))
			}
			if in := payload[userSites](t); in.entry && !in.goFunc {
				for i := range stackArgs {
					e.Args = append(e.Args, abi.Field{CType: "u64", Kind: abi.FieldMemory, Size: 8,
						At: abi.Address{Base: registers[runtime.GOARCH][c.stack], Index: -1, Disp: c.above + 8*int64(i)}})
				}
			}
			return e, nil
		},
		ProgramTypes: only(ebpf.Kprobe),
		Prepare:      prepareUprobe,
		Attach:       attachUprobe(false), AttachMulti: attachUprobes(false),
	},
}

var uretprobeProvider = Provider{
	Kind: "uretprobe", Alias: "ur", Syntax: "uretprobe:PATH:FUNCTION",
	Doc:     "The return of a function in a program or library; e.ret is its return value.",
	Example: "uretprobe:libc:malloc",
	minArgs: 2, maxArgs: 2, splitArgs: splitPath, literal: true, PathArg: true,
	List:    listUprobes("uretprobe"),
	Resolve: resolveUprobe,
	Driver: bpf.Driver{
		PIDFilter: filterUretprobe,
		Context:   abi.Context{Registers: true},
		Event: func(t bpf.Target) (*abi.Event, error) {
			return &abi.Event{Fields: []abi.Field{registerField("ret", conventionOf(t).result, true)}, HasRet: true, GoProgram: goProgram(t),
				NoArgs: t.Name + ": the arguments are gone when a function returns; save them in a table by e.tid in a uprobe"}, nil
		},
		ProgramTypes: only(ebpf.Kprobe),
		Prepare:      prepareUprobe,
		Attach:       attachUprobe(true), AttachMulti: attachUprobes(true),
	},
}

// goProgram returns the file of a Go function, or "".
func goProgram(t bpf.Target) string {
	if in := payload[userSites](t); in.goFunc {
		return in.file
	}
	return ""
}

// conventionOf returns the calling convention of the target's function.
func conventionOf(t bpf.Target) callConv {
	if payload[userSites](t).goFunc {
		return conventionGo[runtime.GOARCH]
	}
	return conventionC[runtime.GOARCH]
}

// findFiles returns the files that the PATH of a spec matches.
func findFiles(s Spec) ([]string, error) {
	files := exe.Find(s.Args[0])
	if len(files) == 0 {
		if err := canOpen(); err != nil { // without descriptors, no file is found
			return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: no file descriptors are left to look for %q", s.Text, s.Args[0]), Hint: "raise the limit (ulimit -n), or match fewer events"}
		}
	}
	switch {
	case len(files) > 0:
		return files, nil
	case strings.Contains(s.Args[0], "/"):
		return nil, &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no file matches %q", s.Args[0]), Hint: "is the path right?"}
	}
	return nil, &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no program %q in $PATH, and no library of that name", s.Args[0]), Hint: "give the path of its file"}
}

// canOpen returns an error if no file can be opened because no descriptors are left.
func canOpen() error {
	f, err := os.Open("/")
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return err
	case err != nil:
		return nil
	}
	return f.Close()
}

// eachFile calls fn for each file that the PATH of a spec matches. If there are several files, it
// skips those that cannot be traced.
func eachFile(s Spec, fn func(*exe.File) error) error {
	files, err := findFiles(s)
	if err != nil {
		return err
	}
	for _, path := range files {
		x, err := exe.Open(path)
		if err != nil {
			if len(files) > 1 {
				continue
			}
			return fileError(s, err)
		}
		if err := errors.Join(fn(x), x.Close()); err != nil {
			return err
		}
	}
	return nil
}

// fileError converts an error of a file to one for the spec that names the file.
func fileError(s Spec, err error) error {
	var fe *exe.FileError
	switch {
	case errors.As(err, &fe) && errors.Is(err, os.ErrNotExist):
		return &NotFoundError{Spec: s.Text, Reason: "no file " + fe.Path, Hint: "is the path right?"}
	case fe != nil:
		return &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: %s: %s", s.Text, fe.Path, fe.Reason), Hint: fe.Hint}
	}
	return err
}

func resolveUprobe(s Spec) ([]bpf.Target, error) {
	var out []bpf.Target
	var missing error
	err := eachFile(s, func(x *exe.File) error {
		ts, err := s.resolveIn(x)
		var nf *NotFoundError
		if errors.As(err, &nf) {
			missing = cmp.Or(missing, err)
			return nil
		}
		out = append(out, ts...)
		return err
	})
	if err == nil && len(out) == 0 {
		err = missing
	}
	return out, err
}

// resolveIn returns the spec's targets in one file.
func (s Spec) resolveIn(x *exe.File) ([]bpf.Target, error) {
	want := s.Args[1]
	funcs, stripped, err := x.Functions()
	if err != nil {
		return nil, fileError(s, err)
	}
	if addr, err := strconv.ParseUint(want, 0, 64); err == nil {
		t := bpf.Target{Kind: s.Kind, Name: fmt.Sprintf("%s:%s:%#x", s.Kind, x.Path, addr), Parts: []string{x.Path, want}}
		in := userSites{file: x.Path}
		f, known := x.At(addr)
		if known {
			t.Func, in.goFunc = f.Full(), f.Go
		}
		in.entry = known && f.Addr == addr
		t.Payload = in
		switch {
		case in.entry:
			return targetsAt(t, s, x, []exe.Symbol{f}, 0)
		case known && s.Kind == "uretprobe":
			return targetsAt(t, s, x, []exe.Symbol{f}, addr-f.Addr)
		}
		return targetsAt(t, s, x, []exe.Symbol{{Addr: addr}}, 0)
	}
	name, off := want, uint64(0)
	found := symbolGroups(funcs, name)
	if i := strings.LastIndexByte(want, '+'); found == nil && i > 0 {
		if n, err := strconv.ParseUint(want[i+1:], 0, 64); err == nil {
			name, off = want[:i], n
			found = symbolGroups(funcs, name)
		}
	}
	if found == nil && isPattern(name) {
		if found, err = matching(s, funcs, name); err != nil {
			return nil, err
		}
	}
	if found == nil {
		return nil, noFunction(s, x, name, funcs, stripped)
	}
	var out []bpf.Target
	for _, same := range found {
		t := bpf.Target{Kind: s.Kind, Name: s.Kind + ":" + x.Path + ":" + same[0].Full(), Parts: []string{x.Path, same[0].Full()}, Func: same[0].Full()}
		t.Payload = userSites{file: x.Path, goFunc: same[0].Go, entry: off == 0}
		if off != 0 {
			t.Name += fmt.Sprintf("+%d", off)
		}
		ts, err := targetsAt(t, s, x, same, off)
		var refused *SpecError
		if errors.As(err, &refused) && isPattern(name) { // the other targets are attached without it
			t.Refusal = &bpf.AttachError{Target: t, Reason: strings.TrimPrefix(refused.Reason, fmt.Sprintf("probe %q: ", s.Text)), Hint: refused.Hint, TargetOnly: true, Err: refused}
			ts, err = []bpf.Target{t}, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, ts...)
	}
	if !slices.ContainsFunc(out, func(t bpf.Target) bool { return t.Refusal == nil }) {
		return nil, out[0].Refusal.Err
	}
	return out, nil
}

// symbolGroups returns the functions with exactly the given name, mangled or as in the source, with
// or without parameters. It returns one list per full name, because static functions of the same
// name can be in several places.
func symbolGroups(funcs []exe.Symbol, name string) [][]exe.Symbol {
	for _, key := range []func(exe.Symbol) string{func(f exe.Symbol) string { return f.Name }, exe.Symbol.Full, exe.Symbol.Short} {
		var out []exe.Symbol
		for _, f := range funcs {
			if key(f) == name {
				out = append(out, f)
			}
		}
		if out != nil {
			return byName(out)
		}
	}
	return nil
}

// byName groups functions by full name.
func byName(funcs []exe.Symbol) [][]exe.Symbol {
	var out [][]exe.Symbol
	index := map[string]int{}
	for _, f := range funcs {
		i, ok := index[f.Full()]
		if !ok {
			i = len(out)
			index[f.Full()] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], f)
	}
	return out
}

// matching returns the functions that match a pattern, each address under one name only, so that a
// call is counted once.
func matching(s Spec, funcs []exe.Symbol, pattern string) ([][]exe.Symbol, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: bad pattern %q", s.Text, pattern), Hint: "a [ has no matching ]"}
	}
	best := map[uint64]exe.Symbol{}
	for _, f := range funcs {
		if f.Ifunc || strings.HasSuffix(f.Name, ".cold") || !matchName(pattern, f.Name) && !matchName(pattern, f.Full()) && !matchName(pattern, f.Short()) {
			continue
		}
		if old, ok := best[f.Addr]; !ok || preferSymbol(f, old) {
			best[f.Addr] = f
		}
	}
	var out []exe.Symbol
	for _, f := range best {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b exe.Symbol) int {
		return cmp.Or(strings.Compare(a.Full(), b.Full()), cmp.Compare(a.Addr, b.Addr))
	})
	return byName(out), nil
}

// preferSymbol reports whether a is the better of two names of one function: read, not __read.
func preferSymbol(a, b exe.Symbol) bool {
	rank := func(s exe.Symbol) int { return len(s.Name) - len(strings.TrimLeft(s.Name, "_")) }
	if a.Global != b.Global {
		return a.Global
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name)) < 0
}

// matchName is like match, but a * also matches slashes, which names of Go functions contain.
func matchName(pattern, name string) bool {
	return match(strings.ReplaceAll(pattern, "/", "\x01"), strings.ReplaceAll(name, "/", "\x01"))
}

// noFunction returns the error for a function that the file does not have, with suggestions.
func noFunction(s Spec, x *exe.File, name string, funcs []exe.Symbol, stripped bool) error {
	e := &NotFoundError{Spec: s.Text}
	prefix := s.Kind + ":" + x.Path + ":"
	if isPattern(name) {
		e.Reason = fmt.Sprintf("no function of %s matches", x.Path)
		if stripped {
			e.Reason += ", which is stripped"
		}
		return e
	}
	libs, err := x.Imports(name)
	if err != nil {
		return fileError(s, err)
	}
	if libs != nil {
		e.Reason = fmt.Sprintf("%s calls %q, but it is in a library", x.Path, name)
		if lib := owningLib(libs, name); lib != "" {
			e.Suggestions = []string{s.Kind + ":" + lib + ":" + name}
		}
		return e
	}
	e.Reason = fmt.Sprintf("%s has no function %q", x.Path, name)
	var names []string
	for _, f := range funcs {
		names = append(names, f.Short())
	}
	slices.Sort(names)
	for _, n := range suggest.Nearest(name, slices.Compact(names), 3) {
		e.Suggestions = append(e.Suggestions, prefix+n)
	}
	if stripped && e.Suggestions == nil {
		e.Reason = fmt.Sprintf("%s is stripped: only functions that other files call keep their names, and %q is not one of them", x.Path, name)
		e.Hint = "install its debug symbols, or give an address: " + prefix + "0xADDRESS"
	}
	return e
}

// owningLib returns the library that contains a function.
func owningLib(libs []string, name string) string {
	for _, lib := range libs {
		for _, path := range exe.Find(lib) {
			x, err := exe.Open(path)
			if err != nil {
				continue
			}
			funcs, _, err := x.Functions()
			if cerr := x.Close(); err != nil || cerr != nil {
				continue
			}
			if slices.ContainsFunc(funcs, func(f exe.Symbol) bool { return f.Name == name && f.Global }) {
				return path
			}
		}
	}
	return ""
}

// listUprobes lists the functions in the files that the pattern names. If the pattern has no
// function part and wildcards in the path, it lists the files.
func listUprobes(kind string) func(string) ([]bpf.Target, error) {
	return func(pattern string) ([]bpf.Target, error) {
		k, rest, ok := strings.Cut(pattern, ":")
		if !ok || k != kind || rest == "" || strings.Trim(rest, "*") == "" {
			return nil, nil // it would match every file on the host
		}
		file, fn, whole := cutPath(rest)
		if !whole && isPattern(file) {
			return fileNames(kind, file), nil
		}
		var out []bpf.Target
		s := Spec{Kind: kind, Text: pattern, Args: []string{file, cmp.Or(fn, "*")}}
		err := eachFile(s, func(x *exe.File) error {
			funcs, _, err := x.Functions()
			if err != nil {
				return fileError(s, err)
			}
			found := symbolGroups(funcs, s.Args[1])
			if found == nil {
				if found, err = matching(s, funcs, s.Args[1]); err != nil {
					return err
				}
			}
			for _, same := range found {
				out = append(out, bpf.Target{Kind: kind, Name: kind + ":" + x.Path + ":" + same[0].Full(), Parts: []string{x.Path, same[0].Full()}, Func: same[0].Full()})
			}
			return nil
		})
		return out, err
	}
}

// fileNames lists the files that match a pattern, as the beginnings of specs.
func fileNames(kind, pattern string) []bpf.Target {
	var out []bpf.Target
	for _, f := range exe.Find(pattern) {
		out = append(out, bpf.Target{Kind: kind, Name: kind + ":" + f + ":"})
	}
	return out
}
