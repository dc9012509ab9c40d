package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/testprog"
)

// Every way to end a script acts at once, whatever floods the process. A flood is a row of floods,
// a way to end is a row of enders, and each pair is a cell: a process of its own that is flooded
// for runFor and then ended.
//
// A cell measures the time from the end to the moment when the script continues after its wait or,
// if the script itself is to end, when the process is gone. It also measures the peak memory of the
// process. The target is 100 ms. On a busy host a cell is slow now and then, so a slow cell is
// tried again, and fails if all tries take longer than endsHard.

// With -short, which is for emulated machines, only every stride-th cell runs, with a longer limit.
const (
	stride       = 5
	emulatedHard = 5 * time.Second
)

const (
	runFor   = 200 * time.Millisecond
	endsSoon = 100 * time.Millisecond
	endsHard = time.Second
	endsMem  = 512 << 20
)

// A flood is a script in two parts: src creates the flood, and bounded or wait waits during it. In
// them LOAD stands for the comm of a process that calls getppid(2) forever, SECONDS for the time
// after which the wait ends by itself, and PROBES and EVENTS for the results of manyProbes().
type flood struct {
	name, src string
	bounded   string        // a wait of SECONDS, or "" if there is none
	wait      string        // a wait without an end
	body      bool          // Ctrl-C ends the script, not only the wait
	deaf      bool          // nobody reads the output
	alone     bool          // no other callback is called
	late      time.Duration // how long it may continue after run() has ended
	many      string        // path of a program with 2,000 functions; MANY in the script
}

const (
	prints = `probe("tracepoint:syscalls:sys_enter_getppid", lambda e: print(e.comm, e.pid), filter=lambda e: e.comm == "LOAD", system_wide=True)` + "\n"
	sends  = `s = stream()` + "\n" + `probe("tracepoint:syscalls:sys_enter_getppid", lambda e: s.emit(pid=e.pid, at=now()), filter=lambda e: e.comm == "LOAD", system_wide=True)` + "\n"
)

var floods = []flood{
	{name: "nothing"},
	{name: "prints of a handler", src: prints},
	{name: "prints of the tracer's own writes", src: `probe("tracepoint:syscalls:sys_enter_write", lambda e: print(e.comm, e.pid), system_wide=True)`},
	{name: "prints, and nobody reads", src: prints, deaf: true},
	{name: "stream, each", src: sends + "s.each(lambda ev: None)"},
	{name: "stream, slow each", src: sends + "def slow(ev):\n    for i in range(100000): pass\ns.each(slow)"},
	{name: "stream, for", src: sends, wait: "for ev in s: pass"},
	{name: "quiet stream, for", src: `s = stream()` + "\n" + `probe("tracepoint:syscalls:sys_enter_getppid", lambda e: s.emit(pid=e.pid), filter=lambda e: e.pid == 0, system_wide=True)`, wait: "for ev in s: pass"},
	{name: "stream, take", src: sends, bounded: "s.take(100000000, timeout=SECONDS)", wait: "s.take(100000000)"},
	{name: "failing helpers", src: `c = count(max_keys=1)` + "\n" + `probe("tracepoint:syscalls:sys_enter_getppid", lambda e: c.add(by=now()), filter=lambda e: e.comm == "LOAD", system_wide=True)`},
	{name: "callback without end", src: "def endless():\n    while True: pass\nevery(0.1, endless)", late: time.Second, alone: true},
	{name: "sum(range)", wait: "sum(range(1000000000000))", body: true},
	{name: "comprehension", wait: "[x for x in range(1000000000000) if x < 0]", body: true},
	{name: "sorted", src: "xs = [i * 7919 % 100003 for i in range(50000)]", wait: "while True: sorted(xs)", body: true},
	{name: "attaching and detaching", wait: `while True: probe("tracepoint:kmem:*", lambda e: None).detach()`, body: true},
	{name: "attaching and detaching 2000 uprobes", wait: `while True: probe("uprobe:MANY:many_*", lambda e: None).detach()`, body: true},
	{name: "many probes at the end", src: `[probe("uprobe:MANY:many_%d*" % i, lambda e: None, system_wide=True) for i in range(10, 10 + PROBES)] + [probe("tracepoint:EVENTS:*a*", lambda e: None, filter=lambda e: e.comm == "LOAD", system_wide=True)]`},
	{name: "huge to_json()", src: "xs = [[i] for i in range(300000)]", wait: "while True: to_json(xs)", body: true},
	{name: "huge to_csv()", src: "xs = [struct(a=i, b=str(i)) for i in range(100000)]", wait: "while True: to_csv(xs)", body: true},
	{name: "huge join", src: `xs = ["abcdefgh"] * 500000`, wait: `while True: ",".join(xs)`, body: true},
	{name: "huge strings", src: `x = "abcdefgh" * 1000000`, wait: `while True: len((x + x).replace("a", "bb").upper().split("c"))`, body: true},
	{name: "compiling", src: "NAMES = [str(i) for i in range(500)]", wait: `while True: probe("tracepoint:syscalls:sys_enter_getppid", lambda e: print(e.comm in NAMES), attach=False)`, body: true},
}

