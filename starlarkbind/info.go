package starlarkbind

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
)

// Info tells what the running kernel has of what we use, as --info prints it.
func Info() (string, error) {
	k, err := sys.Running()
	if err != nil {
		return "", err
	}
	prepared := sys.Prepare()
	var mount *sys.MountError
	if errors.As(prepared, &mount) { // what is below would be wrong
		return fmt.Sprintf("kernel %s %s\nmay trace: no: %v\n", k.Release, k.Arch, mount), nil
	}
	cpus, err := sys.PossibleCPUs()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "kernel %s %s, %d CPUs\n", k.Release, k.Arch, cpus)
	may := "yes"
	if prepared != nil {
		may = "no: " + prepared.Error()
	}
	fmt.Fprintf(&b, "may trace: %s\n", may)
	has := func(name, word, note string) { fmt.Fprintf(&b, "%-20s %-4s %s\n", name, word, note) }
	word := "yes"
	if !bpf.HasBTF() {
		word = "no"
	}
	has("btf", word, "types of the kernel")
	for _, f := range bpf.Features() {
		word, note := "yes", ""
		var lacks *bpf.NotSupportedError
		switch err := f.Probe(); {
		case errors.As(err, &lacks):
			word = "no"
		case err != nil:
			word, note = "?", "; "+err.Error()
		}
		has(f.Name, word, "since "+f.Since+": "+f.Doc+note)
	}
	b.WriteString("probe kinds:\n")
	for _, p := range bpf.Providers() {
		fmt.Fprintf(&b, "  %-14s %s\n", p.Kind, p.Doc)
	}
	return b.String(), nil
}

// Kernel gives the running kernel's release, and the error that says why this process cannot trace, if it cannot.
func Kernel() (release string, err error) {
	k, err := sys.Running()
	if err != nil {
		return "", err
	}
	return k.Release, sys.Prepare()
}

// Missing lists what the running kernel lacks of what most tracing wants, as far as that is known at once.
func Missing() []string {
	var out []string
	if f, err := bpf.FindFeature("kprobe"); err != nil || f.Probe() != nil {
		out = append(out, "kprobes")
	}
	if !bpf.HasBTF() {
		out = append(out, "types of the kernel (BTF)")
	}
	return out
}

// List lists the available probes that match a pattern, one a line, with their arguments below if verbose; or it gives the
// declaration of a type of the kernel: "struct sock".
func List(pattern string, verbose bool) (string, error) {
	if bpf.IsTypeName(pattern) {
		return bpf.TypeText(pattern)
	}
	ts, err := bpf.List(pattern)
	if err != nil {
		return "", err
	}
	if len(ts) == 0 {
		return "", fmt.Errorf("no probe matches %q", pattern)
	}
	var b strings.Builder
	types := newKernelTypes()
	for _, t := range ts {
		b.WriteString(render.Escape(t.Name) + "\n")
		if !verbose {
			continue
		}
		args, err := types.listed(t)
		if err != nil {
			return "", err
		}
		for _, a := range args {
			b.WriteString("    " + a + "\n")
		}
	}
	return b.String(), nil
}
