package kinds

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

// TestNoSuchFunction checks the error for a function that the kernel does not have.
func TestNoSuchFunction(t *testing.T) {
	const fn = "no_such_function_0"
	err := findFunction(Spec{Kind: "kprobe", Text: "kprobe:" + fn, Args: []string{fn}}, fn)
	expect.Text(t, fn, fmt.Sprint(err), `no probe "kprobe:no_such_function_0": the kernel has no function "no_such_function_0", or the compiler has inlined it (bpfrepl -l lists them)`)
}

// TestListIsWhatIsHere checks that everything listed can be attached to. Kinds that this kernel
// does not have are left out unless they are requested.
func TestListIsWhatIsHere(t *testing.T) {
	all, err := List("*vfs_read*")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, x := range all {
		listed[x.Kind] = true
	}
	for _, kind := range []string{"kprobe", "kretprobe", "fentry", "fexit", "function", "return"} {
		_, resolveErr := Resolve(kind + ":vfs_read")
		var none *NotFoundError
		if resolveErr != nil && !errors.As(resolveErr, &none) {
			t.Fatal(resolveErr)
		}
		if listed[kind] != (resolveErr == nil) {
			t.Errorf("%s is listed: %v; a probe of it: %v", kind, listed[kind], resolveErr)
		}
		if ts, err := List(kind + ":vfs_read"); err != nil || len(ts) != 1 {
			t.Errorf("list %s:vfs_read: %v, %v", kind, ts, err)
		}
	}
}

// TestFtraceRecords checks that the records of ftrace are not tracepoints.
func TestFtraceRecords(t *testing.T) {
	_, err := Resolve("tracepoint:ftrace:context_switch")
	expect.Text(t, "ftrace", fmt.Sprint(err), `no probe "tracepoint:ftrace:context_switch": ftrace events are records of the kernel's own tracers; no program can be attached to them (bpfrepl -l lists them)`)
	ts, err := Resolve("tracepoint:*:*switch*")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range ts {
		if x.Parts[0] == "ftrace" {
			t.Errorf("a pattern matches %s", x)
		}
	}
	if ts, err := List("tracepoint:ftrace:*"); err != nil || len(ts) > 0 {
		t.Errorf("listed: %v, %v", ts, err)
	}
}
