package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A claim is a load with an exactly known number of events, and a program for each tracer that
// counts them. The program for bpfrepl prints the sum of what it counted.
type claim struct {
	name           string
	bpftrace, ours string
	load           []string
	events         int
}

const (
	lseek   = "tracepoint:syscalls:sys_enter_lseek"
	isLoad  = ` /comm == "load"/ { `
	isChild = ` /strncmp(comm, "ld", 2) == 0/ { `
)

// counted returns a bpfrepl script whose statement counts the load's events into m.
func counted(m, statement, filter string) string {
	return fmt.Sprintf("m = %s\nprobe(%q, lambda e: %s, filter=lambda e: %s)\nrun()\nprint(sum(m.values()) if len(m) else m.value)", m, lseek, statement, filter)
}

func claims() []claim {
	const (
		n       = 100000
		ofLoad  = `e.comm == "load"`
		byKey   = "m.add(by=e.args.offset)"
		clearly = " interval:ms:10 { print(@k); clear(@k); }"
	)
	race, same := []string{"racekeys", strconv.Itoa(n), "1000000"}, []string{"samekey", strconv.Itoa(5 * n)}
	return []claim{
		{"new keys, both CPUs in lock step: count()", lseek + isLoad + "@k[args->offset] = count(); }", counted("count(max_keys=400000)", byKey, ofLoad), race, 2 * n},
		{"new keys, both CPUs in lock step: sum(1)", lseek + isLoad + "@k[args->offset] = sum(1); }", counted("sum(max_keys=400000)", "m.add(1, by=e.args.offset)", ofLoad), race, 2 * n},
		{"new keys, both CPUs in lock step: @k++, table.add", lseek + isLoad + "@k[args->offset]++; }", counted("table(max_keys=400000)", byKey, ofLoad), race, 2 * n},
		{"one key, both CPUs: count()", lseek + isLoad + "@k[args->offset] = count(); }", counted("count(max_keys=400000)", byKey, ofLoad), same, 10 * n},
		{"one key, both CPUs: @k++, table.add", lseek + isLoad + "@k[args->offset]++; }", counted("table(max_keys=400000)", byKey, ofLoad), same, 10 * n},
		{"no key, both CPUs: count()", lseek + isLoad + "@k = count(); }", strings.Replace(counted("count()", "m.add()", ofLoad), "sum(m.values()) if len(m) else m.value", "m.value", 1), same, 10 * n},
		{"4000 children of other names: count() by name", lseek + isChild + "@k[comm] = count(); }", counted("count(max_keys=400000)", "m.add(by=e.comm)", `e.comm.startswith("ld")`), []string{"forks", "4000"}, 40000},
		{"printed and cleared every 10 ms: count(), delta()", lseek + isLoad + "@k[comm] = count(); }" + clearly, fmt.Sprintf(`
m, total = count(max_keys=400000), [0]
probe(%q, lambda e: m.add(by=e.comm), filter=lambda e: %s)
def tick():
    total[0] += sum(m.delta().values())
every(0.01, tick)
run()
tick()
print(total[0])`, lseek, ofLoad), []string{"samekey", strconv.Itoa(20 * n)}, 40 * n},
	}
}

// exact measures how many events of known loads each tracer loses.
func exact(ts []tool, gen string, rounds int) error {
	names := []string{"load", "events"}
	for _, t := range ts {
		names = append(names, t.name)
	}
	fmt.Println("Events that were not counted (negative: counted twice), and in parentheses the warnings \"File exists\"; minimum and maximum over the rounds:")
	head(names...)
	for _, c := range claims() {
		cells := []string{c.name, strconv.Itoa(c.events)}
		for _, t := range ts {
			var lost, warned figure
			for range rounds {
				n, w, err := lose(t, c, gen)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", t.name, c.name, err)
				}
				lost, warned = append(lost, float64(c.events-n)), append(warned, float64(w))
			}
			cell := lost.span()
			if w := warned.span(); w != "0" {
				cell += " (" + w + ")"
			}
			cells = append(cells, cell)
		}
		row(cells...)
	}
	fmt.Println()
	return nil
}

