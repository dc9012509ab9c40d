package tools

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/internal/testkit/aptget"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
	"github.com/bpfrepl/bpfrepl/internal/testkit/testprog"
)

var bpfrepl string

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == loadArg {
		runLoad(os.Args[2], os.Args[3:])
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	var err error
	if bpfrepl, err = buildbin.Build("cmd/bpfrepl"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return leakcheck.Main(m, buildbin.Clean)
}

// A run is a run of a tool with --csv under a load with a known number of events. Lines about
// threads other than the load's are left out.
type run struct {
	tool  string
	args  []string
	load  string   // a row of loads, and its arguments; a Python program in testdata; or one of progs
	needs []string // features of the kernel
	wide  bool     // the tool is attached to all processes, and then the load is started
	execs bool     // the load starts programs in its process, so its lines have other names
	forks bool     // lines about the load's children count too
	lines int      // the tool prints so many lines about the load; wide waits for them
}

// A rowTest is for a tool that prints a line for each event. The values of the columns cols must be
// those of want, each as often as it says.
type rowTest struct {
	run
	cols []string
	want map[string]int
}

// A sumTest is for a tool that counts. In the lines whose columns have the values of where, the sum
// of the column col must be at least lo and at most hi. If col is "", the lines are counted.
type sumTest struct {
	run
	where  map[string]string
	col    string
	lo, hi int
}

// progs are the programs of package testprog that tests trace.
var progs = []string{"nested", "sdt", "goprog", "jumps"}

// comm is the name of a load's thread, which no other process has.
func comm() string { return "tl" + buildbin.Tag() }

// TestRows checks the tools that print a line for each event.
func TestRows(t *testing.T) { checkRows(t, rowTests) }

func checkRows(t *testing.T, tests []rowTest) {
	for _, c := range tests {
		t.Run(c.name(), func(t *testing.T) {
			for _, n := range c.want {
				c.lines += n
			}
			rows := c.rows(t)
			got := map[string]int{}
			for _, row := range rows {
				var cells []string
				for _, col := range c.cols {
					cells = append(cells, row[col])
				}
				got[strings.Join(cells, " ")]++
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v\n%v", strings.Join(c.cols, " "), got, c.want, rows)
			}
		})
	}
}

// TestSums checks the tools that count.
func TestSums(t *testing.T) { checkSums(t, sumTests) }

// TestSamples checks the tools that sample CPUs. The ranges allow for a busy host.
func TestSamples(t *testing.T) { checkSums(t, sampleTests) }

// TestLibraries checks the tools that trace libraries.
func TestLibraries(t *testing.T) {
	if err := aptget.Install(os.Stderr, aptget.Tool{Command: "python3", Package: "python3"}, aptget.Tool{Command: "openssl", Package: "openssl"}); err != nil {
		t.Fatal(err)
	}
	checkRows(t, libraryTests)
}

func checkSums(t *testing.T, tests []sumTest) {
	for _, c := range tests {
		t.Run(c.name(), func(t *testing.T) {
			rows := c.rows(t)
			sum := 0
			for _, row := range rows {
				matches := true
				for col, want := range c.where {
					matches = matches && row[col] == want
				}
				switch {
				case !matches:
					continue
				case c.col == "":
					sum++
					continue
				}
				n, err := strconv.Atoi(row[c.col])
				if err != nil {
					t.Fatalf("column %s: %v", c.col, err)
				}
				sum += n
			}
			if sum < c.lo || sum > c.hi {
				t.Errorf("%s where %v: %d, want %d to %d\n%v", c.col, c.where, sum, c.lo, c.hi, rows)
			}
		})
	}
}

func (c run) name() string { return strings.Join(append([]string{c.tool}, c.args...), " ") }

// rows runs the tool and the load, and returns the tool's lines about the load by column. In the
// values, SELF is the load's program or process, and TMP its temporary directory. SELF stands for
// the program in the arguments, too.
func (c run) rows(t *testing.T) []map[string]string {
	t.Helper()
	bpftest.Need(t, c.needs...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	load := append([]string{self, loadArg}, strings.Fields(c.load)...)
	if strings.HasSuffix(c.load, ".py") {
		load = []string{"python3", "testdata/" + c.load}
	}
	if name, args, _ := strings.Cut(c.load, " "); slices.Contains(progs, name) {
		if self, err = testprog.Build(name); err != nil {
			t.Fatal(err)
		}
		load = append([]string{self}, strings.Fields(args)...)
	}
	argv := []string{c.tool, "--csv"}
	for _, a := range c.args {
		argv = append(argv, strings.ReplaceAll(a, "SELF", self))
	}
	if !c.wide {
		argv = append(argv, "-c", strings.Join(load, " "))
	}
	tmp := t.TempDir()
	out, pid := runLines(t, tmp, argv, load, c.wide, c.lines)
	r := csv.NewReader(strings.NewReader(out))
	all, err := r.ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("%v in\n%s", err, out)
	}
	var rows []map[string]string
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, cell := range cells {
			if c.wide && cell == fmt.Sprint(pid) {
				cell = "SELF"
			}
			row[all[0][i]] = strings.NewReplacer(self, "SELF", tmp, "TMP").Replace(cell)
		}
		id, hasPID := row["pid"]
		name, hasComm := row["comm"]
		if c.wide && !c.forks && hasPID && id != "SELF" || hasComm && name != comm() && !c.execs {
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

// runTool runs a tool until the load ends, and returns its output and the load's process ID. If
// wide is true it starts the load as soon as the tool has printed its first line, which it does
// when it is attached, and ends the tool with Ctrl-C.
func runTool(t *testing.T, tmp string, argv, load []string, wide bool) (out string, pid int) {
	t.Helper()
	return runLines(t, tmp, argv, load, wide, 0)
}

// runLines is runTool. Before Ctrl-C it waits until the tool has printed so many lines about the
// load.
func runLines(t *testing.T, tmp string, argv, load []string, wide bool, lines int) (out string, pid int) {
	t.Helper()
	for tries := 3; ; tries-- {
		out, stderr, pid, err := tryTool(t, tmp, argv, load, wide, lines)
		// On a busy host the load may end before the tool gets from the first line to run().
		// Ctrl-C then ends the script at once.
		if early := err != nil && strings.HasSuffix(stderr, "\ninterrupted\n"); early && tries > 1 {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s", strings.Join(argv, " "), err, out, stderr)
		}
		if stderr != "" {
			t.Logf("%s", stderr)
		}
		return out, pid
	}
}

// start starts a command and returns its standard output.
func start(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(pipe)
}

// tryTool implements runLines.
func tryTool(t *testing.T, tmp string, argv, load []string, wide bool, lines int) (out, stderrText string, pid int, err error) {
	t.Helper()
	cmd := exec.Command(bpfrepl, argv...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GODEBUG=asyncpreemptoff=1", "TMPDIR="+tmp, loadName+"="+comm())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	r := start(t, cmd)
	stuck := time.AfterFunc(2*time.Minute, func() {
		t.Error("the tool did not end within two minutes")
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	})
	defer stuck.Stop()
	first, firstErr := r.ReadString('\n')
	var rest printed
	restErr := make(chan error)
	go func() {
		_, err := io.Copy(&rest, r)
		restErr <- err
	}()
	var loadErr error
	if wide && firstErr == nil {
		l := exec.Command(load[0], load[1:]...)
		l.Env = cmd.Env
		l.Stderr = os.Stderr
		loadErr = l.Run()
		if l.Process != nil {
			pid = l.Process.Pid
		}
		// Ctrl-C cancels the line that the tool is about to print, if that takes long.
		for late := time.Now().Add(20 * time.Second); rest.about(pid) < lines && time.Now().Before(late); {
			time.Sleep(10 * time.Millisecond)
		}
		loadErr = errors.Join(loadErr, cmd.Process.Signal(syscall.SIGINT))
	}
	err = errors.Join(<-restErr, loadErr)
	return first + rest.text(), stderr.String(), pid, errors.Join(cmd.Wait(), err)
}

// printed is what a tool has printed so far.
type printed struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *printed) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// about returns how many lines are about the load.
func (p *printed) about(pid int) int {
	n := 0
	for line := range strings.Lines(p.text()) {
		if strings.Contains(line, fmt.Sprintf(",%d,", pid)) || strings.Contains(line, ","+comm()+",") {
			n++
		}
	}
	return n
}

// TestEveryToolTested checks that each tool has a row in one of the tables.
func TestEveryToolTested(t *testing.T) {
	tested := []string{"biolatency-kp", "mdflush", "bashreadline", "loads", "capable", "dcsnoop", "drsnoop", "hardirqs", "memleak", "numamove", "oomkill", "softirqs", "ssllatency", "swapin", "tcpdrop", "tcpretrans", "tcprtt", "vfscount", "writeback", "xfsdist", "klockstat"} // have tests of their own, or none: the tests have no md devices, and only 5.10 has the functions of biolatency-kp
	for _, c := range slices.Concat(rowTests, libraryTests, diskRows, functionRows) {
		tested = append(tested, c.tool)
	}
	for _, c := range slices.Concat(sumTests, sampleTests, diskSums, cacheSums, functionSums) {
		tested = append(tested, c.tool)
	}
	for _, name := range Names() {
		if !slices.Contains(tested, name) {
			t.Errorf("%s has no test", name)
		}
	}
}
