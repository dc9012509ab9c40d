package starlarkbind

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// textCases are handlers that make texts, structs and values of several types. Each is run for the
// numbers -2 to 2, which are n, in the kernel and on the host. Both must print the same.
// The case ends with the contents of maps.
var textCases = []struct{ name, setup, maps, body, want string }{
	{"print", "", "", `
    print(sprintf("%s:%3d|%x", w, n, n), "%s/%d/%x" % (w, n, n), "<" + w + ">", ",".join([w, "x", w]), join((w, "y")))`, `
minus: -2|fffffffffffffffe minus/-2/-2 <minus> minus,x,minus minus y
minus: -1|ffffffffffffffff minus/-1/-1 <minus> minus,x,minus minus y
zero:  0|0 zero/0/0 <zero> zero,x,zero zero y
one:  1|1 one/1/1 <one> one,x,one one y
two:  2|2 two/2/2 <two> two,x,two two y`},
	{"printf", "", "", `
    printf("%-8s|%8s|%s\n", w + "!", errno_name(n) if n > 0 else n, sprintf("100%% %s", w))`, `
minus!  |      -2|100% minus
minus!  |      -1|100% minus
zero!   |       0|100% zero
one!    |   EPERM|100% one
two!    |  ENOENT|100% two`},
	{"either", `
names = {0: "none", 1: 11, 2: "two"}
mixed = ["a", 5, None]
def label(n):
    if n < 0:
        return "negative"
    return errno_name(n) if n > 1 else n
`, "", `
    print(label(n), names.get(n, n), names.get(n, "?"), names.get(n), mixed[n if n >= 0 else 0], (w, n)[1 if n > 0 else 0], w if n else None)`, `
negative -2 ? None a minus minus
negative -1 ? None a minus minus
0 none none none a zero None
1 11 11 11 5 1 one
ENOENT two two two None 2 two`},
	{"locals", "", "", `
    x = "none"
    if n > 0:
        x = w + "!"
    elif n < 0:
        x = sprintf("%d", n)
    for v in [w + "1", w + "2"]:
        print(x, v)`, `
-2 minus1
-2 minus2
-1 minus1
-1 minus2
none zero1
none zero2
one! one1
one! one2
two! two1
two! two2`},
	{"keys", `
c, d, t, u = count(), count(), table(), table()
`, "c, d, t, u", `
    c.add(by=w + "!")
    c.add(by="all")
    c.add(by=sprintf("%s", "all" if n else "none"))
    d.add(by=(errno_name(n) if n > 0 else n, n > 0))
    d.add(by=("EPERM" if n > 0 else 7, True))
    t["%d:%s" % (n, w)] = sprintf("<%d>", n)
    u[errno_name(n) if n > 0 else n] = w if n > 0 else n`, `
all     9
minus!  2
none    1
one!    1
two!    1
zero!   1
("ENOENT", True)  1
("EPERM", True)   3
(-1, False)       1
(-2, False)       1
(0, False)        1
(7, True)         3
-1:minus  <-1>
-2:minus  <-2>
0:zero    <0>
1:one     <1>
2:two     <2>
-1      -1
-2      -2
0       0
ENOENT  two
EPERM   one`},
	{"structs", `
t, c = table(), count()
`, "t, c", `
    t[n] = struct(name=w, n=n, text="<" + w + ">", label=errno_name(n) if n > 0 else n, inner=struct(x=n * 2))
    v = t.get(n)
    if v != None and t[n].n == n:
        print(v.name, v.n, v.text, v.label, v.inner.x, v.inner)
    s = struct(a=n, b=None)
    c.add(by=struct(a=s.a > 0, w=w))
    print(s, struct(e=w + "?").e)`, `
minus -2 <minus> -2 -4 struct(x = -4)
struct(a = -2, b = None) minus?
minus -1 <minus> -1 -2 struct(x = -2)
struct(a = -1, b = None) minus?
zero 0 <zero> 0 0 struct(x = 0)
struct(a = 0, b = None) zero?
one 1 <one> EPERM 2 struct(x = 2)
struct(a = 1, b = None) one?
two 2 <two> ENOENT 4 struct(x = 4)
struct(a = 2, b = None) two?
    name    n  text     label   inner
-1  minus  -1  <minus>  -1      struct(x = -2)
-2  minus  -2  <minus>  -2      struct(x = -4)
 0  zero    0  <zero>   0       struct(x = 0)
 1  one     1  <one>    EPERM   struct(x = 2)
 2  two     2  <two>    ENOENT  struct(x = 4)
struct(a = False, w = "minus")  2
struct(a = False, w = "zero")   1
struct(a = True, w = "one")     1
struct(a = True, w = "two")     1`},
	{"chosen", `
lists = [["a", "b"], ["c", "d", "e"], []]
ports = {0: [80, 443], 1: [22]}
by_name = {"one": {1: "x"}, "two": {2: "y", 3: "z"}}
`, "", `
    row = lists[n]
    print(len(row), row[-1] if row else "none", "d" in row, n in ports.get(n & 1, []), by_name.get(w, {}).get(n, "?"))
    for s in row:
        print(n, s)
    a, b = lists[0]
    pair = [(1, 2), (3, 4)][n & 1]
    print(a, b, pair[1], ports[n & 1][0], ports[n & 1][n & 0], (lists[0] if n > 0 else lists[1])[1], lists[:2][n & 1][1], (lists + [["z"]])[3][0])
    for k, v in by_name.get(w, {}).items():
        print(k, v)`, `
3 e True False ?
-2 c
-2 d
-2 e
a b 2 80 80 d b z
0 none False False ?
a b 4 22 22 d d z
2 b False False ?
0 a
0 b
a b 2 80 80 d b z
3 e True False x
1 c
1 d
1 e
a b 4 22 22 b d z
1 x
0 none False False y
a b 2 80 80 b b z
2 y
3 z`},
	{"captured structs", `
cfg = struct(limit=1, label="L", names=["p", "q"], inner=struct(x=4))
recs = [struct(name="a", n=1), struct(name="b", n=-2)]
servers = [struct(name="s", ports=[1, 2], at={"k": 1}), struct(name="t", ports=[3], at={"k": 2, "l": 3})]
c, t = count(), table()
`, "c, t", `
    r = recs[n & 1]
    t[n] = r
    c.add(by=recs[0] if n > cfg.limit else r)
    print(cfg.label, cfg.names[n & 1], cfg.inner, cfg.inner.x, n > cfg.limit, r, r.name, recs[n & 1].n, t[n].n)
    first = servers[0]
    for s in servers:
        if n in s.ports and first.ports[0] == 1:
            print(s.name, s.ports[-1], s.at.get("l", 0), len(s.at))
    for s in recs:
        if s.n == n:
            print(s.name)`, `
L p struct(x = 4) 4 False struct(name = "a", n = 1) a 1 1
b
L q struct(x = 4) 4 False struct(name = "b", n = -2) b -2 -2
L p struct(x = 4) 4 False struct(name = "a", n = 1) a 1 1
L q struct(x = 4) 4 False struct(name = "b", n = -2) b -2 -2
s 2 0 1
a
L p struct(x = 4) 4 True struct(name = "a", n = 1) a 1 1
s 2 0 1
struct(name = "a", n = 1)   3
struct(name = "b", n = -2)  2
    name   n
-1  b     -2
-2  a      1
 0  a      1
 1  b     -2
 2  a      1`},
	{"comprehensions", "words = [\"x\", \"yy\"]\n", "", `
    print([k * k for k in [2, 3]][n & 1], n in [k - 1 for k in range(3) if k != 1], {k: i for i, k in [(1, "one"), (2, "two")]}.get(w, 0), len([a + b for a in words for b in words]))
    for s in [x + "!" for x in words]:
        print(s, w)`, `
4 False 0 4
x! minus
yy! minus
9 True 0 4
x! minus
yy! minus
4 False 0 4
x! zero
yy! zero
9 True 1 4
x! one
yy! one
4 False 2 4
x! two
yy! two`},
	{"truth", "t, u, v = table(), table(), table()\n", "", `
    t[n] = struct(a=n)
    u[n] = "%d:%s" % (n, w)
    v[n] = errno_name(n)
    r, s, x = t.get(n), u.get(n), v.get(n)
    print("struct" if r else "no struct", "text" if s else "no text", "name" if x else "no name", "more" if t.get(n + 1) else "no more")`, `
struct text name no more
struct text name no more
struct text name no more
struct text name no more
struct text name no more`},
	{"literal keys", "t, u = table(), table()\n", "t, u", `
    t["x" + w] = n
    t["total"] = t.get("total", 0) + 1
    t["xlit"] = 6
    t["y%d" % n if n else "none"] = n
    print(t.get("xone"), "xlit" in t, "total" in t, t.get("y1", 8), t.get("y2", 9))
    u["a" + w] = "v" + w
    u["b" + w] = "vlit"
    u["all"] = "other"`, `
None True True 8 9
None True True 8 9
None True True 8 9
1 True True 1 9
1 True True 1 2
none     0
total    5
xlit     6
xminus  -1
xone     1
xtwo     2
xzero    0
y-1     -1
y-2     -2
y1       1
y2       2
all     other
aminus  vminus
aone    vone
atwo    vtwo
azero   vzero
bminus  vlit
bone    vlit
btwo    vlit
bzero   vlit`},
}

