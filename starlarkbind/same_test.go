package starlarkbind

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// edgeEvents returns events of the oracle whose numbers are at the limits of their types.
func edgeEvents() []oracleEvent {
	var events []oracleEvent
	for i := range edgeWords {
		w := func(n int) uint64 { return edgeWords[(i*7+n*3)%len(edgeWords)] }
		events = append(events, oracleEvent{[4]uint64{w(0), w(1), w(2), w(3)}, [2]uint32{uint32(w(4)), uint32(w(5))}, i%2 == 0, []string{"", "a", "abc", "abcdefgh"}[i%4], []string{"", "a", "abcdefg"}[i%3]})
	}
	return events
}

// touchAll starts a handler: the oracle's maps without keys have a value from their first use on.
const touchAll = "def handler(e):\n    none.add(0)\n    total.add(0)\n"

// same compares the results of a handler in the kernel and in the interpreter, also when compiled
// for kernel 5.17. The handler must not overflow 64 bits.
func same(t *testing.T, text string) {
	t.Helper()
	text = strings.Replace(text, "def handler(e):\n", touchAll, 1)
	for _, as := range []*sys.Kernel{nil, ifOlder(t)} {
		if err := compare(text, text, edgeEvents(), as); errors.Is(err, errOlder) {
			t.Log("without: ", err)
		} else if err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	if err := sameOnHost(text, edgeEvents()); err != nil && !errors.Is(err, errOlder) {
		t.Errorf("%v\n%s", err, text)
	}
}

// Literals that a handler only reads, and what is known about captured values, mean the same as on
// the host.
func TestSameLiterals(t *testing.T) {
	for _, body := range []string{
		"for v in [1, 2, 5]: total.add(v)",
		"for v in [e.args.u32, e.args.i32, 7]: by_int.add(by=v % 100)",
		"for a, b in [(1, 'x'), (2, 'yy')]: print(a, b)",
		"for k in {3: 'a', 4: 'b'}: total.add(k)",
		"for k, v in {3: 'a', 4: 'b'}.items(): print(k, v)",
		"for k, v in NAMES.items(): print(v, k)",
		"if e.args.i32 % 8 in [4, 5] or e.args.s in ['a', 'abc']: none.add()",
		"if e.args.u32 in [e.args.i32, 3]: none.add()",
		"if e.args.s in NAMES.values() or e.args.i32 % 5 in NAMES.keys(): none.add()",
		"print({0: 'a', 1: 'bcd'}[e.args.i32 % 2], {0: 'a'}.get(e.args.i32 % 2, 'none'), {0: 5}.get(e.args.i32 % 2))",
		"print(LIST[e.args.i32 % 3], ('a', 'b', 'cc')[e.args.u32 % 3], [1, -7][e.args.i32 % 2 - 2])",
		"print(LIST[e.args.i32 % 7 - 3])",
		"t = (e.args.i32, e.args.i32 % 5, 9)\nprint(t[e.args.u32 % 4])",
		"t = (e.args.s, e.args.r, 'other')\nprint(t[e.args.u32 % 5 - 2])",
		"names = ['read', 'write']\nprint(names[e.args.i32 % 2], len(names), 'read' in names, names[-1])",
		"sizes = {'a': 1, 'abc': 3}\nprint(sizes.get(e.args.s, 0), len(sizes))",
		"rows = [(1, 2), (3, 4)]\nfor r in rows:\n    print(r[0] + r[1])",
		"a, b = [e.args.i32, 5]\nprint(a, b)",
		"print(len([1, 2]), len({1: 2}))",
		"def_ = pick(e.args.i32 % 7, [2, 4])\nprint(def_)",
		// Variables of loops that run at least once.
		"for i in range(3): x = i * 2\nprint(i, x)",
		"for i in range(1000):\n    if i > e.args.u32 % 50: break\nprint(i)",
		"for v in LIST:\n    if v == e.args.s: continue\n    last = v\nprint(v)",
		"for v in (e.args.i32, 3): y = v\nprint(v, y)",
		"for i in range(2):\n    if e.args.flag: continue\n    return\nprint(i)",
		"for i in range(300):\n    z = (i, e.args.s)\nprint(z)",
		// Constants that differ only near their end.
		"print((LONG, 1) == (LONG, 2), (LONG, 1) != (LONG, 2), (LONG, 1) == (LONG, 1), {(LONG, 1): 3, (LONG, 2): 4}.get((LONG, e.args.i32 % 3)))",
	} {
		t.Run(body, func(t *testing.T) {
			same(t, "LONG = 'long' * 30\nLIST = ['x', 'abc', 'z']\nNAMES = {0: 'zero', 2: 'two'}\ndef pick(n, xs): return n if n in xs else xs[0]\n"+
				"def handler(e):\n    "+strings.ReplaceAll(body, "\n", "\n    ")+"\n")
		})
	}
}

// Constant conditions remove the code that they rule out, including errors in it.
func TestSameKnownConditions(t *testing.T) {
	for _, body := range []string{
		"if NONE == None or e.args.i32 > NONE: none.add()",
		"if NONE != None and e.args.i32 > NONE: none.add()",
		"if FIVE == None or e.args.i32 > FIVE: none.add()",
		"x = NONE != None and e.args.i32 > NONE\nprint(x)",
		"x = NONE == None or e.args.i32 > NONE\nprint(x)",
		"print(e.args.i32 if NONE == None else e.args.i32 + NONE)",
		"print(opt(e.args.i32 % 9), opt(e.args.i32 % 9, 4), opt(e.args.i32 % 9, NONE))",
		"print(early(e.args.i32 % 9), early(e.args.i32 % 9, 4))",
		"print(filled(e.args.i32 % 9), filled(e.args.i32 % 9, 4))",
		"if not NONE: none.add()\nelse: none.add(NONE)",
		"while NONE: NONE()\nnone.add()",
		"if DEBUG: none.add('text', by=4)\nnone.add()",
	} {
		t.Run(body, func(t *testing.T) {
			same(t, `NONE = None
FIVE = 5
DEBUG = False
def opt(a, d=None):
    if d != None: return a + d
    return a
def early(a, d=None):
    if d == None:
        return a
    return a * d
def filled(a, d=None):
    if d == None: d = 7
    return a * d
def handler(e):
    `+strings.ReplaceAll(body, "\n", "\n    ")+"\n")
		})
	}
}

// A range may begin or end above 2**63, which the interpreter does not support: there the host's
// text lists the numbers.
func TestSameUnsignedRange(t *testing.T) {
	for kernel, host := range map[string]string{
		"range(n, n + 3)":                          "[n, n + 1, n + 2]",
		"range(n + 2, (1 << 63) - 1, -2)":          "[x for x in [n + 2 - 2 * i for i in range(6)] if x > (1 << 63) - 1]",
		"range(n, -1, -(1 << 62))":                 "[n - (i << 62) for i in range(3)]",
		"range(0, n + 1, 1 << 62)":                 "[0, 1 << 62, 1 << 63]",
		"range((1 << 63) - 2, (1 << 63) + 2)":      "[(1 << 63) - 2, (1 << 63) - 1, 1 << 63, (1 << 63) + 1]",
		"range((1 << 63) + 1, (1 << 63) - 2, -1)":  "[(1 << 63) + 1, 1 << 63, (1 << 63) - 1]",
		"range(e.args.u32 & 3, n, 1 << 62)":        "[(e.args.u32 & 3) + (i << 62) for i in range(3) if (e.args.u32 & 3) + (i << 62) < n]",
		"range(e.args.u32 & 3, -1, -1)":            "range(e.args.u32 & 3, -1, -1)",
		"range(e.args.i32 % 5, e.args.u32 & 7, 2)": "range(e.args.i32 % 5, e.args.u32 & 7, 2)",
	} {
		t.Run(kernel, func(t *testing.T) {
			text := touchAll + "    n = (1 << 63) | (e.args.u32 & 7)\n    for i in RANGE: print(i, i > 5, i < 0)\n"
			for _, as := range []*sys.Kernel{nil, ifOlder(t)} {
				if err := compare(strings.Replace(text, "RANGE", host, 1), strings.Replace(text, "RANGE", kernel, 1), edgeEvents(), as); errors.Is(err, errOlder) {
					t.Log("without: ", err)
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A narrowing writes conditions on optionals whose result may imply that they are or are not None.
type narrowing struct {
	draw func(n int) int
	b    strings.Builder
	n    int
}

// cond returns a condition. yes and no report whether v is known not to be None if the condition is
// true, or if it is false.
func (g *narrowing) cond(depth int) (text string, yes, no bool) {
	if depth > 0 {
		switch g.draw(5) {
		case 0, 1:
			a, ya, na := g.cond(depth - 1)
			// The right side may use v if the left side has narrowed it.
			b, yb, nb := g.operand(depth-1, ya)
			return fmt.Sprintf("(%s and %s)", a, b), ya || yb, na && nb
		case 2, 3:
			a, ya, na := g.cond(depth - 1)
			b, yb, nb := g.operand(depth-1, na)
			return fmt.Sprintf("(%s or %s)", a, b), ya && yb, na || nb
		case 4:
			a, ya, na := g.cond(depth - 1)
			return fmt.Sprintf("(not %s)", a), na, ya
		}
	}
	switch g.draw(9) {
	case 0:
		return "v != None", true, false
	case 1:
		return "None == v", false, true
	case 2:
		return "v", true, false
	case 3:
		return "v == 3", true, false
	case 4:
		return "v != 3", false, true
	case 5:
		return "v in (3, 5)", true, false
	case 6:
		return "LIMIT == None", false, false
	case 7:
		return "v not in [3, 4]", false, false
	}
	return "e.args.flag", false, false
}

// operand returns a condition, which may use v if v is known not to be None.
func (g *narrowing) operand(depth int, known bool) (string, bool, bool) {
	if known && g.draw(2) == 0 {
		return fmt.Sprintf("v > %d", g.draw(6)), true, true
	}
	return g.cond(depth)
}

func (g *narrowing) line(indent int, format string, args ...any) {
	fmt.Fprintf(&g.b, "%s"+format+"\n", append([]any{strings.Repeat("    ", indent)}, args...)...)
}

func (g *narrowing) statement() {
	cond, yes, no := g.cond(3)
	use := func(known bool) string {
		if known {
			return "v + 100"
		}
		return "-1"
	}
	switch g.draw(6) {
	case 0:
		g.line(1, "if %s: print(%s)", cond, use(yes))
		g.line(1, "else: print(%s)", use(no))
	case 1:
		g.line(1, "print(%s if %s else %s)", use(yes), cond, use(no))
	case 2:
		g.n++
		g.line(1, "c%d = bool(%s)", g.n, cond)
		g.line(1, "print(c%d)", g.n)
	case 3:
		g.n++
		g.line(1, "c%d = not not %s", g.n, cond)
		g.line(1, "print(%s if c%d else %s)", use(yes), g.n, use(no))
	case 4:
		g.line(1, "for i in range(3):")
		g.line(2, "if %s: continue", cond)
		g.line(2, "print(%s)", use(no))
	case 5:
		g.line(1, "print(early%d(e, tab.get(e.args.i32 %% 7)))", g.n)
		g.n++
		var f narrowing
		f.line(0, "def early%d(e, v):", g.n-1)
		f.line(1, "if %s:", cond)
		f.line(2, "return %s", use(yes))
		f.line(1, "return %s", use(no))
		text := g.b.String()
		g.b.Reset()
		g.b.WriteString(f.b.String() + text)
	}
}

// Wherever a condition implies that an optional is not None, the handler may use it as its value,
// and the value is right.
func TestKnownNotNone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 60, 200).Draw(rt, "choices")
		g := &narrowing{draw: func(n int) int {
			if len(data) == 0 {
				return 0
			}
			x := int(data[0]) % n
			data = data[1:]
			return x
		}}
		g.b.WriteString(touchAll)
		g.line(1, "tab[3] = 3")
		g.line(1, "tab[0] = 0")
		g.line(1, "tab[5] = 9")
		g.line(1, "v = tab.get(e.args.i32 %% 7)")
		for range 3 {
			g.statement()
		}
		text := "LIMIT = None\n" + g.b.String()
		if err := compare(text, text, edgeEvents()[:8], nil); err != nil {
			rt.Fatalf("%v\n%s", err, text)
		}
	})
}

// Slices of strings take bounds computed at run time, on either side, also negative ones and ones
// beyond the end.
func TestSameSlices(t *testing.T) {
	for _, body := range []string{
		"print(e.args.s[:e.args.i32 % 12], e.args.s[e.args.i32 % 12:])",
		"print(e.args.s[e.args.i32 % 5:e.args.u32 % 9], e.args.r[-(e.args.u32 % 4):])",
		"print(e.args.s[:e.args.i32], e.args.s[e.args.i32:], e.args.s[e.args.i32:e.args.u32 // 2])",
		"print(e.args.s[1:e.args.i32], e.args.s[e.args.i32:-1], e.args.s[-3:e.args.i32], e.args.s[e.args.i32:2])",
		"print('constant'[:e.args.u32 % 20], 'constant'[e.args.i32:])",
		"n = 2\nfor i in range(3): n += i\nprint(e.args.s[:n], e.args.s[n - 3:n])",
		"words[e.args.s[:e.args.i32 % 4]] = e.args.i32 % 4",
		"for i in range(e.args.u32 % 5): print(e.args.s[i:i + 2])",
	} {
		t.Run(body, func(t *testing.T) { same(t, "def handler(e):\n    "+strings.ReplaceAll(body, "\n", "\n    ")+"\n") })
	}
}
