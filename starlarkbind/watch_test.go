package starlarkbind

import (
	"strings"
	"testing"
)

// watch() shows its value repeatedly until stop(), in one place if there is a terminal. What a
// function prints is part of the value.
func TestWatch(t *testing.T) {
	const src = `
m = count()
m.add(3, by="a")
n = [0]
def picture():
    n[0] += 1
    if n[0] == 3:
        stop()
    return m
watch(picture, seconds=0.01)
print(n[0])
`
	expect(t, src, "m:", "a  3", "m:", "a  3", "m:", "a  3", "3")
	l := newLive(t, func(o *Options) { o.Screen = func() (int, int) { return 3, 4 } })
	if err := l.script(src); err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := strings.Repeat(clearScreen+"m:\na  \n", 3) + "3\n"
	if got := l.out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	l = newLive(t, func(o *Options) { o.Screen, o.ASCII = func() (int, int) { return 20, 24 }, true })
	if err := l.script(`
n = []
def picture():
    n.append(len(n) + 1)
    plot(n)
    print("below")
    if len(n) == 2:
        stop()
watch(picture, seconds=0.01)
print("after")
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	want = clearScreen + strings.Replace(strings.Repeat("  |####\n", 10), "  ", "1 ", 1) + "0 +----\n   0\nbelow\n" +
		clearScreen + "2 |    ####\n" + strings.Repeat("  |    ####\n", 4) + strings.Repeat("  |########\n", 5) + "0 +--------\n   0      1\nbelow\nafter\n"
	if got := l.out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	l = newLive(t, func(o *Options) { o.Screen = func() (int, int) { return 20, 5 } })
	if err := l.script(`
m = count()
for i in range(10):
    m.add(i + 1, by=i)
shown = []
def ten():
    if shown:
        stop()
    shown.append(1)
    return m
watch(ten, seconds=0.01)
`); err != nil { // the largest stay
		t.Fatal(l.FormatError(err))
	}
	want = clearScreen + "m:\n... 8 more; print() \n8   9\n9  10\n"
	if got := l.out.String(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n7 ") {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fit("a\nb\nc\nd", 80, 3); got != "a\nb\n... 2 lines more" {
		t.Errorf("got %q", got)
	}
	for src, want := range map[string]string{
		"watch(1, seconds=0)":                   "watch: seconds must be at least 0.01, got 0",
		"watch(1, seconds=-1)":                  "watch: seconds must be from 0 to 1e9, got -1",
		"every(0.01, lambda: watch(1)); run(1)": "watch() cannot be called from a callback: run() is already active",
	} {
		if err := l.script(src); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
	}
}
