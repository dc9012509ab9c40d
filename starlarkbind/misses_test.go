package starlarkbind

import (
	"slices"

	"github.com/bpfrepl/bpfrepl/bpf"

	"strings"
	"testing"
)

// Keys that get and pop do not find are counted exactly, but only with all warnings enabled:
// counting costs time at every miss.
func TestMisses(t *testing.T) {
	for _, warn := range []Warnings{WarnDefault, WarnAll} {
		l := newLive(t, func(o *Options) { o.Warnings = warn })
		err := l.script(`
t, seen = table(), count()
t[8] = 1
def h(e):
    seen.add(by=(t.get(e.args.offset, 7), t.pop(e.args.offset + 8) == None))
probe(` + lseek + `, h, filter=lambda e: e.comm == "load")
make("newkeys", 5, 8)
print(sum(seen.values()))
for e in errors():
    print(e.helper, e.errno, e.count, e.map, e.pos, e.message, [e.hint])
`)
		if err != nil {
			t.Fatal(l.FormatError(err))
		}
		want := "5\n"
		if warn == WarnAll {
			want += `map_lookup_elem ENOENT 5 t test.star:5:48 t has no such key: pop() returned the default ["often harmless; shown only with --warnings=all"]` + "\n" +
				`map_lookup_elem ENOENT 4 t test.star:5:23 t has no such key: get() returned the default ["often harmless; shown only with --warnings=all"]` + "\n"
		}
		if got := l.out.String(); got != want {
			t.Errorf("warnings %d: got %s want %s", warn, got, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if shown := strings.Contains(l.err.String(), "pop() returned the default"); shown != (warn == WarnAll) {
			t.Errorf("warnings %d: %s", warn, l.err.String())
		}
	}
}

// The message about missed events depends on the reason for missing them.
func TestMissedText(t *testing.T) {
	at := func(kind string) []bpf.Target {
		i := slices.IndexFunc(bpf.Providers(), func(p *bpf.Provider) bool { return p.Kind == kind })
		return []bpf.Target{{Kind: kind, Func: "do_wait", Driver: &bpf.Providers()[i].Driver}}
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
