package starlarkbind

import (
	"cmp"
	"flag"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

var (
	matrixShow = flag.String("matrix.show", "", "print the cells whose form contains this")
	matrixAll  = flag.Bool("matrix.all", false, "operators with all pairs of operands, which takes minutes")
)

// matrixPartners are the operands used on the right side of operators that do not take all of them.
var matrixPartners = []string{"int", "unsigned", "constant", "program's pointer", "string", "None-able"}

// A call is a builtin with arguments, one of which is the operand, $. want returns the right value
// as an expression for the interpreter; if want is nil, that is text itself.
type call struct {
	text string
	want func(o operand) string
	// any accepts every value: the value varies, and another test checks it exactly.
	any   bool
	norun bool
}

// Functions for builtins that read memory: each returns the right value as an expression for the
// interpreter.
func cString(o operand, max int) string {
	s, _, _ := strings.Cut(o.mem, "\x00")
	return starlark.String(s[:min(len(s), max-1)]).String()
}

func memBytes(o operand, n int) string {
	b := make([]byte, n)
	copy(b, o.mem)
	return starlark.Bytes(b).String()
}

func readsString(o operand) string {
	if o.str {
		return o.host
	}
	return cString(o, 64)
}

func readsBytes(o operand) string { return memBytes(o, 8) }

func readsAddr(family int, o operand) string {
	n := map[int]int{2: 4, 10: 16}[family]
	if o.name == "bytes" || !o.addr || o.mem == "" && family == 2 || o.name == "address" {
		return fmt.Sprintf("ntop(%s)", o.host)
	}
	return fmt.Sprintf("ntop(%s)", memBytes(o, n))
}

// castU32 returns the operand cut to the width of u32.
func castU32(o operand) string { return "int(" + o.host + ") & 0xffffffff" }

// sizeOf returns the size of an operand's type in C. A local is 64 bits wide.
func sizeOf(o operand) string {
	n, ok := map[string]int{"small int": 4, "small unsigned": 4, "data_loc": 4, "chars": 16, "array member": 4, "char array member": 16}[o.name]
	if !ok {
		n = 8
	}
	return fmt.Sprint(n)
}

func moved(by int) func(operand) string {
	return func(o operand) string { return fmt.Sprintf("(int(%s) + %d) & 0xffffffffffffffff", o.host, by) }
}

// matrixCalls lists the calls of each builtin, at least one for each parameter. A builtin without
// an entry fails the test.
var matrixCalls = map[string][]call{
	"now": {{text: "now()", any: true}}, "boottime": {{text: "boottime()", any: true}}, "jiffies": {{text: "jiffies()", any: true}}, "rand": {{text: "rand()", any: true}},
	"str":      {{text: "str($, 64)", want: readsString}, {text: "str(e.args.uptr, $)", want: func(o operand) string { return fmt.Sprintf("%q[:max(min(%s, 256) - 1, 0)]", matrixText, o.host) }}},
	"buf":      {{text: "buf($, 8)", want: readsBytes}, {text: "buf(e.args.uptr, $)", want: func(o operand) string { return fmt.Sprintf("b%q[:%s]", matrixText, o.host) }}},
	"ord":      {{text: "ord($)"}, {text: "ord($[:1])"}},
	"len":      {{text: "len($)"}},
	"int":      {{text: "int($)"}},
	"bool":     {{text: "bool($)"}},
	"abs":      {{text: "abs($)"}},
	"min":      {{text: "min($, 5)"}, {text: "min(5, $, e.args.u32)", want: func(o operand) string { return "min(5, " + o.host + ", 40)" }}, {text: "min($, e.args.u64)", want: matrixPair("min(%s, %s)")}},
	"max":      {{text: "max($, 5)"}, {text: "max(5, $, e.args.i32)", want: func(o operand) string { return "max(5, " + o.host + ", 3)" }}, {text: "max($, e.args.u64)", want: matrixPair("max(%s, %s)")}},
	"stop":     {{text: "stop()", norun: true}},
	"strftime": {{text: `strftime("%Y", $)`}, {text: "strftime($, 0)"}},
	"kstack":   {{text: "kstack($)", any: true}}, "ustack": {{text: "ustack($)", any: true}},
	"ksym": {{text: "ksym($)"}},
	"usym": {{text: "usym($)", want: func(o operand) string {
		return fmt.Sprintf(`"0x%%x [unknown]" %% (int(%s) & 0xffffffffffffffff)`, o.host)
	}}},
	"kaddr": {{text: "kaddr($)", any: true}},
	"uaddr": {{text: "uaddr($)", any: true}, {text: `uaddr("main.main", $)`, any: true}},
	"ntop": {{text: "ntop($)", want: func(o operand) string { return "ntop(" + o.host + ")" }}, {text: "ntop(2, $)", want: func(o operand) string { return readsAddr(2, o) }},
		{text: "ntop(10, $)", want: func(o operand) string { return readsAddr(10, o) }}, {text: "ntop($, e.args.uptr)", any: true}, {text: "ntop($, e.args.u32)", any: true}},
	"macaddr":      {{text: "macaddr($)", want: func(o operand) string { return "macaddr(" + memOrHost(o, 6) + ")" }}},
	"errno_name":   {{text: "errno_name($)"}},
	"syscall_name": {{text: "syscall_name($)"}},
	"cgroup_path":  {{text: "cgroup_path($)", want: func(o operand) string { return "cgroup_path(int(" + o.host + ") & 0xffffffffffffffff)" }}},
	"signal":       {{text: "signal($)", norun: true}},
	"reg":          {{text: "reg($)", any: true}},
	"override":     {{text: "override($)", norun: true}},
	"deny":         {{text: "deny($)", norun: true}},
	"cast": {{text: `cast($, "u32")`, want: castU32}, {text: `cast($, "struct iovec")`, want: moved(0)}, {text: `cast($, "char *")`, want: moved(0)},
		{text: `str(cast($, "char *"), 64)`, want: func(o operand) string { return cString(o, 64) }}, {text: `cast($, "u8 *")[0]`, want: func(o operand) string { return "ord(" + memBytes(o, 1) + ")" }},
		{text: `cast($, "u8 *")[1]`, want: func(o operand) string { return "ord(" + memBytes(o, 2) + "[1:])" }},
		{text: "cast(e.args.uptr, $)", any: true}},
	"container_of": {{text: `container_of($, "struct iovec", "iov_len")`, want: moved(-8)}, {text: `container_of(e.args.uptr, $, "iov_len")`, any: true}, {text: `container_of(e.args.uptr, "struct iovec", $)`, any: true}},
	"offsetof":     {{text: `offsetof($, "iov_len")`, any: true}, {text: `offsetof("struct iovec", $)`, any: true}},
	"sizeof":       {{text: "sizeof($)", want: sizeOf}},
	"getattr":      {{text: `getattr($, "iov_len")`, want: func(o operand) string { return "42" }}, {text: "getattr(e, $)", any: true}},
	"sprintf":      {{text: `sprintf("<%s>", $)`, want: shownIn(`sprintf("<%s>", $)`)}, {text: `sprintf("%-12s|%.3s", $, $)`, want: shownIn(`sprintf("%-12s|%.3s", $, $)`)}, {text: `sprintf("%d", $)`}, {text: `sprintf("%#x|%08d", $, $)`}, {text: `sprintf("%c", $)`}, {text: `sprintf("%r %s", $, ($, 2))`, want: shownIn(`sprintf("%r %s", $, ($, 2))`)}, {text: "sprintf($, 1)"}},
	"join":         {{text: `join([$, "x", $], "-")`}, {text: `join(("a", $))`}, {text: "join($)"}, {text: `join(cast($, "char **"))`, any: true}, {text: `join(["a", "b"], $)`}},
	"struct":       {{text: "struct(a=$, b=1)"}, {text: "struct(a=1, b=$).b"}},
	"path":         {{text: "path($)", any: true}, {text: "path(e.task.fs.pwd, $)", any: true}},
}

// shownIn returns the form with the operand as a text shows it: an enum by its name.
func shownIn(form string) func(operand) string {
	return func(o operand) string { return strings.ReplaceAll(form, "$", cmp.Or(o.also, o.host)) }
}

func memOrHost(o operand, n int) string {
	if o.mem != "" || o.addr {
		return memBytes(o, n)
	}
	return o.host
}

func matrixPair(format string) func(operand) string {
	return func(o operand) string { return fmt.Sprintf(format, o.host, matrixUnsigned) }
}

// matrixUnsigned is the value of the operand "unsigned".
const matrixUnsigned = "0x9000000081234567"

// matrixMethods lists the calls of each method. M is a map of the cell's own, and want is an
// expression for the interpreter.
var matrixMethods = map[string][]struct {
	lines []string
	text  string
	want  string
}{
	"table.[]":                   {{[]string{"M[$] = 5"}, "M[$]", "{$: 5}[$]"}, {[]string{"M[1] = $"}, "M[1]", "$"}, {[]string{"M[$] = 5", "M[$] += 2"}, "M[$]", "{$: 7}[$]"}, {[]string{"M[1] = 5", "M[1] += $"}, "M[1]", "5 + $"}},
	"table.in":                   {{[]string{"M[$] = 5"}, "$ in M", "$ in {$: 5}"}},
	"table.get":                  {{[]string{"M[$] = 5"}, "M.get($, 0)", "{$: 5}.get($, 0)"}, {[]string{"M[1] = $"}, "M.get(2, $)", "$"}, {[]string{"M[1] = $"}, "M.get(1)", "$"}, {[]string{"M[1] = $"}, "M.get(1, 0)", "$"}, {[]string{"M[1] = $"}, "M.get(2, -1)", "-1"}},
	"table.pop":                  {{[]string{"M[$] = 5"}, "M.pop($, 0)", "{$: 5}.pop($, 0)"}, {[]string{"M[1] = $"}, "M.pop(1, None)", "$"}},
	"table.add":                  {{[]string{"M.add(by=$)"}, "M.add(2, by=$)", "len([$]) + 2"}, {nil, "M.add($, by=1)", "0 + $"}},
	"table.clear":                {{[]string{"M[$] = 5", "M.clear()"}, "$ in M", "$ in {}"}},
	"stream.emit":                {{nil, "$", "$"}},
	"aggregation.add":            {{[]string{"A.add(by=$)"}, "1", "1"}}, // for each kind, see matrixAggs
	"string.join":                {{nil, `"-".join([$, "x"])`, `"-".join([$, "x"])`}, {nil, `$.join(["a", "b"])`, `$.join(["a", "b"])`}},
	"string.startswith":          {{nil, `$.startswith("da")`, `$.startswith("da")`}, {nil, "e.args.chars.startswith($)", `"hello".startswith($)`}},
	"string.endswith":            {{nil, `$.endswith("ta")`, `$.endswith("ta")`}, {nil, "e.args.chars.endswith($)", `"hello".endswith($)`}},
	"formatted value.startswith": {{nil, `$.startswith("PIDTYPE")`, `$.startswith("PIDTYPE")`}, {nil, "syscall_name(1).startswith($)", `"write".startswith($)`}},
	"formatted value.endswith":   {{nil, `$.endswith("SID")`, `$.endswith("SID")`}, {nil, "syscall_name(1).endswith($)", `"write".endswith($)`}},
	"dict.keys":                  {{nil, "$.keys()", "$.keys()"}},
	"dict.values":                {{nil, "$.values()", "$.values()"}},
	"dict.items":                 {{nil, "$.items()", "$.items()"}},
	"dict.get":                   {{nil, "names.get($, 0)", "names.get($, 0)"}, {nil, "names.get($)", "names.get($)"}, {nil, `names.get(7, $)`, `names.get(7, $)`}},
}

// operators returns the binary, unary and augmented assignment operators of the language, taken
// from its scanner.
func operators() (binary, unary, augmented []string) {
	for tok := syntax.ILLEGAL; tok <= syntax.WHILE; tok++ {
		op := tok.String()
		if f, err := source.Options.Parse("op", "a "+op+" b\n", 0); err == nil && len(f.Stmts) == 1 {
			switch st := f.Stmts[0].(type) {
			case *syntax.ExprStmt:
				if _, ok := st.X.(*syntax.BinaryExpr); ok {
					binary = append(binary, op)
				}
			case *syntax.AssignStmt:
				if st.Op != syntax.EQ {
					augmented = append(augmented, op)
				}
			}
		}
		if f, err := source.Options.Parse("op", "("+op+" a)\n", 0); err == nil && len(f.Stmts) == 1 {
			if st, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
				if p, ok := st.X.(*syntax.ParenExpr); ok {
					if _, ok := p.X.(*syntax.UnaryExpr); ok {
						unary = append(unary, op)
					}
				}
			}
		}
	}
	return binary, unary, augmented
}

