package compiler

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
)

// The sign of a table's numbers does not depend on the order of its uses. Each order of three uses
// results in the same sign, or in an error that says what to write.
func TestTableSigns(t *testing.T) {
	uses := []struct {
		text                string
		storesU, storesS    bool
		addsU, addsS, takes bool
	}{
		{text: "t[1] = e.args.u64", storesU: true}, {text: "t[1] = e.args.i64", storesS: true}, {text: "t[1] = 5"}, {text: "t[1] = e.args.u32"},
		{text: "t[1] += e.args.u64", addsU: true}, {text: "t.add(e.args.u64, by=1)", addsU: true}, {text: "t[1] += 1"}, {text: "t[1] += e.args.i64", addsS: true},
		{text: "t[1] -= 1", takes: true}, {text: "t[1] -= e.args.u64", addsU: true, takes: true}, {text: "t[1] -= e.args.i64", addsS: true, takes: true}, {text: "t.add(-1, by=1)", takes: true},
	}
	for i := range uses {
		for j := range uses {
			for k := range uses {
				three := []int{i, j, k}
				var storesU, storesS, addsU, addsS, takes bool
				src := "t = table()\ndef h(e):\n"
				for _, n := range three {
					u := uses[n]
					src += "    " + u.text + "\n"
					storesU, storesS = storesU || u.storesU, storesS || u.storesS
					addsU, addsS, takes = addsU || u.addsU, addsS || u.addsS, takes || u.takes
				}
				want := "i64"
				switch {
				case storesU && (storesS || addsS):
					want = "error"
				case storesU, addsU && !storesS && !addsS && !takes:
					want = "u64"
				}
				got := "error"
				p, err := Compile(parseSource(t, "signs.star", src).request(t))
				if err == nil {
					got = p.Maps[0].Types.Val.Repr()
				}
				var list diag.List
				errors.As(err, &list)
				for _, d := range list {
					if !strings.Contains(d.Hint, `cast(x, "long")`) {
						t.Errorf("%s%v", src, d)
					}
				}
				if got != want {
					t.Errorf("%sgot %s, want %s", src, got, want)
				}
			}
		}
	}
}
