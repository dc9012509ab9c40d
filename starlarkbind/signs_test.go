package starlarkbind

import (
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// signSources make n, a number that is never negative, in the ways that handlers do.
var signSources = []string{
	"n = 5", "n = e.pid", "n = e.args.u32", "n = numbers[0]", "n = int(e.args.flag)", "n = len(e.args.chars)", "n = len(e.args.chars) + 1",
	"n = e.args.u32 + 1", "n = e.args.u32 * 3 + e.pid", "n = e.args.u32 | 1", "n = e.args.u32 ^ 3", "n = e.args.u32 << 3", "n = e.args.u32 >> 2", "n = e.args.u32 // 7", "n = e.args.u32 % (e.args.u32 + 1)",
	"n = e.args.i64 & 0xff", "n = e.args.i64 % 10", "n = (e.args.i64 & 0xffff) >> 3", "n = max(0, e.args.i64)", "n = max(e.args.i64, 1)", "n = min(e.args.u32, 7)", "n = abs(e.args.i64)",
	"n = 0; for i in range(5): n += 1", "n = 0; for i in range(3, -1, -1): n = i", "n = 0; for i in range(e.args.u32): n = i", "n = 0; for i in range(e.args.u32, 2, -3): n += i",
	"n = 0; while n < 4: n += 1", "n = 0; while n < e.args.i32: n += 1", "n = e.args.i64; while n < 0: n += 5",
	"n = 0; if e.args.i32 >= 0: n = e.args.i32", "n = 0; if e.args.i32 > -1: n = e.args.i32", "n = 0; if e.args.i32 > 0 and e.pid > 0: n = e.args.i32", "n = 0; if 0 <= e.args.i32: n = e.args.i32",
	"n = 0; if not e.args.i32 < 0: n = e.args.i32", "n = 0; ok = e.args.i32 >= 0; if ok: n = e.args.i32", "n = 0; if e.args.i32 == 3: n = e.args.i32", "n = 0; if e.args.u32 < e.args.i64: n = e.args.i64",
	"n = e.args.i64; if n < 0: n = 0", "n = e.args.i32; if n < 0: return", "n = e.args.i32 if e.args.i32 > 0 else 0", "m = e.args.i32; n = m if m > 0 and m < 100 else 0", "n = 0; if e.args.i32 > n: n = e.args.i32",
	"k = given.get(1); n = 0; if k != None and k >= 0: n = k", "n = natural(e.args.i32)", "n = natural(e.args.i64) + natural(e.args.i32)", "n = e.args.i32; n = max(n, 0); n += 1",
}

// signWays combine n with an unsigned number, in v.
var signWays = []string{
	"v = n; if e.args.flag: v = e.args.u64", "v = e.args.u64; if e.args.flag: v = n", "v = n if e.args.flag else e.args.u64", "v = e.args.u64 if e.args.flag else n", "v = n or e.args.u64", "v = e.args.u64 and n",
	"v = n + e.args.u64", "v = e.args.u64 + n", "v = n; v += e.args.u64", "v = e.args.u64 // (n + 1)", "v = e.args.u64 % (n + 1)", "v = n // e.args.u64", "v = e.args.u64 | n", "v = e.args.u64 >> n",
	"v = max(n, e.args.u64)", "v = min(e.args.u64, n)", "v = (n < e.args.u64, n > e.args.u64, n == e.args.u64, e.args.u64 >= n)", "v = later(n, e.args.u64)", "v = 0; for x in (n, e.args.u64): v = x",
	"M[1] = n; M[2] = e.args.u64; x = M[1]; y = M[2]; v = (x, y)", "M[1] = e.args.u64; M[1] += n; v = M[1]", "M[1] = n; M[1] += e.args.u64; v = M[1]", "M[1] = e.args.u64; v = M.get(2, n)", "M[e.args.u64] = 1; M[n] = 2; x = M[n]; y = M[e.args.u64]; v = (x, y)",
	"M[1] = e.args.u64; M[1] -= n; v = M[1]", "M[1] = (n, 1); M[2] = (e.args.u64, 2); x = M[1]; y = M[2]; v = (x, y)",
}

// signedWays compute with n and an unsigned number where the result is combined with one that may
// be negative, and therefore is signed.
var signedWays = []string{
	"v = e.args.i64; v = n; v += e.args.u64", "v = n; v = n + e.args.u64; if e.pid == 1: v = -1", "v = n * 2 + e.args.u64 if e.args.flag else e.args.i64", "M[1] = -1; M[1] = n + 1 + e.args.u64; v = M[1]",
	"M[1] = -1; M[1] += e.args.u64; v = M[1] + 1", "M[1] = n; M[1] += e.args.u64; M[1] -= e.args.u64; v = M[1]", "M[1] = n; M[1] -= 1000; v = M[1]", "v = later(e.args.i64, n * 3)",
}

// computes reports whether a source is never negative because of a sum or a condition.
func computes(src string) bool {
	return strings.Contains(src, "+") || strings.Contains(src, "if ")
}

// signLines splits a line into its statements.
func signLines(text string) (lines []string) {
	for _, s := range strings.Split(text, "; ") {
		if head, body, ok := strings.Cut(s, ": "); ok && !strings.HasPrefix(s, "v = ") {
			lines = append(lines, head+":", "    "+body)
		} else {
			lines = append(lines, s)
		}
	}
	return lines
}

// Numbers that are never negative combined with unsigned ones: each source of such numbers, in each
// combination, yields what the interpreter yields.
func TestSigns(t *testing.T) {
	m := newMatrix(t)
	m.define(`
def natural(x):
    if x >= 0:
        return x
    return 0
def later(x, y):
    if x < y:
        x = y
    return x
`)
	u64, _ := new(big.Int).SetString(matrixUnsigned, 0)
	args := starlark.StringDict{"i64": starlark.MakeInt(-7), "u64": starlark.MakeBigInt(u64), "i32": starlark.MakeInt(3), "u32": starlark.MakeInt(40), "flag": starlark.True, "chars": starlark.String("hello")}
	event := starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{"pid": starlark.MakeInt(os.Getpid()), "args": starlarkstruct.FromStringDict(starlarkstruct.Default, args)})
	given := starlark.NewDict(1)
	if err := given.SetKey(starlark.MakeInt(1), starlark.MakeInt(11)); err != nil {
		t.Fatal(err)
	}
	for _, operand := range signSources {
		for i, way := range slices.Concat(signWays, signedWays) {
			c := &cell{form: way, operand: operand, lines: append(signLines(operand), signLines(way)...), text: "v", mod: i >= len(signWays)}
			if c.mod && !computes(operand) && strings.Contains(way, "n + e.args.u64") {
				continue // its type is unsigned
			}
			text := "def f(e):\n    M = {}\n    " + strings.Join(c.lines, "\n    ") + "\n    return v\n"
			pre := starlark.StringDict{"given": given, "abs": starlark.NewBuiltin("abs", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
				return starlark.MakeBigInt(new(big.Int).Abs(a[0].(starlark.Int).BigInt())), nil
			})}
			for _, name := range []string{"numbers", "natural", "later"} {
				pre[name] = m.names.Globals[name]
			}
			globals, err := starlark.ExecFileOptions(source.Options, &starlark.Thread{}, "host.star", text, pre)
			if err != nil {
				t.Fatal(err)
			}
			v, err := starlark.Call(&starlark.Thread{}, globals["f"], starlark.Tuple{event}, nil)
			if err != nil {
				t.Fatalf("%s; %s: %v", operand, way, err)
			}
			c.want = v.String()
			m.add(c)
		}
	}
	m.ownMaps()
	m.check()
	for _, c := range m.cells {
		if c.errs != nil && !tooOld(m.kernel, fmt.Sprint(c.errs)) {
			t.Errorf("refused: %s: %v", strings.Join(c.lines, "; "), fmt.Sprint(c.errs))
		}
	}
}