// wraps reports whether the result of an operation is signed and wraps in a handler, where the
// interpreter's integers are unbounded: differences and other results that may be negative, and
// arithmetic of an unsigned number with one that may be negative (docs/language.md).
func wraps(op string, x, y operand) bool {
	switch op {
	case "-", "~", "<<", "*":
		return true
	}
	return x.signed || y.signed
}

func (m *matrix) add(c *cell) { m.cells = append(m.cells, c) }

// put adds cells that use an operand in a form, once directly and once through a local variable.
func (m *matrix) put(form string, o operand, text, want string, set func(*cell)) {
	for _, local := range []bool{false, true} {
		c := &cell{form: form, operand: o.name, text: strings.ReplaceAll(text, "$", o.kernel)}
		if local {
			c.lines, c.text = []string{"x = " + o.kernel}, strings.ReplaceAll(text, "$", "x")
		}
		if o.also != "" {
			c.also = [2]string{o.also, o.host}
		}
		set(c)
		if want != "" && o.host != "" && !c.any && c.want == "" {
			m.expected(c, strings.NewReplacer("$", o.host, "e.args.chars", `"hello"`).Replace(want))
		}
		m.add(c)
	}
}

func TestMatrix(t *testing.T) {
	m := newMatrix(t)
	builtins := 0
	for _, d := range compiler.Builtins() {
		if d.Name == "print" || d.Name == "printf" {
			continue // TestMatrixPrint covers them
		}
		calls := matrixCalls[d.Name]
		if calls == nil {
			t.Errorf("%s() has no calls in matrixCalls", d.Name)
		}
		builtins++
		for _, k := range calls {
			for _, o := range m.operands {
				want := k.text
				if k.want != nil && o.host != "" {
					want = k.want(o)
				}
				if !strings.Contains(k.text, "$") && o.name != "int" {
					continue
				}
				m.put(k.text, o, k.text, want, func(c *cell) {
					c.any, c.norun = k.any, k.norun
					if k.text == "sizeof($)" && len(c.lines) > 0 && !o.str {
						c.want = "8"
					}
				})
			}
		}
	}
	for _, d := range compiler.Methods() {
		calls := matrixMethods[d.Name]
		if calls == nil {
			t.Errorf("%s has no calls in matrixMethods", d.Name)
		}
		for _, k := range calls {
			for _, o := range m.operands {
				want := k.want
				if o.also != "" && strings.HasPrefix(want, "$.") { // a method of the name that the value is shown as
					want = o.also + want[1:]
				}
				m.put(d.Name+": "+strings.Join(append(k.lines, k.text), "; "), o, k.text, want, func(c *cell) {
					var lines []string
					for _, l := range k.lines {
						if len(c.lines) > 0 {
							l = strings.ReplaceAll(l, "$", "x")
						}
						lines = append(lines, strings.ReplaceAll(l, "$", o.kernel))
					}
					c.lines = append(c.lines, lines...)
				})
			}
		}
	}
	m.operatorCells()
	m.ownMaps()
	m.check()
	t.Logf("%d builtins", builtins)
}