// lose returns how many events of a load the tracer counted, and how often it warned.
func lose(t tool, c claim, gen string) (n, warned int, err error) {
	out, _, err := traced(t, map[bool]string{true: c.ours, false: c.bpftrace}[t.ours], gen, c.load)
	if err != nil {
		return 0, 0, err
	}
	warned = strings.Count(out, "File exists")
	if t.ours {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		n, err = strconv.Atoi(lines[len(lines)-1])
		return n, warned + len(lines) - 1, err
	}
	return sumOf(out), warned, nil
}

var printedValue = regexp.MustCompile(`(?m)^@k(?:\[.*\])?: (\d+)$`)

func sumOf(out string) int {
	sum := 0
	for _, m := range printedValue.FindAllStringSubmatch(out, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return -1
		}
		sum += n
	}
	return sum
}

// An ending describes how a tracer ended.
type ending struct {
	took time.Duration // time from the interrupt to the end
	peak float64       // largest resident set, MiB
}

// traced runs a tracer during a load, interrupts it, and returns its whole output.
func traced(t tool, program, gen string, load []string) (out string, e ending, err error) {
	f, err := os.CreateTemp("/dev/shm", "exact")
	if err != nil {
		return "", e, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	cmd := exec.Command(t.argv[0], append(append([]string{}, t.argv[1:]...), program)...)
	cmd.Stdout, cmd.Stderr = f, f
	keys := "BPFTRACE_MAX_MAP_KEYS"
	if strings.HasSuffix(t.name, "0.17") {
		keys = "BPFTRACE_MAP_KEYS_MAX"
	}
	cmd.Env = append(os.Environ(), keys+"=1048576")
	if err := cmd.Start(); err != nil {
		return "", e, err
	}
	mine, err := settled(cmd.Process.Pid)
	for _, p := range mine {
		err = errors.Join(err, p.Close())
	}
	if err == nil {
		var b []byte
		if b, err = exec.Command(gen, append([]string{"-comm", "load"}, load...)...).CombinedOutput(); err != nil {
			err = fmt.Errorf("load: %w: %s", err, b)
		}
	}
	t0 := time.Now()
	err = errors.Join(err, end(cmd))
	e.took = time.Since(t0)
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		e.peak = float64(u.Maxrss) / 1024
	}
	b, rerr := os.ReadFile(f.Name())
	return string(b), e, errors.Join(err, rerr)
}

// span returns the minimum and the maximum, or the one value if they are equal.
func (f figure) span() string {
	least, most := f[0], f[0]
	for _, x := range f {
		least, most = min(least, x), max(most, x)
	}
	if least == most {
		return fmt.Sprintf("%.0f", least)
	}
	return fmt.Sprintf("%.0f to %.0f", least, most)
}

// bigKeys is the number of keys of the map that bigMap prints.
const bigKeys = 1000000

var snapshotTook = regexp.MustCompile(`(?m)^snapshot (\d+)$`)

// bigMap measures how long the tracers take to print a map of a million keys, and how much of that
// time bpfrepl's snapshot() of the map takes.
func bigMap(ts []tool, gen string, rounds int) error {
	fmt.Printf("A map of %d keys, from Ctrl-C to the end, less the same with one key:\n", bigKeys)
	head("tool", "printed, ms", "lines printed", "of it snapshot(), ms", "peak memory, MiB")
	for _, t := range ts {
		program := lseek + isLoad + "@k[args->offset] = count(); }"
		if t.ours {
			program = fmt.Sprintf(`
m = count(max_keys=1048576)
probe(%q, lambda e: m.add(by=e.args.offset), filter=lambda e: e.comm == "load")
run()
t0 = now()
s = m.snapshot()
print("snapshot", now() - t0)
for k, v in s.items():
    print(k, v)`, lseek)
		}
		var took, read, peak figure
		lines := 0
		for range rounds {
			_, one, err := traced(t, program, gen, []string{"newkeys", "1", "1"})
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			out, all, err := traced(t, program, gen, []string{"newkeys", strconv.Itoa(bigKeys), "1"})
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			took, peak, lines = append(took, float64((all.took-one.took).Milliseconds())), append(peak, all.peak), strings.Count(out, "\n")
			if m := snapshotTook.FindStringSubmatch(out); m != nil {
				ns, err := strconv.Atoi(m[1])
				if err != nil {
					return err
				}
				read = append(read, float64(ns)/1e6)
			}
		}
		row(t.name, took.String(), strconv.Itoa(lines), read.String(), peak.String())
	}
	fmt.Println()
	return nil
}
