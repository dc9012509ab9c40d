// Package kernelinfo describes the running kernel for the command line: its release and features
// (--info), and the probes and types that it has (-l).
package kernelinfo

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/feature"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/starlarkbind/ktypes"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
)

// Text describes the running kernel and the features it has of those that bpfrepl uses. It is the
// text of --info.
func Text() (string, error) {
	k, err := sys.Running()
	if err != nil {
		return "", err
	}
	prepared := sys.Prepare()
	var mount *sys.MountError
	if errors.As(prepared, &mount) { // the checks below would report wrong results
		return fmt.Sprintf("kernel %s %s\ncan trace: no: %v\n", k.Release, k.Arch, mount), nil
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
	fmt.Fprintf(&b, "can trace: %s\n", may)
	has := func(name, word, note string) { fmt.Fprintf(&b, "%-20s %-4s %s\n", name, word, note) }
	word := "yes"
	if !kbtf.Available() {
		word = "no"
	}
	has("btf", word, "kernel types")
	for _, f := range feature.All() {
		word, note := "yes", ""
		var missing *feature.NotSupportedError
		switch err := f.Probe(); {
		case errors.As(err, &missing):
			word = "no"
		case err != nil:
			word, note = "?", "; "+err.Error()
		}
		has(f.Name, word, "since "+f.Since+": "+f.Doc+note)
	}
	b.WriteString("probe kinds:\n")
	for _, p := range kinds.Providers() {
		fmt.Fprintf(&b, "  %-14s %s\n", p.Kind, p.Doc)
	}
	return b.String(), nil
}

// Release returns the running kernel's release, and an error if this process cannot trace.
func Release() (release string, err error) {
	k, err := sys.Running()
	if err != nil {
		return "", err
	}
	return k.Release, sys.Prepare()
}

// Missing lists the features that most tracing needs and the running kernel does not have. It
// checks only what can be checked quickly.
func Missing() []string {
	var out []string
	if !kinds.HasKprobes() {
		out = append(out, "kprobes")
	}
	if !kbtf.Available() {
		out = append(out, "kernel types (BTF)")
	}
	return out
}

// List returns the available probes that match a pattern, one per line, each followed by its
// arguments if verbose. If pattern names a kernel type, such as "struct sock", List returns its
// declaration.
func List(pattern string, verbose bool) (string, error) {
	if isTypeName(pattern) {
		return typeText(pattern)
	}
	ts, err := kinds.List(pattern)
	if err != nil {
		return "", err
	}
	if len(ts) == 0 {
		return "", fmt.Errorf("no probe matches %q", pattern)
	}
	var b strings.Builder
	types := ktypes.New()
	for _, t := range ts {
		b.WriteString(render.Escape(t.Name) + "\n")
		if !verbose {
			continue
		}
		args, err := types.Listed(t)
		if err != nil {
			return "", err
		}
		for _, a := range args {
			b.WriteString("    " + a + "\n")
		}
	}
	return b.String(), nil
}