// ownMaps gives each cell that uses a map its own.
func (m *matrix) ownMaps() {
	var src strings.Builder
	for i, c := range m.cells {
		all := strings.Join(append([]string{c.text}, c.lines...), "\n")
		for _, kind := range []struct{ letter, make string }{{"M", "table(max_keys=4)"}, {"A", "count(max_keys=4)"}} {
			if !strings.Contains(all, kind.letter+".") && !strings.Contains(all, kind.letter+"[") && !strings.HasSuffix(c.text, " in "+kind.letter) {
				continue
			}
			name := fmt.Sprintf("%s%d", strings.ToLower(kind.letter), i)
			fmt.Fprintf(&src, "%s = %s\n", name, kind.make)
			r := strings.NewReplacer(" "+kind.letter+".", " "+name+".", " "+kind.letter+"[", " "+name+"[")
			own := func(s string) string { return strings.TrimPrefix(r.Replace(" "+s), " ") }
			for j := range c.lines {
				c.lines[j] = own(c.lines[j])
			}
			c.text = own(c.text)
			c.text = strings.TrimSuffix(c.text, " in "+kind.letter) + map[bool]string{true: " in " + name}[strings.HasSuffix(c.text, " in "+kind.letter)]
		}
	}
	m.define(src.String())
}

