package warnings

import (
	"slices"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
)

// The message about missed events depends on the reason for missing them.
func TestMissedText(t *testing.T) {
	at := func(kind string) []bpf.Target {
		i := slices.IndexFunc(kinds.Providers(), func(p *kinds.Provider) bool { return p.Kind == kind })
		return []bpf.Target{{Kind: kind, Func: "do_wait", Driver: &kinds.Providers()[i].Driver}}
	}
	kret, k := at("kretprobe"), at("kprobe")
	for _, c := range []struct {
		ts          []bpf.Target
		runs, links uint64
		want        string
	}{
		{k, 3, 0, "p: the kernel skipped 3 runs: the handler was already running on that CPU"},
		{k, 0, 4, "p: the kernel missed 4 calls: another probe was running on that CPU"},
		{kret, 0, 5, "p: the kernel missed 5 returns: more calls were in flight than the kretprobe has room for (maxactive), or another probe was running on that CPU; fexit:do_wait has no such limit"},
		{kret, 1, 5, "p: the kernel skipped 1 run: the handler was already running on that CPU; the kernel missed 5 returns: more calls were in flight than the kretprobe has room for (maxactive), or another probe was running on that CPU; fexit:do_wait has no such limit"},
	} {
		if got := missedText("p", c.ts, c.runs, c.links); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// The warning about skipped targets names them, grouped by reason.
func TestLeftOutNames(t *testing.T) {
	var left []bpf.AttachFailure
	refuse := func(reason string, names ...string) {
		for _, n := range names {
			x := bpf.Target{Name: "kprobe:" + n}
			left = append(left, bpf.AttachFailure{Target: x, Err: &bpf.AttachError{Target: x, Reason: reason, Hint: "use " + n + "2"}})
		}
	}
	refuse("it is notrace", "a", "b", "c")
	refuse("it is inlined", "d")
	refuse("it is notrace", "e", "f", "g", "h", "i", "j", "k")
	want := "attach to kprobe:a, kprobe:b, kprobe:c, kprobe:e, kprobe:f, kprobe:g, kprobe:h, kprobe:i and 2 more: it is notrace; attach to kprobe:d: it is inlined; use d2"
	if got := leftText(left); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