// An ender is a way to end a script. Its wait returns the flood's wait to use, or "" if the two do
// not go together.
type ender struct {
	name string
	wait func(f flood) string
	args func(c *cell) []string
	// end is called after the flood has run for runFor.
	end  func(c *cell) error
	exit bool // the script ends too
}

var enders = []ender{
	{name: "run(n)", wait: func(f flood) string { return f.bounded }},
	{name: "every()", wait: func(f flood) string {
		if !strings.HasPrefix(f.bounded, "run") || f.alone {
			return ""
		}
		return "every(SECONDS, stop)\nrun()"
	}},
	{name: "Ctrl-C", wait: func(f flood) string { return f.wait }, end: func(c *cell) error { return c.cmd.Process.Signal(os.Interrupt) }},
	{name: "SIGTERM", wait: func(f flood) string { return f.wait }, end: func(c *cell) error { return c.cmd.Process.Signal(unix.SIGTERM) }, exit: true},
	{name: "end of -c", wait: func(f flood) string { return ifRun(f) }, args: func(c *cell) []string { return []string{"-c", c.load + " sleep " + milliseconds(runFor)} }},
	{name: "end of -p", wait: func(f flood) string { return ifRun(f) }, args: func(c *cell) []string { return []string{"-p", strconv.Itoa(c.target())} },
		end: func(c *cell) error { return c.traced.Process.Kill() }},
}

// ifRun returns a flood's wait if it is run(), the only wait that ends with a process.
func ifRun(f flood) string {
	if strings.HasPrefix(f.wait, "run") {
		return f.wait
	}
	return ""
}

func seconds(d time.Duration) string { return fmt.Sprint(d.Seconds()) }

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// A cell is one flooded process.
type cell struct {
	t      *testing.T
	load   string // the load generator
	cmd    *exec.Cmd
	out    io.ReadCloser
	stderr strings.Builder
	rest   chan string // its output, without the lines of handlers
	traced *exec.Cmd   // the process of -p
}

// target starts the process for -p and returns its PID.
func (c *cell) target() int {
	c.t.Helper()
	c.traced = exec.Command(c.load, "sleep", "60000")
	if err := c.traced.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		c.traced.Process.Kill() // ended already, unless the test has failed
		c.traced.Wait()
	})
	return c.traced.Process.Pid
}

// A result is the measurement of a cell.
type result struct {
	took time.Duration
	mem  int64 // bytes
}