func (m *matrix) operatorCells() {
	binary, unary, augmented := operators()
	if len(binary) < 20 || len(unary) < 4 || len(augmented) < 10 {
		m.t.Fatalf("operators: %v %v %v", binary, unary, augmented)
	}
	for _, op := range binary {
		for _, x := range m.operands {
			for _, y := range m.operands {
				if !*matrixAll && !slices.Contains(matrixPartners, y.name) {
					continue
				}
				c := &cell{form: op, operand: x.name + ", " + y.name, text: fmt.Sprintf("(%s %s %s)", x.kernel, op, y.kernel), mod: wraps(op, x, y)}
				m.binary(c, op, x, y)
				m.add(c)
			}
		}
	}
	for _, op := range augmented {
		for _, x := range m.operands {
			for _, y := range []string{"unsigned", "constant"} {
				y := m.operand(y)
				plain := strings.TrimSuffix(op, "=")
				c := &cell{form: op, operand: x.name + ", " + y.name, lines: []string{"x = " + x.kernel, "x " + op + " " + y.kernel}, text: "x", mod: wraps(plain, x, y)}
				m.binary(c, plain, x, y)
				m.add(c)
			}
		}
	}
	forms := []struct{ text, want string }{{"($ if e.args.flag else 0)", "$"}, {"(0 if e.args.flag else $)", "0"}, {"($ if e.args.flag else -1)", "$"}, {"($ if e.args.flag else None)", "$"}, {"(1 if $ else 2)", "(1 if $ else 2)"},
		{"($, 1)", "($, 1)"}, {"($, 1)[0]", "$"}, {"twice($)", "($, $)"}, {"$[0]", "$[0]"}, {"$[-1]", "$[-1]"}, {"$[1:3]", "$[1:3]"}, {"$[e.args.i32]", "$[3]"},
		{"numbers[$]", "numbers[$]"}, {"names[$]", "names[$]"}, {"e.args.chars[$]", `"hello"[$]`}, {"e.args.chars[$:]", `"hello"[256 if type($) == "int" and $ > 256 else $:]`}, {"$ in (1, $)", "$ in (1, $)"}, {"$ in [7, 8]", "$ in [7, 8]"},
		{"$.iov_len", ""}, {"$()", ""}, {"(e.args.u64 if e.args.flag else $)", matrixUnsigned}, {"($ or 5)", "($ or 5)"}, {"($ and 5)", "($ and 5)"}}
	for _, f := range forms {
		for _, o := range m.operands {
			m.put(f.text, o, f.text, f.want, func(c *cell) {
				switch {
				case f.text == "$.iov_len":
					c.want = "42"
				case strings.HasPrefix(f.text, "$["): // a pointer is indexed as in C; see TestSpaces
					c.any = o.addr || o.host == ""
				}
			})
		}
	}
	for _, op := range unary {
		for _, o := range m.operands {
			m.put(op+" $", o, "("+op+" $)", "("+op+" $)", func(c *cell) { c.mod = true })
		}
	}
	for _, o := range m.operands {
		for _, f := range []struct {
			lines []string
			want  string
		}{
			{[]string{"n = 0", "if e.args.flag:", "    n = $"}, "$"},
			{[]string{"n = 1", "n *= $"}, "1 * $"},
			{[]string{"n = $", "while n == 99:", "    n = 1"}, "$"},
			{[]string{"n = 0", "for v in $:", "    n = v"}, "[v for v in $][-1]"},
			{[]string{"n, _ = $, 1"}, "$"},
			{[]string{"n, _ = $"}, "$[0]"},
			{[]string{"n = 0", "for i in range($ & 3):", "    n += i"}, "[0, 0, 1, 3][$ & 3]"},
		} {
			c := &cell{form: strings.Join(f.lines, "; "), operand: o.name, text: "n"}
			for _, l := range f.lines {
				c.lines = append(c.lines, strings.ReplaceAll(l, "$", o.kernel))
			}
			if o.also != "" {
				c.also = [2]string{o.also, o.host}
			}
			c.any = o.host == ""
			if o.host != "" {
				m.expected(c, strings.ReplaceAll(f.want, "$", o.host))
			}
			m.add(c)
		}
	}
}

