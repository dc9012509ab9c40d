package starlarkbind

import (
	"strings"
	"testing"
)

// A stream delivers each record: the number emitted equals the number received plus the number
// lost.
func TestStream(t *testing.T) {
	expect(t, `
s = stream()
probe(`+lseek+`, lambda e: s.emit(n=e.args.offset, comm=e.comm, pair=(e.args.offset, True)), filter=lambda e: e.comm == "load")
make("newkeys", 1000, 5)
print(s.emitted, s.lost)
first = s.take(3)
for ev in first:
    print(ev.n, ev.comm, ev.pair, ev.time > 0, ev.cpu >= 0)
print(first[0].time <= first[1].time, s.emitted, s.lost)
print(len(s.take(5000, timeout=0.05)), len(s.take(1, timeout=0)), s.emitted)
got = []
def each(ev):
    got.append(ev.n)
    if len(got) == 500:
        stop()
s.each(each)
make("newkeys", 500, 1)
run(10)
print(len(got), sum(got), s.emitted)
`, `1000 0
5 load (5, True) True True
6 load (6, True) True True
7 load (7, True) True True
True 1000 0
997 0 1000
500 125250 1500`)
}

// Records that do not fit are counted, at the line that sent them.
func TestStreamLost(t *testing.T) {
	expect(t, `
s = stream(size=4096)
probe(`+lseek+`, lambda e: s.emit(n=e.args.offset), filter=lambda e: e.comm == "load")
make("newkeys", 1000, 0)
kept = 4096 // (8 + 8 + 8 + 8 + 8)
print(s.emitted, s.lost > 1000 - kept - 5, s.emitted - s.lost == len(s.take(1000, timeout=0)))
e = errors()[0]
print(e.helper, e.errno, e.map, e.count == s.lost, e.message)
print(e.hint)
`, `1000 True True
ringbuf_reserve ENOSPC s True stream s is full: the script reads too slowly, so the record was dropped
emit less, or make it larger: size=8192`)
}

// Two kinds of record in one stream. A loop over it ends by break, or by an action of a handler.
func TestStreamLoop(t *testing.T) {
	expect(t, `
s = stream(size="64KiB")
def h(e):
    if e.args.offset % 2:
        s.emit(odd=e.args.offset)
    else:
        s.emit(even=e.args.offset, name="x")
probe(`+lseek+`, h, filter=lambda e: e.comm == "load")
make("newkeys", 10, 0)
for ev in s:
    if hasattr(ev, "odd") and ev.odd == 7:
        break
print(s.take(1)[0].even)
`, `8`)
}

func TestStreamErrors(t *testing.T) {
	for src, want := range map[string]string{
		`stream(size="1MB")`:                  `stream: size must be a number of bytes up to 1GiB, such as 65536 or "1MiB", got "1MB"`,
		`stream(size=0)`:                      `stream: size must be a number of bytes up to 1GiB, such as 65536 or "1MiB", got 0`,
		`s = stream(); s.take(1, timeout=-1)`: `take: seconds must be from 0 to 1e9, got -1`,
	} {
		l := newLive(t, nil)
		err := l.script(src)
		if err == nil || !strings.Contains(l.FormatError(err), want) {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
