package kinds

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/exe"
)

// The addresses of a uprobe or uretprobe in a file, and why an address cannot be probed.

// targetsAt adds the sites of a target: those of functions with the same name, off bytes after
// their starts.
func targetsAt(t bpf.Target, s Spec, x *exe.File, same []exe.Symbol, off uint64) ([]bpf.Target, error) {
	in := payload[userSites](t)
	bad := func(hint, format string, args ...any) error {
		return &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: ", s.Text) + fmt.Sprintf(format, args...), Hint: hint}
	}
	refuse := func(hint, format string, args ...any) error {
		return &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: ", s.Text) + fmt.Sprintf(format, args...), Hint: hint, Refused: true}
	}
	add := func(f exe.Symbol, addr uint64) error {
		o, ok := x.Offset(addr)
		if !ok {
			return bad("", "address %#x is not in the code of %s", addr, x.Path)
		}
		if ok, insn, next := x.Steppable(addr); !ok {
			hint := "probe another address in the function"
			if ok, _, _ := x.Steppable(next); ok && f.Name != "" && next < f.Addr+f.Size {
				hint = fmt.Sprintf("write uprobe:%s:%s+%d, the next instruction", x.Path, f.Full(), next-f.Addr)
			}
			return refuse(hint, "the kernel cannot put a probe on the instruction %s (%s), which it neither steps over nor emulates", describeAddr(f, addr), insn)
		}
		if !slices.Contains(in.sites, probeSite{offset: o}) {
			in.sites = append(in.sites, probeSite{offset: o})
		}
		return nil
	}
	for _, f := range same {
		at := f.Addr + off
		switch {
		case f.Ifunc:
			return nil, refuse(implementations(x, f.Name), "%s is chosen among several functions when a program starts (an IFUNC): a probe there would see the choice, not the calls", f.Name)
		case s.Kind == "uretprobe" && off != 0:
			return nil, bad("write uretprobe:PATH:FUNCTION", "a return probe is on a whole function, not at an offset")
		case s.Kind == "uretprobe":
			out := x.Exits(f)
			if reason, hint := noReturns(s, x, f, out); reason != "" {
				if s.Unsafe && !f.Go && len(same) == 1 {
					in.plain = false
					break
				}
				return nil, refuse(hint, "%s", reason)
			}
			in.plain = true
			for _, r := range out.Returns {
				if err := add(f, r); err != nil {
					return nil, err
				}
			}
			continue
		case off != 0 && at >= f.Addr+f.Size:
			return nil, bad("", "%s has only %d bytes", f.Name, f.Size)
		case f.Go && off == 0:
			at = x.GoEntry(f)
		}
		if off != 0 || f.Size == 0 {
			if ok, known, before, after := x.Boundary(at); known && !ok {
				return nil, bad("", "no instruction begins %s: %s", describeAddr(f, at), nearInsns(f, before, after))
			}
		}
		if err := add(f, at); err != nil {
			return nil, err
		}
	}
	t.Payload = in
	return []bpf.Target{t}, nil
}

// noReturns explains why tracing a function's return instructions would not catch all its returns,
// or returns "". The alternative, the kernel's own return probes, changes the return address on the
// stack. This crashes a program that unwinds its stack or switches to another one.
func noReturns(s Spec, x *exe.File, f exe.Symbol, out exe.Exits) (reason, hint string) {
	hint = "--unsafe uses the kernel's return probes, which crash a program that throws an exception through the function or switches stacks in it"
	if f.Go {
		hint = ""
	}
	switch {
	case out.Unread:
		return fmt.Sprintf("the code of %s cannot be read up to its end, so where it returns is not known", f.Full()), hint
	case out.To != "":
		return fmt.Sprintf("%s ends in a jump to %s, which returns in its place (a tail call)", f.Full(), out.To),
			strings.TrimSuffix(fmt.Sprintf("write uretprobe:%s:%s, which sees its other callers too; %s", x.Path, out.To, hint), "; ")
	case out.Jump != 0:
		return fmt.Sprintf("%s ends in a jump to a function that is not known before it runs, at +%d, which returns in its place (a tail call)", f.Full(), out.Jump-f.Addr), hint
	case out.Returns == nil:
		return fmt.Sprintf("%s never returns: it has no return instruction", f.Full()), ""
	}
	return "", ""
}

func describeAddr(f exe.Symbol, at uint64) string {
	if f.Name == "" {
		return fmt.Sprintf("at %#x", at)
	}
	return fmt.Sprintf("at %s+%d", f.Full(), at-f.Addr)
}

// nearInsns describes the instructions closest to an address that is not at the start of one.
func nearInsns(f exe.Symbol, before, after uint64) string {
	if f.Name == "" {
		return fmt.Sprintf("the nearest are at %#x and %#x", before, after)
	}
	return fmt.Sprintf("the nearest are at +%d and +%d", before-f.Addr, after-f.Addr)
}

// implementations returns a hint with the functions that an IFUNC may choose.
func implementations(x *exe.File, name string) string {
	funcs, _, err := x.Functions()
	if err != nil {
		return ""
	}
	var out []string
	for _, f := range funcs {
		if !f.Ifunc && strings.HasPrefix(f.Name, "__"+name+"_") && !slices.Contains(out, f.Name) {
			out = append(out, f.Name)
		}
	}
	if out == nil {
		return "its debug symbols would name the candidates"
	}
	slices.Sort(out)
	return "trace all candidates: " + "uprobe:" + x.Path + ":__" + name + "_*"
}
