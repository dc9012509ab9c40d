package tools

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// TestKlockstat lets threads wait for the mutex of a pipe.
func TestKlockstat(t *testing.T) {
	functions, err := bpftest.Table("kprobe")
	if err != nil {
		t.Fatal(err)
	}
	const n = 10
	least := float64(n) * held.Seconds() * 1e3
	sums := func(args ...string) map[string]float64 {
		t.Helper()
		sum := map[string]float64{}
		for _, row := range (run{tool: "klockstat", args: args, load: "mutex " + strconv.Itoa(n)}).rows(t) {
			if row["lock"] != "mutex" || !strings.Contains(row["caller"], "pipe_write+") {
				continue
			}
			for _, col := range []string{"count", "wait_ms", "holds", "hold_ms"} {
				if row[col] != "" {
					sum[col] += floats(t, []string{row[col]})[0]
				}
			}
		}
		return sum
	}
	if functions {
		if s := sums(); s["count"] != 2*n || s["holds"] != 2*n || s["wait_ms"] < least || s["hold_ms"] < least {
			t.Errorf("got %v, want %d of each and at least %v ms", s, 2*n, least)
		}
	}
	if _, err := os.Stat("/sys/kernel/tracing/events/lock/contention_begin"); err != nil {
		out, err := exec.Command(bpfrepl, "klockstat", "--contended").CombinedOutput()
		if want := "fail: this kernel does not have the tracepoint lock:contention_begin, which is there since 5.19\n"; err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v, want %s in\n%s", err, want, out)
		}
		return
	}
	if s := sums("--contended"); s["count"] != n || s["wait_ms"] < least {
		t.Errorf("got %v, want %d waits of at least %v ms", s, n, least)
	}
	if s := sums("--contended", "--caller", "none"); len(s) != 0 {
		t.Errorf("got %v of other callers", s)
	}
}