const textScript = `%s
def word(n):
    return {-2: "minus", -1: "minus", 0: "zero", 1: "one", 2: "two"}[n]
def handler(e):
    n = cast(e.args[0], "long")
    w = word(n)
%s
def host():
    for n in range(-2, 3):
        handler(event(args=[n]))
def show():
    for m in [%s]:
        print(sorted([(str(k), v) for k, v in m.items()]))
`

// join() reads the arguments of a program: at most 16, each of up to 127 bytes.
func TestJoinArgs(t *testing.T) {
	expectOf(t, build(t, "calls"), `
sent, n = stream(), count()
def handler(e):
    print(join(e.args.argv), join(e.args.argv, sep="|"))
    sent.emit(argv=join(e.args.argv, ","))
    n.add()
probe("tracepoint:syscalls:sys_enter_execve", handler, filter=lambda e: e.ppid == me)
for argv in [[], ["a", "b c"], ["", "", "x"], ["1"] * 14, ["1"] * 15, ["x" * 126, "y" * 200]]:
    run(spawn(["PROG", "1"] + argv))
print(n, [r.argv for r in sent.take(6)][:3], len(errors()))
handler(event(args=struct(argv=["PROG", "1", "a", "b c"])))
`, "PROG 1 PROG|1", "PROG 1 a b c PROG|1|a|b c", "PROG 1   x PROG|1|||x",
		"PROG"+strings.Repeat(" 1", 15)+" PROG"+strings.Repeat("|1", 15),
		"PROG"+strings.Repeat(" 1", 15)+" ... PROG"+strings.Repeat("|1", 15)+"|...",
		"PROG 1 "+strings.Repeat("x", 126)+" "+strings.Repeat("y", 127)+" PROG|1|"+strings.Repeat("x", 126)+"|"+strings.Repeat("y", 127),
		`n: 6 ["PROG,1", "PROG,1,a,b c", "PROG,1,,,x"] 0`, "PROG 1 a b c PROG|1|a|b c")
}

