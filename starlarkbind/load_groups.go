package starlarkbind

import (
	"fmt"
	"slices"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// mostShared is the maximum number of one probe's programs that run for every system call.
const mostShared = 8

// groups divides a probe's targets into groups that can share a program. If the handler reads no
// named field, all targets of a kind form a group. Otherwise a group has the fields that the
// handler reads at the same offsets.
func (s *Session) groups(p *Probe, h, f *compiler.Func) []*group {
	l := &loader{s: s, p: p, handler: h, filter: f}
	var out []*group
	for _, ts := range byKind(p.targets) {
		enter, exit, others := l.shareSyscalls(ts)
		for _, shared := range [][]bpf.Target{enter, exit} {
			gs, err := l.groupsOf(shared)
			// The handler may read what the raw event does not have.
			if err != nil || len(gs) > mostShared {
				others = append(others, kinds.Unshare(shared)...)
				continue
			}
			out = append(out, gs...)
		}
		gs, _ := l.groupsOf(others) // an error in the handler is reported later
		out = append(out, gs...)
	}
	return out
}

// shareSyscalls splits targets of one kind as kinds.ShareSyscalls does. Where the tracepoints of
// system calls have no kernel stack, a handler that reads it runs at the raw event, which has one.
func (l *loader) shareSyscalls(ts []bpf.Target) (enter, exit, others []bpf.Target) {
	if l.s.kernel.HaveSyscallStacks() {
		return kinds.ShareSyscalls(ts, l.s.leastShared)
	}
	enter, exit, others = kinds.ShareSyscalls(ts, 1)
	for _, side := range []*[]bpf.Target{&enter, &exit} {
		if len(*side) < l.s.leastShared && !l.readsKernelStack(*side) {
			others = append(others, kinds.Unshare(*side)...)
			*side = nil
		}
	}
	return enter, exit, others
}

// readsKernelStack reports whether the handler reads the kernel's stack at these targets.
func (l *loader) readsKernelStack(ts []bpf.Target) bool {
	if len(ts) == 0 {
		return false
	}
	ev, err := ts[0].Event()
	if err != nil {
		return false
	}
	code, err := l.compile(&group{targets: ts, event: ev}, ts, 0)
	return err == nil && code.KernelStacks
}

// groupsOf divides targets of one kind into groups. The error is the handler's error for the first
// target.
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

// byEvent groups targets of one kind whose events have identical fields of these names. If names is
// nil, all fields must be identical.
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

// likeness returns a key that is equal for events of one kind if one program that reads the fields
// in names can serve them all. If names is nil, the program may read all fields.
func likeness(ev *abi.Event, names []string) string {
	some := *ev
	some.Number = nil // its offset is the same in all events that have it
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

// maxLateGroups is the largest number of different events of one probe for which lateRequests
// returns a request.
const maxLateGroups = 16

// lateRequests returns the requests for a probe's targets, one for each event with a different
// layout.
func (s *Session) lateRequests(p *Probe, ts []bpf.Target, h, f *compiler.Func) []*compiler.Request {
	l := &loader{s: s, p: p, handler: h, filter: f}
	var out []*compiler.Request
	for _, kind := range byKind(ts) {
		for i, g := range byEvent(kind, nil) {
			if g.err == nil && i < maxLateGroups {
				out = append(out, l.request(g, g.targets, g.targets[0].ProgramTypes(true)[0]))
			}
		}
	}
	return out
}
