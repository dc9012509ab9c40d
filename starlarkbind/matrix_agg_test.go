package starlarkbind

import (
	"fmt"
	"strings"
	"testing"
)

// matrixAggs lists the kinds of aggregations, and the value of each, as a script expression, after
// one number x was added.
var matrixAggs = []struct{ kind, make, read, want string }{
	{"count", "count()", "A.value", "x"},
	{"sum", "sum()", "A.value", "x"},
	{"avg", "avg()", "A.value", "x"},
	{"min", "min()", "A.value", "x"},
	{"max", "max()", "A.value", "x"},
	{"stats", "stats()", "(A.value.count, A.value.sum, A.value.avg, A.value.min, A.value.max)", "(1, x, x, x, x)"},
	{"hist", "hist()", "(A.value.count, A.value.sum, A.value.min, A.value.max, held(A.value, x))", "(1, x, x, x, True)"},
	{"lhist", "lhist(-100, 100, 10)", "(A.value.count, A.value.sum, A.value.min, A.value.max, held(A.value, x))", "(1, x, x, x, True)"},
	{"keys", "sum(max_keys=4)", "A.items()", "[(x, 3)]"},
	{"two keys", "count(max_keys=4)", "A.items()", "[((x, 1), 1)]"},
}

// Each kind of aggregation contains what was added, for each kind of operand, and its value has the
// sign of what was added.
func TestMatrixAggregations(t *testing.T) {
	m := newMatrix(t)
	m.define(`
def held(h, x):
    for b in h.buckets:
        if b[2] == 1:
            return (b[0] == None or b[0] <= x) and (b[1] == None or x < b[1])
    return False
`)
	var src strings.Builder
	adds := map[string]string{"keys": "A.add(3, by=$)", "two keys": "A.add(by=($, 1))"}
	wants := map[*cell]string{}
	reads := map[*cell]string{}
	for _, a := range matrixAggs {
		for _, o := range m.operands {
			name := fmt.Sprintf("a%d", len(m.cells))
			fmt.Fprintf(&src, "%s = %s\n", name, a.make)
			add := adds[a.kind]
			if add == "" {
				add = "A.add($)"
			}
			c := &cell{form: a.kind, operand: o.name, lines: []string{strings.NewReplacer("A", name, "$", o.kernel).Replace(add)}, text: "1", any: o.host == "" || o.name == "None" && a.kind == "keys"} // by=None is not a key
			x := o.host
			if o.also != "" && adds[a.kind] != "" {
				x = o.also
			}
			of := strings.NewReplacer("A", name, "x", x)
			wants[c], reads[c] = of.Replace(a.want), strings.ReplaceAll(strings.ReplaceAll(a.read, "A.", name+"."), ", x)", ", "+x+")")
			m.add(c)
		}
	}
	m.define(src.String())
	accepted := m.compile(m.cells)
	m.run(accepted)
	for _, c := range accepted {
		if c.got == nil || c.any {
			continue
		}
		got, err := m.eval(reads[c])
		if err != nil {
			t.Fatalf("%s with %s: %s: %v", c.form, c.operand, reads[c], err)
		}
		c.got = got
		m.expected(c, wants[c])
		if c.form == "count" {
			c.mod = true // counts are signed
		}
	}
	m.report(accepted)
}
