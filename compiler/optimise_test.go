package compiler

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// optimised compiles a handler and returns the number of calls of a helper in the result.
func optimised(t *testing.T, body string, helper asm.BuiltinFunc) int {
	t.Helper()
	text := "t = table()\nu = table()\ncalls = count()\npaths = count()\ndef h(e):\n    if e.args.u64 == 1:\n        t[7] = 1\n        u[\"\"] = 1\n    " +
		strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\n"
	var main *ir.Func
	req := parseSource(t, "h.star", text).request(t)
	verify := req.Pass
	req.Pass = func(pass string, f *ir.Func) {
		verify(pass, f)
		if f.Name == "handler" {
			main = f
		}
	}
	if _, err := Compile(req); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	n := 0
	for _, b := range main.Blocks {
		for _, v := range b.Values {
			if v.Op == ir.OpCall && v.Helper == helper && (helper != asm.FnMapLookupElem || v.Args[0].Sym == "t" || v.Args[0].Sym == "u") {
				n++
			}
		}
	}
	return n
}

// TestSharedLookups tests which lookups are merged and which must not be: see ir.lookupCSE.
func TestSharedLookups(t *testing.T) {
	for _, c := range []struct {
		what, body string
		want       int
	}{
		{"test and read", "if e.pid in t:\n    calls.add(t[e.pid])", 1},
		{"test and read by a field", "if e.args.i64 in t:\n    calls.add(t[e.args.i64])", 1},
		{"test and add in place", "if e.pid in t:\n    t[e.pid] += 1", 1},
		{"test and read by a name", "if e.comm in u:\n    calls.add(u[e.comm])", 1},
		{"by a name in a variable", "c = e.comm\nif c in u:\n    calls.add(u[c])", 1},
		{"by a string that was read", "c = str(e.args.filename, 16)\nif c in u:\n    calls.add(u[c])", 1},
		{"reads of an expression", "calls.add(t.get(e.tid + 1, 0) + t.get(e.tid + 1, 0))", 1},
		{"time may stand between reads", "if e.pid in t:\n    n = now()\n    calls.add(t[e.pid] + n)", 1},
		{"time may not stand before an add in place", "if e.pid in t:\n    n = now()\n    t[e.pid] += n", 2},
		{"another key", "if e.pid in t:\n    calls.add(t[e.tid])", 2},
		{"a key that changed", "k = e.pid\nif k in t:\n    k = k + 1\n    calls.add(t[k])", 2},
		{"a removal between", "if e.pid in t:\n    t.pop(3)\n    calls.add(t[e.pid])", 3},
		{"an update between", "if e.pid in t:\n    t[3] = 4\n    calls.add(t[e.pid])", 2},
		{"the slow read of a string between", "if e.pid in t:\n    s = str(e.args.filename, 16)\n    calls.add(t[e.pid])\n    paths.add(by=s)", 2},
		{"a string that may have changed", "c = str(e.args.filename, 16)\nif c in u:\n    c = str(e.args.filename, 16)\n    calls.add(u[c])", 2},
		{"another map", "if e.pid in t:\n    if e.comm in u:\n        calls.add(t[e.pid])", 3},
	} {
		if got := optimised(t, c.body, asm.FnMapLookupElem); got != c.want {
			t.Errorf("%s: %d lookups, want %d\n%s", c.what, got, c.want, c.body)
		}
	}
}

// The name of the thread is not read again while an earlier result is still in place.
func TestSharedComm(t *testing.T) {
	for _, c := range []struct {
		what, body string
		want       int
	}{
		{"filter and key", "if e.comm == \"sh\":\n    calls.add(by=e.comm)", 1},
		{"two keys", "calls.add(by=e.comm)\npaths.add(by=e.comm)", 1},
		{"on both ways", "if e.pid == 1:\n    calls.add(by=e.comm)\nelse:\n    paths.add(by=e.comm)", 2},
	} {
		if got := optimised(t, c.body, asm.FnGetCurrentComm); got != c.want {
			t.Errorf("%s: %d calls, want %d\n%s", c.what, got, c.want, c.body)
		}
	}
}
