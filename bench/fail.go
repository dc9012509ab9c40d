package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// failCases are handlers that fail at every event, preceded by two that do not: one does nothing,
// and one adds.
var failCases = []struct{ name, body string }{
	{"nothing", "pass"},
	{"adds to a key", "m.add(by=e.args.offset)"},
	{"divides by zero", "x = e.args.offset // (e.args.offset - e.args.offset)"},
	{"reads a missing key", "x = t[e.args.offset]"},
	{"stores a new key in a full table", "t[e.args.offset] = 1"},
	{"adds a new key to a full aggregation", "full.add(by=e.args.offset)"},
}

const failScript = `
m, full, t = count(), count(max_keys=1), table(max_keys=1)
full.add(by=-1)
t[-1] = 0
def h(e):
    %s
p = probe(%q, h, filter=lambda e: e.comm == "failing")
p.stats()
run(spawn([%q, "-comm", "failing", "cycle", "300000", "1000"]))
s = p.stats()
print(s.ns_per_hit, sum([e.count for e in errors()]))
`

// failing measures the cost of a handler that fails at every event, compared with one that adds.
func failing(bpfrepl, gen string, rounds int) error {
	fmt.Println("Cost of a handler that fails at every event and is counted, ns (as the kernel measures it):")
	head("it...", "ns a run", "failures counted, of 300000")
	for _, c := range failCases {
		var ns figure
		failed := 0
		for range rounds {
			cmd := exec.Command(bpfrepl, "--no-warnings", "--allow-run", "-e", fmt.Sprintf(failScript, c.body, lseek, gen))
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			f := strings.Fields(lines[len(lines)-1])
			if len(f) != 2 {
				return fmt.Errorf("%s: it printed %q", c.name, out)
			}
			run, err := strconv.Atoi(f[0])
			n, err2 := strconv.Atoi(f[1])
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			ns, failed = append(ns, float64(run)), n
		}
		row(c.name, ns.String(), strconv.Itoa(failed))
	}
	fmt.Println()
	return nil
}