// monotonic returns the time on the clock of now() in scripts.
func monotonic(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// run runs a cell once.
func (e *ender) run(t *testing.T, bin, comm string, f flood) result {
	t.Helper()
	load, _, err := buildbin.Load()
	if err != nil {
		t.Fatal(err)
	}
	c := &cell{t: t, load: load, rest: make(chan string, 16)}
	script := f.src + "\nprint(\"BEGIN\", now())\n" + e.wait(f) + "\nend = now()\nprint(\"END\", end)\n"
	probes, events := manyProbes()
	script = strings.NewReplacer("MANY", f.many, "LOAD", comm, "SECONDS", seconds(runFor), "PROBES", strconv.Itoa(probes), "EVENTS", events).Replace(script)
	args := []string{"--no-warnings"}
	if e.args != nil {
		args = append(args, e.args(c)...)
	}
	c.cmd = exec.Command(bin, append(args, "-e", script)...)
	c.cmd.Stderr = &c.stderr
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Attaching a hundred probes takes long on an emulated CPU.
	watchdog := time.AfterFunc(20*hard(), func() {
		t.Error("it does not end")
		if err := c.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
	defer watchdog.Stop()
	began := c.began(f.deaf)
	var sent time.Duration
	if e.end != nil {
		time.Sleep(runFor)
		sent = monotonic(t)
		if err := e.end(c); err != nil {
			t.Fatal(err)
		}
	}
	if f.deaf {
		if !e.exit {
			time.Sleep(runFor + 2*endsSoon) // the end comes while nobody reads
			go c.read(bufio.NewReader(c.out))
		}
	}
	marks := map[string]time.Duration{}
	if !f.deaf || !e.exit {
		for line := range c.rest {
			name, n, _ := strings.Cut(line, " ")
			ns, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			marks[name] = time.Duration(ns)
		}
	}
	if c.traced != nil {
		c.traced.Wait() // it was killed
	}
	err = c.cmd.Wait()
	gone := monotonic(t)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := result{mem: c.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10}
	switch {
	case sent > 0 && (e.exit || f.body):
		r.took = gone - sent
		return r
	case marks["END"] == 0:
		t.Fatalf("the script did not go on: %s", c.stderr.String())
	case sent > 0:
		r.took = marks["END"] - sent
	default:
		r.took = max(0, marks["END"]-began-runFor)
	}
	return r
}

// began waits until the flood begins, and returns that time.
func (c *cell) began(deaf bool) time.Duration {
	c.t.Helper()
	in := bufio.NewReader(c.out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			c.cmd.Wait() // the message below reports the error
			c.t.Fatalf("%v: %s", err, c.stderr.String())
		}
		if n, ok := strings.CutPrefix(line, "BEGIN "); ok {
			ns, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			if !deaf {
				go c.read(in)
			}
			return time.Duration(ns)
		}
	}
}

// read reads the output to its end.
func (c *cell) read(in *bufio.Reader) {
	defer close(c.rest)
	for {
		line, err := in.ReadString('\n')
		if strings.HasPrefix(line, "END ") {
			c.rest <- strings.TrimSpace(line)
		}
		if err != nil {
			return
		}
	}
}

// flooded returns the path of the command, and the comm of a process that calls getppid until the
// test ends.
func flooded(t *testing.T) (bin, comm string) {
	t.Helper()
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		t.Fatal(err)
	}
	load, comm, err := buildbin.Load()
	if err != nil {
		t.Fatal(err)
	}
	caller := exec.Command(load, "getppid", "1000000000000")
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caller.Process.Kill(); err != nil {
			t.Error(err)
		}
		caller.Wait() // it was killed
	})
	return bin, comm
}

// manyProbes returns how many probes of a hundred uprobes each there are at the end, and the group
// of the tracepoints. Kernels that attach them one by one need minutes for all on an emulated CPU.
func manyProbes() (probes int, events string) {
	if testing.Short() {
		return 2, "sched"
	}
	return 20, "*"
}

// hard returns the time limit of a cell.
func hard() time.Duration {
	if testing.Short() {
		return emulatedHard
	}
	return endsHard
}

// TestEnds runs the matrix; -v prints it.
func TestEnds(t *testing.T) {
	bin, comm := flooded(t)
	many, err := testprog.Build("many")
	if err != nil {
		t.Fatal(err)
	}
	cells := 0
	for _, f := range floods {
		if f.wait == "" {
			f.bounded, f.wait = "run(SECONDS)", "run()"
		}
		f.many = many
		for _, e := range enders {
			if e.wait(f) == "" {
				continue
			}
			if cells++; testing.Short() && cells%stride != 0 {
				continue
			}
			t.Run(f.name+"/"+e.name, func(t *testing.T) {
				var best result
				for try := range 3 {
					r := e.run(t, bin, comm, f)
					if e.end == nil || e.args != nil { // not ended by Ctrl-C
						r.took = max(0, r.took-f.late)
					}
					if try == 0 || r.took < best.took {
						best = r
					}
					if r.mem > endsMem {
						t.Errorf("it had %d MiB", r.mem>>20)
					}
					if best.took <= endsSoon {
						break
					}
				}
				t.Logf("%v, %d MiB", best.took.Round(time.Millisecond), best.mem>>20)
				if best.took > hard() {
					t.Errorf("it went on for %v", best.took)
				}
			})
		}
	}
}
