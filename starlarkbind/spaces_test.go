package starlarkbind

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// The matrix of address spaces: every reader reads a program's memory as such, whichever path the
// address takes through a handler, and from every source of addresses.

// spaceSources return the address of a struct iovec, {"known-text", 42}, as P.
var spaceSources = []struct{ name, probe, address, filter, feature string }{
	{"uprobe", "uprobe:PROG:byref", "e.args[0]", "", ""},
	{"uretprobe", "uretprobe:PROG:byref", "e.ret", "", ""},
	{"usdt", "usdt:PROG:note", "e.args[0]", "", ""},
	{"uaddr", "uprobe:PROG:byref", `uaddr("total", "PROG")`, "", ""},
	{"reg", "uprobe:PROG:byref", `reg("` + map[string]string{"amd64": "rdi", "arm64": "x0"}[runtime.GOARCH] + `")`, "", ""},
	{"raw system call", "tracepoint:raw_syscalls:sys_enter", "e.args.args[1]", `e.comm == "spaces" and e.args.args[2] == 7`, ""},
	{"rawtracepoint", "rawtracepoint:sys_enter", `cast(e.args[0], "struct pt_regs").` + map[string]string{"amd64": "si", "arm64": "regs[1]"}[runtime.GOARCH], `e.comm == "spaces" and cast(e.args[0], "struct pt_regs").` + map[string]string{"amd64": "dx", "arm64": "regs[2]"}[runtime.GOARCH] + " == 7", ""},
	{"system call", "tracepoint:syscalls:sys_enter_write", "e.args.buf", `e.comm == "spaces" and e.args.count == 7`, ""},
	{"kprobe", "kprobe:ksys_write", "e.args.buf", `e.comm == "spaces" and e.args.count == 7`, "kprobe"},
	{"fentry", "fentry:ksys_write", "e.args.buf", `e.comm == "spaces" and e.args.count == 7`, "fentry"},
}

// spaceWays assign the address to x.
var spaceWays = [][]string{
	{"x = P"},
	{"x = P + 24 - 24"},
	{"x = (P + 7) & ~7"},
	{"kept[e.tid] = P", "x = kept[e.tid]"},
	{"kept[e.tid] = P + 8", "x = kept[e.tid] - 8"},
	{"keys[(e.tid, P)] = 1", "x = 0", "for k in keys:", "    if k[0] == e.tid:", "        x = k[1]", "keys.clear()"},
	{"x, _ = (P, 1)"},
	{"x = ident(P)"},
	{"x = (P if e.pid > 0 else None)", "if x == None:", "    return"},
	{`x = cast(P, "struct iovec")`},
	{`x = cast(P, "struct iovec __user *")`},
	{`x = cast(P, "char *")`, "for i in range(3):", "    x = x + 8", "x = x - 24"},
}

// spaceReaders are true if the memory at x is read correctly.
var spaceReaders = []string{
	`cast(x, "struct iovec").iov_len == 42`,
	`str(cast(x, "struct iovec").iov_base, 32) == "known-text"`,
	`str(cast(x, "char **")[0], 32) == "known-text"`,
	`cast(x, "u64 *")[1] == 42`,
	`cast(x + 8, "u64 *")[0] == 42`,
	`cast(x, "u64 *")[int(e.pid > 0)] == 42`,
	`ord(buf(x + 8, 8)[0]) == 42`,
	`container_of(x + 8, "struct iovec", "iov_len").iov_len == 42`,
	`ntop(2, cast(x + 8, "u32 *")) == "42.0.0.0"`,
	`macaddr(cast(x + 8, "u8 *")) == "2a:00:00:00:00:00"`,
}

func TestSpaces(t *testing.T) {
	prog := build(t, "spaces")
	const calls = 5
	ways := spaceWays
	if !atLeast(t, 5, 13) { // it has no loops over tables in handlers
		ways = slices.DeleteFunc(slices.Clone(ways), func(way []string) bool { return slices.Contains(way, "keys.clear()") })
	}
	for _, s := range spaceSources {
		t.Run(s.name, func(t *testing.T) {
			if s.feature != "" {
				bpftest.Need(t, s.feature)
			}
			var b strings.Builder
			b.WriteString("kept, keys, ok = table(), table(), count()\ndef ident(x):\n    return x\n")
			for i, way := range ways {
				fmt.Fprintf(&b, "def way%d(e):\n", i)
				for _, l := range way {
					fmt.Fprintf(&b, "    %s\n", strings.ReplaceAll(l, "P", s.address))
				}
				for j, r := range spaceReaders {
					fmt.Fprintf(&b, "    ok.add(by=(%d, %d, %s))\n", i, j, r)
				}
			}
			filter := ""
			if s.filter != "" {
				filter = ", filter=lambda e: " + s.filter
			}
			for i := range ways {
				fmt.Fprintf(&b, "probe(%q, way%d%s)\n", s.probe, i, filter)
			}
			fmt.Fprintf(&b, `run(spawn(["PROG", "%d"]))
print([k for k in ok.keys() if not k[2]], len(ok), [n for n in ok.values() if n != %d], [e.message for e in errors()])
`, calls, calls)
			expectOf(t, prog, b.String(), fmt.Sprintf("[] %d [] []", len(ways)*len(spaceReaders)))
		})
	}
}

// Pointers are printed in hex, numbers are not.
func TestPointersInHex(t *testing.T) {
	out := printedWith(t, nil, strings.ReplaceAll(`
def show(e):
    p = cast(e.args[0], "char *")
    print(p, (1, p), e.args[0])
    printf("%p %d %x %s\n", p, p, p, (2, p))
n = uaddr("total", "PROG")
probe("uprobe:PROG:byref", show)
run(spawn(["PROG", "1"]))
printf("%p (1, %p) %d\n%p %d %x (2, %p)\n", n, n, n, n, n, n, n)
`, "PROG", build(t, "spaces")))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 4 || lines[0] != lines[2] || lines[1] != lines[3] || !strings.HasPrefix(lines[0], "0x") {
		t.Errorf("got\n%s", out)
	}
}
