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

func TestTexts(t *testing.T) {
	for _, c := range textCases {
		t.Run(c.name, func(t *testing.T) {
			var got [2]string
			for side := range got {
				d := newDirect(t, fmt.Sprintf(textScript, c.setup, c.body, c.maps))
				if side == 0 {
					for n := -2; n <= 2; n++ {
						d.run(n)
					}
				} else {
					d.call("host")
				}
				d.wantErrors()
				d.records.Drain()
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
for h in [lambda e: c.add(by="b" + e.comm), lambda e: c.add(by="a" + str(e.args.filename, 64)), lambda e: c.add(by="abc"), first]:
    r = attempt(lambda: probe("tracepoint:syscalls:sys_enter_chdir", h))
    print(r.ok or r.error.message + ": " + r.error.hint)
print(len(c))
`,
		`count "c" has keys of type formatted text "a%s" since test.star:4:18, not formatted text "b%s": a map has one type, that of its first use; make another map for these`,
		`count "c" has keys of type formatted text "a%s" of (string of up to 15 bytes) since test.star:4:18, not formatted text "a%s" of (string of up to 63 bytes): shorten these with str(ptr, n), or use the longest strings first`,
		`count "c" has keys of type formatted text "a%s" since test.star:4:18, not string: a map has one type, that of its first use; make another map for these`,
		"True", "0")
}
