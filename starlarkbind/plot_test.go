package starlarkbind

import (
	"strings"
	"testing"
)

// plots runs a script whose plots have 40 columns and ASCII characters only, and returns the
// output.
func plots(t *testing.T, src string, change func(*Options)) string {
	t.Helper()
	l := newLive(t, func(o *Options) {
		o.Screen, o.ASCII = func() (int, int) { return 40, 24 }, true
		if change != nil {
			change(o)
		}
	})
	if err := l.script(src); err != nil {
		t.Fatal(l.FormatError(err))
	}
	return l.out.String()
}

// The value determines how it is plotted.
func TestPlot(t *testing.T) {
	const rows = "" +
		"3 |        ####\n  |        ####\n  |        ####\n  |    ::::####\n  |    ########\n" +
		"  |    ########\n  |....########\n  |############\n  |############\n  |############\n0 +------------\n"
	const heat = "[1] |....@@@@\n[0] |@@@@....\n    +--------\n"
	const slices = "s = hist()\ndef h(*xs):\n    s.clear()\n    for x in xs: s.add(x)\n    return s.value\na, b = h(0, 0, 1), h(1, 1, 0)\n"
	for _, c := range []struct{ src, want string }{
		{"plot([1, 2, 3])", rows + "   0          2\n"},
		{"plot((1, 2, 3), title='the \\x1b title')", "the \\x1b title:\n" + rows + "   0          2\n"},
		{"plot([(5, 2), (6, 3), (4, 1)])", rows + "   4          6\n"},
		{"plot({5: 2.0, 6: 3, 4: 1})", rows + "   4          6\n"},
		{"plot([1, 2, 3, None])", rows + "   0          2\n"},
		{"n = count()\nfor i in range(3): n.add(i + 1, by=i)\nplot(n)", "n:\n" + rows + "   0          2\n"},
		{"plot({'a': [1, 2], 'b b': {2: 4}})", "a\n4 |\n  |\n  |    ####\n  |########\n0 +------------\nb b\n" +
			"4 |        ####\n  |        ####\n  |        ####\n  |        ####\n0 +------------\n   0          2\n"},
		{"plot([('a', [1]), ('b', [(0, 1)])])", "a\n1 |####\n  |####\n  |####\n  |####\n0 +----\nb\n1 |####\n  |####\n  |####\n  |####\n0 +----\n   0\n"},
		{slices + "plot([a, b])", heat + "     0      1\n     . 1  @ 2\n"},
		{slices + "plot({10: b, 9: a}, title='us')", "us:\n" + heat + "     9     10\n     . 1  @ 2\n"},
		{slices + "plot(a)", "[0]        2 |@@@@@@@@@@@@@@@@@@@@@@@@@|\n[1]        1 |@@@@@@@@@@@@             |\n"},
		{"h = hist()\nh.add(0)\nplot(h)", "h:\n[0]        1 |@@@@@@@@@@@@@@@@@@@@@@@@@|\n"},
		{slices + "plot({'sh': a, 'x': hist().value})", "sh:\n[0]        2 |@@@@@@@@@@@@@@@@@@@@@@@@@|\n[1]        1 |@@@@@@@@@@@@             |\n\nx:\n(empty)\n"},
		{"plot({('sh', 1): 5, 'bash': 2.5, 'none': 0})", "sh, 1    5  |@@@@@@@@@@@@@@@@@@@@@@@@@@|\nbash   2.5  |@@@@@@@@@@@@@             |\nnone     0  |                          |\n"},
		{"plot([('mon', 1), ('tue', 2)])", "mon  1  |@@@@@@@@@@@@@@@               |\ntue  2  |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n"},
		{"plot({}); plot([]); plot([None]); plot(count()); plot([hist().value])", "(empty)\n(empty)\n(empty)\ncount:\n(empty)\n(empty)\n"},
	} {
		if got := plots(t, c.src, nil); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

// Of a map with many keys, the largest are plotted, followed by the number of the others. Of many
// buckets, neighbors share a row.
func TestPlotMuch(t *testing.T) {
	out := plots(t, "plot({sprintf('k%02d', i): i for i in range(100)})", nil)
	if n := strings.Count(out, "|@"); n != 20 || !strings.HasPrefix(out, "k99  99  |@") || !strings.HasSuffix(out, "\n... 80 more\n") {
		t.Errorf("%d bars in\n%s", n, out)
	}
	out = plots(t, "l = lhist(0, 100, 1)\nfor i in range(0, 101): l.add(i)\nplot([l.value])", nil)
	if n := strings.Count(out, " |"); n != 17 || !strings.HasPrefix(out, "[96, ...) |") || !strings.Contains(out, "\n   [0, 6) |@@@@\n") {
		t.Errorf("%d rows in\n%s", n, out)
	}
}

func TestPlotJSON(t *testing.T) {
	got := plots(t, "n = count()\nn.add(2, by='a')\nplot(n)\nplot([1.5, 2], title='x')", func(o *Options) { o.JSON = true })
	const want = `{"type":"plot","kind":"bars","title":"n","value":{"entries":[{"key":["a"],"value":2}]}}` + "\n" + `{"type":"plot","kind":"series","title":"x","value":[1.5,2]}` + "\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Without a terminal, a plot has 80 columns and uses the characters of the locale.
func TestPlotElsewhere(t *testing.T) {
	l := newLive(t, nil)
	if err := l.script("plot([i for i in range(75)])"); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got := l.out.String(); !strings.Contains(got, "\n 0 └"+strings.Repeat("─", 75)+"\n") {
		t.Error(got)
	}
}

func TestPlotErrors(t *testing.T) {
	l := newLive(t, nil)
	const want = "plot: want a histogram, numbers, or a dict or list of them, got "
	for src, got := range map[string]string{
		"plot(5)":                   "int",
		"plot('text')":              "string",
		"plot(len)":                 "builtin_function_or_method",
		"plot(['a'])":               "a list with string in it",
		"plot([1, float('nan')])":   "a list with nan in it",
		"plot({'a': [1, 'b']})":     "a dict with list in it",
		"plot([1, hist().value])":   "a list with int and other things in it",
		"plot([stats().value])":     "a list with struct in it",
		"plot({'a': 1, 'b': None})": "a dict with NoneType in it",
		"plot([hist().value, lhist(0, 9, 1).value])": "",
	} {
		text := want + got
		if got == "" {
			text = "plot: the histograms have different buckets"
		}
		if err := l.item(src); err == nil || err.Error() != text {
			t.Errorf("%s: got %v, want %s", src, err, text)
		}
	}
}

// A map in a dict is plotted as its snapshot.
func TestPlotNested(t *testing.T) {
	l := newLive(t, nil)
	if err := l.script(`
t = table()
for i in range(20):
    t[i] = i * i
plot({"squares": t})
plot({"squares": t.snapshot()})
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	out := l.out.String()
	if half := len(out) / 2; out == "" || out[:half] != out[half:] {
		t.Errorf("got\n%s", out)
	}
}
