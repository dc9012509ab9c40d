package starlarkbind

import (
	"os/exec"
	"strings"
	"testing"
)

// A handler that runs when this process gets a signal: each is sent when the one before was served.
func TestSelfSignal(t *testing.T) {
	expect(t, `
got = count()
p = probe("self:signal:SIGUSR1", lambda e: got.add(by=(e.probe, e.pid == me)))
for i in range(5):
    run(spawn(["kill", "-USR1", str(me)]))
    while sum(got.values()) <= i:
        run(0)
p.detach()
print(got.items(), p.targets)
`, `[(("self:signal:SIGUSR1", True), 5)] ["self:signal:SIGUSR1"]`)
}

// A watchpoint on a variable of a program counts each write to it.
func TestWatchpointProbe(t *testing.T) {
	prog := build(t, "prog.c", `
long watched = 7, beside = 7; // in .bss the kernel would write too, when it clears that
int main() {
	for (int i = 0; i < 500; i++) { *(volatile long *)&watched = i; *(volatile long *)&beside = i; }
	return *(volatile long *)&watched == 0;
}`, "-O1", "-no-pie")
	out, err := exec.Command("nm", prog).Output()
	if err != nil {
		t.Fatal(err)
	}
	addr := ""
	for line := range strings.Lines(string(out)) {
		if w := strings.Fields(line); len(w) == 3 && w[2] == "watched" {
			addr = "0x" + w[0]
		}
	}
	expectOf(t, prog, `
writes, both = count(), count()
probe("watchpoint:`+addr+`:8:w", lambda e: writes.add(), filter=lambda e: e.comm == "prog")
probe("w:`+addr+`:8:rw", lambda e: both.add(), filter=lambda e: e.comm == "prog")
run(spawn(["PROG"]))
print(writes.value, both.value)
`, "500 501")
}