func (m *matrix) binary(c *cell, op string, x, y operand) {
	if x.host == "" || y.host == "" {
		return
	}
	for _, o := range []operand{x, y} {
		if o.also != "" {
			c.also = [2]string{o.also, o.host}
		}
	}
	if k, ok := new(big.Int).SetString(y.host, 0); ok && (op == "<<" || op == ">>") && k.BitLen() > 9 {
		if c.want = "0"; op == ">>" && strings.HasPrefix(x.host, "(-") {
			c.want = "-1" // the interpreter refuses such a large count
		}
		return
	}
	m.expected(c, fmt.Sprintf("(%s %s %s)", x.host, op, y.host))
}

func (m *matrix) operand(name string) operand {
	for _, o := range m.operands {
		if o.name == name {
			return o
		}
	}
	m.t.Fatalf("no operand %q", name)
	return operand{}
}

// emulatedCells is the stride of the cells that an emulated CPU runs. It is prime, so that all rows
// and columns have some.
const emulatedCells = 29

// check compiles and runs the cells, and reports those that are wrong.
func (m *matrix) check() {
	// Which cells are errors does not depend on the kernel, and the verifier sees enough of the
	// others.
	if testing.Short() {
		var some []*cell
		for i := 0; i < len(m.cells); i += emulatedCells {
			some = append(some, m.cells[i])
		}
		m.cells = some
	}
	accepted := m.compile(m.cells)
	var run []*cell
	for _, c := range accepted {
		if !c.norun {
			run = append(run, c)
		}
	}
	m.run(run)
	m.report(accepted)
}

// report reports the cells that are wrong.
func (m *matrix) report(accepted []*cell) {
	wrong := map[string][]string{}
	var order []string
	for _, c := range m.cells {
		if *matrixShow != "" && strings.Contains(c.form, *matrixShow) {
			m.t.Logf("%s | %s: %v, want %s %s %v", c.form, c.operand, c.got, c.want, c.fails, c.errs)
		}
		if v := c.verdict(); v != "" {
			key := v
			if c.errs == nil {
				key = c.form + ": " + v
			}
			if wrong[key] == nil {
				order = append(order, key)
			}
			wrong[key] = append(wrong[key], fmt.Sprintf("%s with %s: %s %s", c.form, c.operand, strings.Join(c.lines, "; "), c.text))
		}
	}
	for _, key := range order {
		m.t.Errorf("%s\n    %d cells, such as %s", key, len(wrong[key]), wrong[key][0])
	}
	m.t.Logf("%d cells, %d of them with a value, %d errors", len(m.cells), len(accepted), len(m.cells)-len(accepted))
}
