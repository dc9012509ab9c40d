package starlarkbind

import (
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// Keys that get and pop do not find are counted exactly, but only with all warnings enabled:
// counting costs time at every miss.
func TestMisses(t *testing.T) {
	for _, warn := range []warnings.Level{warnings.Default, warnings.All} {
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
		if warn == warnings.All {
			want += `map_lookup_elem ENOENT 5 t test.star:5:48 t has no such key: pop() returned the default ["often harmless; shown only with --warnings=all"]` + "\n" +
				`map_lookup_elem ENOENT 4 t test.star:5:23 t has no such key: get() returned the default ["often harmless; shown only with --warnings=all"]` + "\n"
		}
		if got := l.out.String(); got != want {
			t.Errorf("warnings %d: got %s want %s", warn, got, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if shown := strings.Contains(l.err.String(), "pop() returned the default"); shown != (warn == warnings.All) {
			t.Errorf("warnings %d: %s", warn, l.err.String())
		}
	}
}
