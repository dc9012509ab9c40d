package compiler

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// TestContextFunctions tests reg, signal and override: registers can be read if the probe's program
// has them, and a function can be made to return if the kernel and the user allow it.
func TestContextFunctions(t *testing.T) {
	for _, x := range []struct {
		name, body string
		can        abi.Context
		unsafe     bool
		want       string // substring of the listing or of the error
	}{
		{"registers", `total.add(reg("ip"))`, abi.Context{Registers: true}, false, fmt.Sprintf("off: %d imm: 0", map[string]int{"amd64": 128, "arm64": 256}[runtime.GOARCH])},
		{"signal", `signal("SIGSTOP")`, abi.Context{}, true, "FnSendSignal"},
		{"signal, not allowed", `signal("SIGSTOP")`, abi.Context{}, false, "test.star:3:11: signal() changes what other processes do\n        signal(\"SIGSTOP\")\n              ^\n    hint: to allow it, start bpfrepl with --unsafe"},
		{"override", `override(-12)`, abi.Context{Override: true}, true, "FnOverrideReturn"},
		{"override, not allowed", `override(-12)`, abi.Context{Override: true}, false, "override() changes what the kernel does"},
		{"override, elsewhere", `override(-12)`, abi.Context{Registers: true}, true, "override() works only in a kprobe at function entry, not in tracepoint:test:event"},
	} {
		checkCompiled(t, x.name, x.body, x.unsafe, func(ev *Event) { ev.Context = x.can }, x.want)
	}
}

// TestDeny tests that deny() makes the program return the error, negated, also if a loop or a
// subprogram calls it, and where it is refused.
func TestDeny(t *testing.T) {
	for _, x := range []struct {
		name, body      string
		verdict, unsafe bool
		want            string // substring of the listing or of the error
	}{
		{"by name", `deny("EPERM")`, true, true, "MovImm dst: r0 imm: -1\n"},
		{"by number", `deny(13)`, true, true, "MovImm dst: r0 imm: -13\n"},
		{"not allowed", `deny("EPERM")`, true, false, "test.star:3:9: deny() changes what the kernel does\n        deny(\"EPERM\")\n            ^\n    hint: to allow it, start bpfrepl with --unsafe"},
		{"elsewhere", `deny("EPERM")`, false, true, "test.star:3:9: deny() works only in lsm probes whose hook can refuse, not in tracepoint:test:event\n        deny(\"EPERM\")\n            ^\n    hint: probe a security hook with lsm:HOOK"},
		{"no error", `deny(0)`, true, true, "errors are numbered from 1 to 4095\n        deny(0)\n             ^\n    hint: write deny(\"EPERM\")"},
		{"unknown", `deny("EPREM")`, true, true, "\"EPREM\" is not an error"},
		{"not constant", `deny(e.pid)`, true, true, "the error must be a constant\n        deny(e.pid)\n               ^\n    hint: write deny(\"EPERM\")"},
	} {
		checkCompiled(t, x.name, x.body, x.unsafe, func(ev *Event) { ev.Verdict = x.verdict }, x.want)
	}
}

// checkCompiled checks that the listing of a handler with this body, or its error, contains want.
func checkCompiled(t *testing.T, name, body string, unsafe bool, change func(*Event), want string) {
	t.Helper()
	req := parseSource(t, "test.star", "total = sum()\ndef handler(e):\n    "+body+"\n").request(t)
	ev := *testEvent
	change(&ev)
	req.Event, req.Unsafe = &ev, unsafe
	text := ""
	p, err := Compile(req)
	if err != nil {
		text = err.Error()
	} else {
		text = p.Listing()
	}
	if !strings.Contains(text, want) {
		t.Errorf("%s: no %q in\n%s", name, want, text)
	}
}
