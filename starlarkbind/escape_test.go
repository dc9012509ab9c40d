package starlarkbind

import (
	"strings"
	"testing"
	"unicode"
)

// A traced process can control what is in the kernel's maps. However this data is printed, it
// cannot control the terminal.
func TestEscapes(t *testing.T) {
	for _, json := range []bool{false, true} {
		l := newLive(t, func(o *Options) { o.JSON = json })
		err := l.script(`
evil = "e\x1b[2J\u009b\x7f\x08\r\v"
c, h, tab, st, s = count(), hist(), table(), stats(), stream()
def seen(e):
    c.add(by=e.comm)
    h.add(1, by=(e.comm, 1))
    tab[e.comm] = e.comm
    st.add(2, by=e.comm)
    s.emit(comm=e.comm, pair=(e.comm, 1))
    print(e.comm, (e.comm, e.comm))
    printf("%s|%-20s|\n", e.comm, e.comm)
probe("tracepoint:syscalls:sys_enter_getppid", seen, filter=lambda e: e.comm == evil)
make("-comm", evil, "getppid", 1)
k = c.keys()[0]
print(k == evil, c[evil])
print(c); print(h); print(tab); print(st); print(c, k, [k], (k,), {k: k})
print(k); print([k]); print({k: [k]}); print([(k, 1)]); print([struct(a=k)]); print(set([k])); print(struct(a=k))
print(s.take(1)); print(h.items()); print(c.top(1))
printf("%s %r %5s\n", k, k, [k])
print(sprintf("%s", k)); print(to_json({k: [k, evil]}))
print(attempt(lambda: fail(k)).error)
evil_map = count(name=evil, max_keys=1)
def full(e):
    evil_map.add(by=e.args.offset)
probe(` + lseek + `, full, filter=lambda e: e.comm == "load", name=evil)
make("newkeys", 3, 1)
for e in errors(): print(e); print([e.map, e.probe])
print(attached())
fail(k)
`)
		if err == nil {
			t.Fatal("no error")
		}
		text := l.FormatError(err)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		all := l.out.String() + l.err.String() + text
		for line := range strings.Lines(all) {
			for _, r := range strings.TrimSuffix(line, "\n") {
				if unicode.IsControl(r) || r == unicode.ReplacementChar {
					t.Errorf("JSON %v: %q", json, line)
					break
				}
			}
		}
		want := 30
		if json {
			want = 10
		}
		if n := strings.Count(all, `[2J`); n < want {
			t.Errorf("JSON %v: the name was printed only %d times", json, n)
		}
	}
}
