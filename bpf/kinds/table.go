package kinds

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

func init() {
	providers = []*Provider{
		&tracepointProvider, &rawTracepointProvider,
		&kprobeProvider, &kretprobeProvider, &fentryProvider, &fexitProvider, &functionProvider, &returnProvider, &lsmProvider,
		&uprobeProvider, &uretprobeProvider, &usdtProvider, &iterProvider,
		&profileProvider, &intervalProvider, &softwareProvider, &hardwareProvider, &watchpointProvider,
		&beginProvider, &endProvider, &signalProvider,
	}
}

// Providers returns the table of all kinds, in the order of the help.
func Providers() []*Provider { return providers }

// Resolve returns the targets of a probe spec, sorted by name. It returns at least one target or an
// error: a *SpecError, a *NotFoundError, a *PrivilegeError or a *MountError.
func Resolve(spec string) ([]bpf.Target, error) { return resolve(spec, false) }

// ResolveUnsafe is like Resolve, but also accepts probes that may crash the programs they trace.
func ResolveUnsafe(spec string) ([]bpf.Target, error) { return resolve(spec, true) }

func resolve(spec string, unsafe bool) ([]bpf.Target, error) {
	s, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	s.Unsafe = unsafe
	ts, err := findProvider(s.Kind).Resolve(s)
	if slices.ContainsFunc(s.Args, isPattern) {
		for i := range ts {
			ts[i].FromPattern = true
		}
	}
	setDrivers(ts)
	return ts, err
}

// setDrivers gives each target the driver of its kind.
func setDrivers(ts []bpf.Target) {
	for i := range ts {
		ts[i].Driver = &findProvider(ts[i].Kind).Driver
	}
}

// List returns the available probes of all kinds whose full names match the pattern, sorted by
// name. A pattern without a colon matches every name that contains it. Kinds with unlimited names
// (profile) list the usual ones. Kinds that this host does not support are left out unless the
// pattern names the kind.
func List(pattern string) ([]bpf.Target, error) {
	if kind, rest, ok := strings.Cut(pattern, ":"); !ok {
		if !isPattern(pattern) || strings.Trim(pattern, "*") != pattern {
			pattern = "*" + strings.Trim(pattern, "*") + "*"
		} else {
			pattern = "*" + pattern + "*"
		}
	} else if p := findProvider(kind); p != nil {
		pattern = p.Kind + ":" + rest
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, &SpecError{Text: pattern, Reason: fmt.Sprintf("bad pattern %q", pattern), Hint: "a [ has no matching ]"}
	}
	if err := sys.CheckMounts(); err != nil {
		return nil, err
	}
	var all []bpf.Target
	for _, p := range providers {
		if kind, _, ok := strings.Cut(pattern, ":"); ok && !match(kind, p.Kind) && !strings.Contains(kind, "*") {
			continue
		}
		ts, err := p.List(pattern)
		if err == nil && len(ts) > 0 && p.usable != nil && !strings.HasPrefix(pattern, p.Kind+":") {
			var none *NotFoundError
			if err = p.usable(p.Kind); errors.As(err, &none) {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, ts...)
	}
	setDrivers(all)
	slices.SortFunc(all, func(a, b bpf.Target) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
