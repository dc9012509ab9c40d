package starlarkbind

import (
	"fmt"
	"strings"
)

// A generator makes random handlers from the grammar of the handler language. Each exists as two
// texts: kernel is what a user would write; host is the same with each operation on integers inside
// w(...), which wraps at 64 bits, because the interpreter's integers are unbounded and the kernel's
// wrap.
type generator struct {
	data         []byte // the remaining choices; zeros when they are used up
	host, kernel strings.Builder
	indent       int
	budget       int // statements left
	loops        int
	helpers      int // functions that can be called
	inHelper     bool
	inFor        bool
	labels       bool // the function label can be called
	readers      bool // the function reader can be called
	hasEvent     bool // the function that is being written has e
}

// An ex is an expression in both texts.
type ex struct {
	h, k     string
	t        string // "int", "bool", "str", "tuple"
	unsigned bool   // in the compiler's typing
	natural  bool   // signed, but known to the compiler to be never negative
	konst    bool   // an int constant that is not negative
	literal  bool
}

// n returns a choice from 0 to max-1.
func (g *generator) n(max int) int {
	if len(g.data) == 0 {
		g.budget = 0
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return int(b) % max
}

func pick[T any](g *generator, xs ...T) T { return xs[g.n(len(xs))] }

const oracleGlobals = `ints = [%s]
few = [3, -1, 8]
strs = ["a", "abc", "abcdefgh"]
names_int = {1: 10, -1: 20, 7: 30, 255: 40}
names_str = {"a": 1, "abcdefgh": 2}
some = set([1, 2, 7])
PAT = b"ab,1"
def larger(x, y):
    return x if x > y else y
wides = ["abcdefghi" * 40, "abc\x00" + "xyz" * 100 + "ab"]
` + describe + nestedGlobals

// oraclePrologue gives every local a value, and every map its types.
const oraclePrologue = `    a, b, c, p, s, o = 1 + e.args.i64 * 0, -2, 3 + e.args.i64 * 0, False, "ab", None # signed, whatever is assigned to them
    tu = (a, b, c)
    q, l, y = e.args.r, wides[0], e.args.raw8
    u, uu = e.args.u64, e.args.v64
    if e.args.i64 == 1234567890123456789:
        o = e.args.i64
        s = e.args.long
        tab[e.args.i64] = -1
        words["abcdefghijklmno"] = e.args.long
        pairs[(e.args.long, e.args.i64)] = ((e.args.j64, e.args.long), p)
        by_int.add(by=e.args.i64)
        by_size.add(by=u)
        sizes[e.args.i64] = uu
        by_text.add(by=e.args.long)
        by_pair.add(by=("none", e.args.i64))
        texts["%d:%s" % (e.args.i64, e.args.long)] = e.args.long
        recs[e.args.i64] = struct(n=e.args.j64, t=e.args.long, b=p, e="none")
        by_str.add(-1, by=s)
        by_tuple.add(-1, by=(s, tu))
        by_bool.add(-1, by=p)
        by_bytes.add(-1, by=y)
        total.add(-1)
        most.add(-1)
        least.add(-1)
        spread.add(-1)
        mean.add(-1)
        linear.add(-1)
        none.add()
`

// generate returns a handler named handler in both texts.
func generate(data []byte) (host, kernel string) {
	g := &generator{data: data, budget: 14}
	globals := fmt.Sprintf(oracleGlobals, strings.Join(edgeInts[:4+g.n(len(edgeInts)-4)], ", "))
	g.host.WriteString(globals)
	g.kernel.WriteString(globals)
	helpers := g.n(3)
	for i := range helpers {
		g.helper(i)
	}
	if g.n(2) == 0 {
		g.reader()
	}
	if g.n(3) == 0 {
		g.label()
	}
	g.both("def handler(e):")
	g.host.WriteString(oraclePrologue)
	g.kernel.WriteString(oraclePrologue)
	g.indent = 1
	for g.budget > 0 {
		g.stmt(3)
	}
	g.both("by_int.add(by=a)")
	g.both(`by_str.add(b, by=s)`)
	return g.host.String(), g.kernel.String()
}
