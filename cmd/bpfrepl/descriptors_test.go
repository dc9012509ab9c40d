package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// Whichever file descriptor is the first to exceed the limit, the error says so and what to do;
// nothing else is blamed.
func TestDescriptors(t *testing.T) {
	exe, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	const least = 8 // Go's runtime needs its own
	for _, src := range []string{
		`probe("uprobe:libc:malloc", lambda e: c.add(by=e.comm))`,
		`probe("tracepoint:kmem:*", lambda e: c.add(by=e.probe))`,
		`probe("uretprobe:libc:malloc", lambda e: s.emit(pid=e.pid))`,
		`probe("profile:hz:9", lambda e: c.add(by=(ustack(), kstack())))`,
		`t[1] = 2; c.add(by="x")`,
	} {
		refused := 0
		for n := least; ; n++ {
			cmd := exec.Command("sh", "-c", `ulimit -n $0 && exec "$@"`, fmt.Sprint(n), exe, "--no-summary", "--no-warnings", "-e", "c, t, s = count(), table(), stream()", "-e", src, "-e", `print("done")`)
			out, err := cmd.CombinedOutput()
			if err == nil && strings.HasSuffix(string(out), "done\n") {
				break
			}
			var exit *exec.ExitError
			refused++
			text := string(out)
			if !errors.As(err, &exit) || !strings.HasPrefix(text, "error: ") || !strings.Contains(text, "no file descriptors are left") && !strings.Contains(text, "too many open files") || !strings.Contains(text, "raise the limit") {
				t.Errorf("%s with %d descriptors: %v\n%s", src, n, err, text)
			}
			if n == 100 {
				t.Fatalf("%s: still refused with %d descriptors:\n%s", src, n, text)
			}
		}
		if refused == 0 {
			t.Errorf("%s: %d descriptors are enough", src, least)
		}
	}
}
