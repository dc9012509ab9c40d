package starlarkbind

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
)

// matrixPrints are the calls that print an operand, $. # is the number of the cell.
var matrixPrints = []string{
	`print("#", $)`, `print("#", ($, 1), $)`, `print("#", $ if e.args.flag else None)`,
	`printf("# %s\n", $)`, `printf("# %-12s|\n", $)`, `printf("# %.3s|\n", $)`, `printf("# %d\n", $)`, `printf("# %8d|%-8d|\n", $, $)`, `printf("# %08x %X\n", $, $)`, `printf("# %o\n", $)`, `printf("# %u\n", $)`, `printf("# %lld\n", $)`,
	`print("#", sprintf("%s|%d", $, $))`, `print("#", "%s" % ($,))`, `print("#", "%x" % ($,))`, `print("#", "%d|%r" % ($, $))`, `print("#", "<" + $)`, `print("#", $ if e.args.flag else "none")`, `print("#", struct(a=$))`,
	`printf("# %c|\n", $)`, `printf("# %p\n", $)`, `printf("# %i\n", $)`, `printf("# %s %s\n", ($, 2), $)`, `printf("# %f\n", $)`, `printf($, 1)`,
}

var printedCell = regexp.MustCompile(`(?m)^<(\d+)>(.*)$`)

// For each kind of operand, a handler prints what the script prints for the same value, or the
// handler is a compile error.
func TestMatrixPrint(t *testing.T) {
	m := newMatrix(t)
	hex := func(o operand) string { // pointers are shown in hex, numbers are not
		return map[bool]string{true: fmt.Sprintf("pointer(%s)", o.host), false: o.host}[strings.Contains(o.name, "pointer") || o.name == "struct"]
	}
	m.names.Predeclared["pointer"] = starlark.NewBuiltin("pointer", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		n, _ := a[0].(starlark.Int).Uint64()
		return codec.Pointer(n), nil
	})
	for _, form := range matrixPrints {
		for _, o := range m.operands {
			c := &cell{form: form, operand: o.name, text: "1"}
			call := strings.ReplaceAll(form, "#", fmt.Sprintf("<%d>", len(m.cells)))
			c.lines = []string{strings.ReplaceAll(call, "$", o.kernel)}
			if o.also != "" {
				o.host = o.also
			}
			c.any = o.host == ""
			if !strings.Contains(form, "%") {
				call = strings.ReplaceAll(call, "$", hex(o))
			}
			c.want = strings.NewReplacer("($, 2)", "("+hex(o)+", 2)", "$", o.host, "e.args.flag", "True").Replace(call) // an expression to run
			m.add(c)
		}
	}
	accepted := m.compile(m.cells)
	m.run(accepted)
	m.records.Drain()
	got := map[string]string{}
	for _, x := range printedCell.FindAllStringSubmatch(m.out.String(), -1) {
		got[x[1]] += x[2]
	}
	for i, c := range m.cells {
		if c.got == nil {
			continue
		}
		name := fmt.Sprint(i)
		before := len(m.out.String())
		c.got = starlark.String(got[name])
		if err := m.ExecFile(context.Background(), "host.star", []byte(c.want+"\n")); err != nil {
			c.want = "error: " + err.Error()
			continue
		}
		x := printedCell.FindStringSubmatch(m.out.String()[before:])
		if x == nil {
			t.Fatalf("%s printed %q", c.want, m.out.String()[before:])
		}
		c.want = starlark.String(x[2]).String()
	}
	m.report(accepted)
}
