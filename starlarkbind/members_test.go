package starlarkbind

import (
	"strings"
	"testing"
)

// The keys of an aggregation can be declared like those of a table: before the first add, and
// checked against later adds.
func TestDeclaredKeys(t *testing.T) {
	var want []string
	for _, kind := range []string{"count", "sum", "avg", "min", "max", "stats", "hist"} {
		want = append(want, "0 [] {}", `[(7, "a")] ["`+kind[1:]+` \"m\": key: got int, want tuple (int, string)", "`+kind[1:]+` \"m\": key: got string, want int"]`)
	}
	want = append(want, "True", `count "c" has keys of type int since test.star:7:13, not string`, `count "c" has keys of type int; this add has no key`,
		`count: key: <built-in function float> is not a type for a map: write int, bool, str, "u64", "str[64]", "bytes[16]", "kstack", "ustack", "ksym", "usym", "ip", "mac", "cgroup", "errno", "syscall", or a tuple of types; a ? at the end ("u64?") allows None`)
	expect(t, `
for make in (count, sum, avg, min, max, stats, hist):
    m = make(key=(int, "str[32]"), name="m")
    print(len(m), m.items(), m.snapshot())
    m.add(3, by=(7, "a"))
    print(m.keys(), [attempt(lambda: m.add(3, by=k)).error.message[len(m.name):] for k in (5, ("x", "y"))])
c, l = count(key=int, name="c"), lhist(0, 10, 5, key="str[64]")
l.add(3, by="x" * 60)
print(l.keys() == ["x" * 60])
for h in (lambda e: c.add(by=e.comm), lambda e: c.add()):
    print(attempt(lambda: probe("tracepoint:raw_syscalls:sys_enter", h)).error.message)
print(attempt(lambda: count(key=float)).error.message)
`, want...)
}

// Uses of members, names and lists in handlers yield what the interpreter yields, or are refused
// with a message.
func TestMembers(t *testing.T) {
	expect(t, `
same, funcs, calls, pairs, uid = count(), count(), count(), count(), count()
def enter(e):
    a, b = e.task.cred, e.task.real_cred
    x, y = a.uid, b.uid
    same.add(by=(a.uid.val == b.uid.val, x.val == y.val))
    if syscall_name(e.args.id) in ("getppid", "read"):
        calls.add(by=(syscall_name(e.args.id) in ["getppid"], syscall_name(e.args.id) not in {"write": 1}, syscall_name(e.args.id).startswith("getp")))
        for i, n in [[1, "a"], (2, "b")]:
            pairs.add(by=(n, i))
probe("tracepoint:raw_syscalls:sys_enter", enter, filter=lambda e: e.comm == "load")
make("getppid", "50")
print(same.keys(), calls.get((True, True, True)), sorted(pairs.keys()), len({n: 0 for n in pairs.values()}))
`, `[(True, True)] 50 [("a", 1), ("b", 2)] 1`)
	prog := build(t, "calls")
	expectOf(t, prog, `
c = count()
def enter(e):
    c.add(by=(e.func.startswith("call_"), e.func.endswith(("_a", "_b")), e.func in ("call_a", "x")))
probe(["uprobe:PROG:call_a", "uprobe:PROG:six"], enter)
run(spawn(["PROG", "10"]))
print(c.get((True, True, True)), c.get((False, False, False)) != None, len(c))
`, "10 True 2")
	for src, want := range map[string]string{
		`cgroup_path().startswith("/x")`:               "startswith() of a cgroup path: its text is produced on the host: count by it, and look at the keys in the script",
		`syscall_name(e.args.id) in ("rea", "write")`:  `"rea" is not a valid system call name: did you mean "read"?`,
		`buf(e.args.args[1], e.args.args[2])`:          "buf: n must be a constant from 1 to 8192: read the maximum and slice with constants: buf(ptr, 64)[:16]; a string can have a run-time length: str(ptr, n)",
		`buf(e.args.args[1], 16)[:e.args.args[2]]`:     "the bounds of a slice of bytes must be constant ints in a handler: use constants: b[2:8], b[-4:]; or read a string: str(ptr, n)",
		`ntop(2 + e.pid % 9, buf(e.args.args[1], 16))`: "ntop: this address has 16 bytes, which determine the family: omit the family",
		`ntop(2 + e.pid % 9, cast(e.pid + 0, "u8 *"))`: "ntop: the family must be a constant for a pointer, because it determines the length of the address: write ntop(2, ptr) for IPv4, ntop(10, ptr) for IPv6",
		`ntop(2 + e.pid % 9, e.args.args[1])`:          "ntop: an int can hold only an IPv4 address, and this family is known only at run time: test the family and write ntop(x) for an int; or pass a pointer or bytes",
		`names[e.pid] if e.pid in names else (1, 2)`:   "the two sides of if/else have different types: string and tuple (int, int): use values of one type, or write an if statement for each",
		`names.get(e.pid, (1, 2))`:                     "the default is a tuple (int, int), the values of the dict are of type string: use values of one type, or write an if statement for each",
		`[x for x in (1, 2)]`:                          "a list cannot be printed from a handler: write a tuple, (1, 2), or use the list with `in`, in for, or with an index",
		`[x for x in (e.pid, 2)]`:                      "a comprehension in a handler can visit constants only, not a tuple (int, int): write a for loop",
	} {
		got := printed(t, `names = {0: "a"}
r = attempt(lambda: probe("tracepoint:raw_syscalls:sys_enter", lambda e: print(`+src+`)))
print(r.error.message + ": " + r.error.hint)
`)
		if got := strings.TrimSpace(got); got != want {
			t.Errorf("%s:\n got %s\nwant %s", src, got, want)
		}
	}
}
