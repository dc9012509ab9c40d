package compiler

import (
	"strings"
	"testing"
)

// Adding to a value and storing it in the table element it was read from causes a warning, with
// what to write instead.
func TestRaceWarnings(t *testing.T) {
	const sum = "t[e.pid] is read and stored in two steps: an update by another CPU in between is lost"
	for _, c := range []struct{ body, want, hint string }{
		{"t[e.pid] = t.get(e.pid, 0) + 1", sum, "write t.add(by=e.pid), which adds in one step"},
		{"t[e.pid] = 1 + t.get(e.pid, 0)", sum, "write t.add(by=e.pid), which adds in one step"},
		{"t[e.pid] = (t.get(e.pid, 0)) + e.args.u32 * 2", sum, "write t.add(e.args.u32 * 2, by=e.pid), which adds in one step"},
		{"t[e.pid] = t[e.pid] + 5", sum, "write t.add(5, by=e.pid), which adds in one step"},
		{"t[e.pid] = t[e.pid] - e.uid", sum, "write t[e.pid] -= e.uid, which subtracts in one step"},
		{"n = t.get(e.pid, 0)\n    t[e.pid] = n + 1", sum, "write t.add(by=e.pid), which adds in one step"},
		{"n = t.get(e.pid)\n    if n == None:\n        n = 0\n    t[e.pid] = n + 7", sum, "write t.add(7, by=e.pid), which adds in one step"},
		{"v[e.pid, e.comm] = v.get((e.pid, e.comm), 0) + 1", "v[(e.pid, e.comm)] is read and stored in two steps: an update by another CPU in between is lost", "write v.add(by=(e.pid, e.comm)), which adds in one step"},
		{"t[e.pid] = t.get(e.uid, 0) + 1", "", ""},
		{"t[e.pid] = u.get(e.pid, 0) + 1", "", ""},
		{"t[e.pid] = t.get(e.pid, 0) * 2", "", ""},
		{"t[e.tid] = t.get(e.tid, 0) + 1", "", ""},
		{"t[e.pid] = e.uid + 1", "", ""},
		{"n = t.get(e.pid, 0)\n    t[e.uid] = n + 1", "", ""},
		{"t[e.pid] += 1", "", ""},
		{"t.add(by=e.pid)", "", ""},
		{"t[e.pid] = 5 - t.get(e.pid, 0)", "", ""},
	} {
		const head = "t = table()\nu = table()\nv = table()\ndef handler(e):\n    u[1] = 1\n    t[1] = 1\n    "
		p, err := Compile(parseSource(t, "test.star", head+c.body+"\n").request(t))
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		if c.want == "" {
			if len(p.Warnings) > 0 {
				t.Errorf("%s: %v", c.body, p.Warnings)
			}
			continue
		}
		if len(p.Warnings) != 1 || p.Warnings[0].Msg != c.want || p.Warnings[0].Hint != c.hint {
			t.Errorf("%s:\n got %v\nwant %s\nhint: %s", c.body, p.Warnings, c.want, c.hint)
		}
		code, _, _ := strings.Cut(strings.TrimPrefix(c.hint, "write "), ", which")
		if p, err := Compile(parseSource(t, "test.star", head+code+"\n").request(t)); err != nil || len(p.Warnings) > 0 {
			t.Errorf("%s: %v", code, err)
		}
	}
	p, err := Compile(parseSource(t, "test.star", "t = table()\ndef f(k): t[k] = t.get(k, 0) + 1\ndef handler(e):\n    f(e.pid)\n    f(e.uid)\n").request(t))
	if err != nil {
		t.Fatal(err)
	}
	want := `test.star:2:11: t[k] is read and stored in two steps: an update by another CPU in between is lost
    def f(k): t[k] = t.get(k, 0) + 1
              ^
    hint: write t.add(by=k), which adds in one step`
	if got := p.Warnings.Error(); got != want || strings.Count(got, "hint") != 1 {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
