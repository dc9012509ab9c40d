package transcript

import (
	"fmt"
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	const text = ">>> x = 1\n>>> def f():\n...\n...     return x\n...\n>>> f()\n1\n...\n>>> %log off\n"
	got := REPL.Parse(text)
	want := []Item{{"x = 1", "", 1}, {"def f():\n\n    return x", "", 2}, {"f()", "1\n...\n", 6}, {"%log off", "", 9}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if again := REPL.Format(got); again != text {
		t.Errorf("got\n%s", again)
	}
	if got := Shell.Parse("$ echo a \\\n> b\na b\n"); !reflect.DeepEqual(got, []Item{{"echo a \\\nb", "a b\n", 1}}) {
		t.Errorf("got %+v", got)
	}
}

// failures records the errors that a comparison reports.
type failures struct {
	testing.TB
	all []string
}

func (f *failures) Helper() {}
func (f *failures) Errorf(format string, args ...any) {
	f.all = append(f.all, fmt.Sprintf(format, args...))
}

func TestCompare(t *testing.T) {
	const h = "lat:\n[4, 8)            529 |@@@@                                                |\n[8, 16)             1 |                                                    |\n"
	const k = "lat:\n[1K, 2K)            7 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n"
	for _, c := range []struct {
		src, want, got string
		same           bool
	}{
		{"f()", "1\n", "1\n", true},
		{"f()", "1\n", "2\n", false},
		{"%time f()", "1\ntook 3ms\n", "1\ntook 1.021s\n", true},
		{"%time f()", "1\ntook 3ms\n", "2\ntook 3ms\n", false},
		{"pid()  # varies", "17\n", "100017\n", true},
		{"pid()  # varies", "17\n", "error: none\n", false},
		{"lat  # varies", h, k, true},
		{"lat  # varies", h, "<hist lat: empty>\n", false},
		{"lat", h, k, false},
	} {
		f := &failures{TB: t}
		out := Compare(f, []Item{{c.src, c.want, 1}}, []Item{{c.src, c.got, 5}})
		if (f.all == nil) != c.same || c.same && out[0].Out != c.want || !c.same && out[0].Out != c.got {
			t.Errorf("%s, %q and %q: %q", c.src, c.want, c.got, f.all)
		}
	}
	f := &failures{TB: t}
	Compare(f, []Item{{"a", "", 1}, {"b", "", 2}}, []Item{{"a", "", 1}})
	Compare(f, []Item{{"a", "", 1}}, []Item{{"b", "", 1}})
	if len(f.all) != 2 {
		t.Errorf("items that were not run: %q", f.all)
	}
}
