package starlarkbind

import (
	"fmt"
	"slices"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/compiler"
)

// group is targets that could share a program, with the event that they have in common.
type group struct {
	targets []bpf.Target
	event   *bpf.Event
	err     error
}

// mostShared is the most programs of one probe that run for each system call.
const mostShared = 8

// groups puts targets together that can share a program: all of a kind where the handler reads no field that has a name,
// else those that have the fields which it reads at the same places.
func (s *Session) groups(p *Probe, h, f *compiler.Func) []*group {
	l := &loader{s: s, p: p, handler: h, filter: f}
	var out []*group
	for _, ts := range byKind(p.targets) {
		enter, exit, others := bpf.ShareSyscalls(ts, s.leastShared)
		for _, shared := range [][]bpf.Target{enter, exit} {
			gs, err := l.groupsOf(shared)
			if err != nil || len(gs) > mostShared { // or it reads what the raw event does not have
				others = append(others, bpf.Unshare(shared)...)
				continue
			}
			out = append(out, gs...)
		}
		gs, _ := l.groupsOf(others) // a mistake in the handler shows when the groups are compiled
		out = append(out, gs...)
	}
	return out
}

// groupsOf puts targets of one kind together. The error is that of the handler for the first of them.
func (l *loader) groupsOf(ts []bpf.Target) ([]*group, error) {
	if len(ts) == 0 {
		return nil, nil
	}
	ev, err := ts[0].Event()
	all := &group{ts, ev, err}
	switch {
	case len(ts) == 1:
		return []*group{all}, nil
	case err != nil:
		return byEvent(ts, nil), err
	}
	code, err := l.compile(all, ts, 0)
	switch {
	case err != nil || code.TypedArgs:
		return byEvent(ts, nil), err
	case !code.ReadsFields:
		return []*group{all}, nil
	}
	return byEvent(ts, code.Fields), nil
}

func byKind(ts []bpf.Target) [][]bpf.Target {
	var out [][]bpf.Target
	index := map[string]int{}
	for _, t := range ts {
		i, ok := index[t.Kind]
		if !ok {
			i = len(out)
			index[t.Kind] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], t)
	}
	return out
}

// byEvent puts targets of one kind together whose events have the same fields of these names, or, without names, all
// their fields in common.
func byEvent(ts []bpf.Target, names []string) []*group {
	var out []*group
	index := map[string]*group{}
	for _, t := range ts {
		ev, err := t.Event()
		key := fmt.Sprint(err)
		if err == nil {
			key = likeness(ev, names)
		}
		g := index[key]
		if g == nil {
			g = &group{event: ev, err: err}
			index[key] = g
			out = append(out, g)
		}
		g.targets = append(g.targets, t)
	}
	return out
}

// likeness is equal for events of a kind that a program for one of them can serve, where it reads the fields of these
// names; nil: all.
func likeness(ev *bpf.Event, names []string) string {
	some := *ev
	some.Number = nil // it is at the same place in all events that have one
	if names != nil {
		some.Fields = nil
	}
	for _, f := range ev.Fields {
		if slices.Contains(names, f.Name) {
			some.Fields = append(some.Fields, f)
		}
	}
	return fmt.Sprint(some)
}
