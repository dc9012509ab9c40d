package render

import (
	"testing"

	"go.starlark.net/starlark"
)

// A map is shown as a table whatever its values are, smallest first.
func TestKeyed(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`{1: (30, "sh"), 22: (4, "bash")}`, "22   4  bash\n 1  30  sh"},
		{`{"a": "x\ny", "bb": "w"}`, "bb  w\na   x\\ny"},
		{`{("k", 1): True, ("kk", 10): False}`, "kk  10  False\nk    1  True"},
		{`{2: None, 1: (1, 2)}`, "2  None\n1     1  2"},
		{`{"sh": 10, "bash": 2}`, "bash   2\nsh    10"},
	} {
		if got := (Page{}).Keyed(eval(t, c.src).(*starlark.Dict).Items()); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}
