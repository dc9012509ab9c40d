// Package examples tests the example scripts in this directory. Each runs on the live kernel, the
// way a user would run it, under a load with a known number of events; its output is compared with
// that number.
package examples

import (
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

var bpfrepl, loader string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if bpfrepl, err = buildbin.Build("cmd/bpfrepl"); err == nil {
		loader, err = buildbin.Build("internal/testkit/loadgen")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return leakcheck.Main(m, buildbin.Clean)
}

// comm returns the name of the load of one example. No other process has that name.
func comm(name string) string { return name + buildbin.Tag() }

// example runs a script until the load ends, and returns the script's standard output.
func example(t *testing.T, script, load string, args ...string) string {
	t.Helper()
	argv := append([]string{"-c", loader + " " + load, script}, args...)
	cmd := exec.Command(bpfrepl, argv...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", script, err, out, stderr.String())
	}
	return string(out)
}

// number returns the number in out that pattern, which has one group, matches. It fails the test if
// nothing matches.
func number(t *testing.T, out, pattern string) int {
	t.Helper()
	m := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no %s in\n%s", pattern, out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// other is how many system calls Go's runtime may make from the load's thread in addition to those
// of the load.
const other = 200

func between(t *testing.T, what string, n, lo, hi int) {
	t.Helper()
	if n < lo || n > hi {
		t.Errorf("%s: %d, want %d to %d", what, n, lo, hi)
	}
}

func TestSyscount(t *testing.T) {
	out := example(t, "syscount.star", "-comm "+comm("exsyscount")+" getppid 20000", "--seconds", "60")
	between(t, "calls", number(t, out, `^`+comm("exsyscount")+` +(\d+)$`), 20000, 20000+other)
}

func TestRunqlat(t *testing.T) {
	out := example(t, "runqlat.star", "-comm "+comm("exrunqlat")+" switches 2000", "--seconds", "60")
	// Each round trip wakes two threads that wait for the same CPU.
	between(t, "waits", number(t, out, `^(\d+) waits`), 4000, 1<<30)
}

func TestReadlat(t *testing.T) {
	out := example(t, "readlat.star", "-comm "+comm("exreadlat")+" reads /dev/zero 5000 1", "--seconds", "60")
	between(t, "reads", number(t, out, `^`+comm("exreadlat")+` +(\d+)`), 5000, 5000+10)
	if !strings.Contains(out, "@") {
		t.Errorf("no histogram in\n%s", out)
	}
}

func TestReadheat(t *testing.T) {
	args := []string{"--seconds", "60", "--step", "10", "--comm", comm("exreadheat")}
	load := "-comm " + comm("exreadheat") + " reads /dev/zero 5000 1"
	const header = "ms,lo,hi,reads\n"
	_, text, ok := strings.Cut(example(t, "readheat.star", load, append(args, "--csv")...), header) // the load's output precedes it
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || !ok {
		t.Fatalf("%v in %q", err, text)
	}
	total := 0
	for _, r := range rows {
		n, err := strconv.Atoi(r[3])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	between(t, "reads", total, 5000, 5000+10)
	out := example(t, "readheat.star", load, args...)
	for _, want := range []string{`^microseconds, by time in ms:$`, `^ *\[[^|]*\|.*[.oO@]`, `^reads:$`, `^ +0 \+-+$`} {
		if !regexp.MustCompile("(?m)" + want).MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestOpensnoop(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "file")
	out := example(t, "opensnoop.star", "-comm "+comm("exopensnoop")+" opens 300 "+prefix, "--seconds", "60", "--comm", comm("exopensnoop"))
	for i := 0; i < 300; i++ {
		line := fmt.Sprintf(`(?m)^\d+ +%s +-2 %s%d$`, comm("exopensnoop"), regexp.QuoteMeta(prefix), i)
		if n := len(regexp.MustCompile(line).FindAllString(out, -1)); n != 1 {
			t.Fatalf("%d lines for file %d in\n%s", n, i, out)
		}
	}
}

func TestBiolatency(t *testing.T) {
	// Create the file in the working directory, because /tmp may be in memory.
	file, err := os.CreateTemp(".", "biolatency")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	out := example(t, "biolatency.star", "writes "+file.Name()+" 50", "--seconds", "60")
	total := 0
	for _, m := range regexp.MustCompile(`(?m)^\[.*\) +(\d+) \|`).FindAllStringSubmatch(out, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	between(t, "requests", total, 50, 1<<30)
}

func TestCPUProfile(t *testing.T) {
	out := example(t, "cpuprofile.star", "-comm "+comm("excpuprofile")+" spin 2000", "--seconds", "60")
	// The load uses two seconds of CPU time at 99 samples a second. On a busy host it is random how
	// many samples hit the load. The range allows for five standard deviations on either side, and
	// for samples that busy timers miss.
	between(t, "samples", number(t, out, `^`+comm("excpuprofile")+` +(\d+)`), 100, 270)
}

func TestMapfull(t *testing.T) {
	out := example(t, "mapfull.star", "-comm "+comm("exmapfull")+" getppid 20000", "--seconds", "60")
	m := regexp.MustCompile(`(?m)^(\d+) events = (\d+) counted under 8 keys \+ (\d+) dropped$`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no sum in\n%s", out)
	}
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(m[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if n[0] != n[1]+n[2] || n[0] < 20000 || n[2] == 0 {
		t.Errorf("%d events, %d counted, %d dropped", n[0], n[1], n[2])
	}
	if !strings.Contains(out, "map_update_elem E2BIG (-7)") || !strings.Contains(out, "hint") && !strings.Contains(out, "max_keys=16") {
		t.Errorf("the error is not reported in\n%s", out)
	}
}
