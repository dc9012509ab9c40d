package starlarkbind

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// unprepared is an environment variable that is set if the tests run in a process that has not
// prepared for the kernel: its limit on locked memory is low.
const unprepared = "BPFREPL_TEST_UNPREPARED"

// A map that the script uses before any probe is created like any other: kernels before 5.11 count
// maps as locked memory.
func TestMapsBeforeProbes(t *testing.T) {
	if os.Getenv(unprepared) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestMapsBeforeProbes$", "-test.count=1")
		cmd.Env = append(os.Environ(), unprepared+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 64 << 10
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		t.Fatal(err)
	}
	l := newLive(t, nil)
	if err := l.script(`
t, c, s, k = table(max_keys=100000), count(), stream(), sum()
t[0] = 1
c.add(by="x")
k.add(5)
(lambda e: s.emit(a=1))(event())
print(t[0], c["x"], k.value, s.take(1)[0].a)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got := l.out.String(); got != "1 1 5 1\n" {
		t.Errorf("got %q", got)
	}
}