func TestJoinArgsAsKey(t *testing.T) {
	bpftest.Need(t, "long_keys")
	expectOf(t, build(t, "calls"), `
runs = count()
def handler(e):
    runs.add(by=join(e.args.argv, ","))
probe("tracepoint:syscalls:sys_enter_execve", handler, filter=lambda e: e.ppid == me)
for argv in [[], ["a", "b c"], ["", "", "x"], ["a", "b c"]]:
    run(spawn(["PROG", "1"] + argv))
print(runs["PROG,1,a,b c"], runs["PROG,1,,,x"], len(runs), len(errors()))
handler(event(args=struct(argv=["PROG", "1", "a", "b c"])))
print(runs["PROG,1,a,b c"])
`, "2 1 3 0", "3")
}

// onSide runs the handler for -2 to 2, in the kernel if side is 0, else by the script's function
// host, and prints its records. Errors fail the test.
func (d *direct) onSide(side int) {
	d.t.Helper()
	if side == 0 {
		for n := -2; n <= 2; n++ {
			d.run(n)
		}
	} else {
		d.call("host")
	}
	d.wantErrors()
	d.records.Drain()
}

func TestTexts(t *testing.T) {
	for _, c := range textCases {
		t.Run(c.name, func(t *testing.T) {
			var got [2]string
			for side := range got {
				d := newDirect(t, fmt.Sprintf(textScript, c.setup, c.body, c.maps))
				d.onSide(side)
				if c.maps != "" {
					d.call("show")
				}
				got[side] = strings.TrimSpace(d.out.String())
			}
			if got[0] != got[1] {
				t.Errorf("in the kernel\n%s\non the host\n%s", got[0], got[1])
			}
			if want := strings.TrimSpace(c.want); got[0] != want {
				t.Errorf("got\n%s\nwant\n%s", got[0], want)
			}
		})
	}
}

// The keys of a map that exists have one format. An error names it.
func TestTextKeysOfMap(t *testing.T) {
	expect(t, `
c = count()
def first(e):
    c.add(by="a" + e.comm)
probe("tracepoint:syscalls:sys_enter_getppid", first)
for h in [lambda e: c.add(by="b" + e.comm), lambda e: c.add(by="a" + str(e.args.filename, 64)), lambda e: c.add(by="xyz"), lambda e: c.add(by="abc"), first]:
    r = attempt(lambda: probe("tracepoint:syscalls:sys_enter_chdir", h))
    print(r.ok or r.error.message + ": " + r.error.hint)
print(len(c))
`,
		`count "c" has keys of type formatted text "a%s" since test.star:4:18, not formatted text "b%s": a map has one type, that of its first use; make another map for these`,
		`count "c" has keys of type formatted text "a%s" of (string of up to 15 bytes) since test.star:4:18, not formatted text "a%s" of (string of up to 63 bytes): shorten these with str(ptr, n), or use the longest strings first`,
		`count "c" has keys of type formatted text "a%s" since test.star:4:18, not string: a map has one type, that of its first use; make another map for these`,
		"True", "True", "0")
}

// A struct can be captured if all of its fields can.
func TestCapturedStruct(t *testing.T) {
	expect(t, `
cfg = struct(limit=1, ratio=0.5)
r = attempt(lambda: probe("tracepoint:syscalls:sys_enter_getppid", lambda e: print(cfg.limit)))
print(r.error.message + ": " + r.error.hint)
cfg = struct(limit=1, sizes=[2, 3])
p = probe("tracepoint:syscalls:sys_enter_getppid", lambda e: print(cfg.limit), attach=False)
print(p)
`,
		`cfg is a struct, which cannot be used in a handler: cfg.ratio is a float; captured values are ints, strings, bytes, bools, None, and tuples, lists, dicts and structs of these`,
		`<probe tracepoint:syscalls:sys_enter_getppid, detached, captured: cfg=struct(limit = 1, sizes = [2, 3])>`)
}
