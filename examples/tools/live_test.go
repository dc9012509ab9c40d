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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

var bpfrepl string

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == loadArg {
		runLoad(os.Args[2], os.Args[3:])
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if bpfrepl, err = buildbin.Build("cmd/bpfrepl"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return leakcheck.Main(m, buildbin.Clean)
}

// A rowTest runs a tool with --csv under a load with a known number of events. The values of the
// columns cols in the lines whose column of keyed is the load's must be those of want, each as
// often as it says.
type rowTest struct {
	tool  string
	args  []string
	load  string   // a row of loads, and its arguments
	cols  []string // compared
	want  map[string]int
	needs []string // features of the kernel
	wide  bool     // the tool traces all processes, and lines of others are left out: by pid, or by the load's name
}

// comm is the name of a load's thread, which no other process has.
func comm() string { return "tl" + buildbin.Tag() }

// TestRows checks the tools that print a line for each event.
func TestRows(t *testing.T) {
	for _, c := range rowTests {
		t.Run(strings.Join(append([]string{c.tool}, c.args...), " "), func(t *testing.T) {
			bpftest.Need(t, c.needs...)
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

// rows runs the tool and the load, and returns the tool's lines about the load by column.
func (c rowTest) rows(t *testing.T) []map[string]string {
	t.Helper()
	words := append([]string{"/proc/self/exe", loadArg}, strings.Fields(c.load)...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	words[0] = self
	argv := append([]string{c.tool, "--csv"}, c.args...)
	if !c.wide {
		argv = append(argv, "-c", strings.Join(words, " "))
	}
	out, pid := runTool(t, argv, words, c.wide)
	r := csv.NewReader(strings.NewReader(out))
	r.FieldsPerRecord = -1 // the load may print
	all, err := r.ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("%v in\n%s", err, out)
	}
	var rows []map[string]string
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, cell := range cells {
			row[all[0][i]] = cell
		}
		id, hasPID := row["pid"]
		if name, hasComm := row["comm"]; c.wide && (hasPID && id != fmt.Sprint(pid) || !hasPID && hasComm && name != comm()) {
			continue
		}
		for k, v := range row { // so that want is the same in each run
			if pid != 0 && v == fmt.Sprint(pid) && k != "pid" {
				row[k] = "self"
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// runTool runs a tool until the load ends, and returns its output and the load's process ID. If
// wide is true it starts the load as soon as the tool has printed its first line, which it does
// when it is attached.
func runTool(t *testing.T, argv, load []string, wide bool) (out string, pid int) {
	t.Helper()
	cmd := exec.Command(bpfrepl, argv...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GODEBUG=asyncpreemptoff=1", loadName+"="+comm())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(2*time.Minute, func() {
		t.Error("the tool did not end within two minutes")
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	})
	defer stuck.Stop()
	r := bufio.NewReader(pipe)
	first, rerr := r.ReadString('\n')
	var loadErr error
	if wide && rerr == nil {
		l := exec.Command(load[0], load[1:]...)
		l.Env = cmd.Env
		l.Stderr = os.Stderr
		loadErr = l.Run()
		if l.Process != nil {
			pid = l.Process.Pid
		}
		loadErr = errors.Join(loadErr, cmd.Process.Signal(syscall.SIGINT))
	}
	rest, rerr2 := io.ReadAll(r)
	if err := errors.Join(cmd.Wait(), rerr2, loadErr); err != nil {
		t.Fatalf("%s: %v\n%s%s\n%s", strings.Join(argv, " "), err, first, rest, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Logf("%s", stderr.String())
	}
	return first + string(rest), pid
}

// TestEveryToolTested checks that each tool has a row in one of the tables.
func TestEveryToolTested(t *testing.T) {
	var tested []string
	for _, c := range rowTests {
		tested = append(tested, c.tool)
	}
	for _, name := range Names() {
		if !slices.Contains(tested, name) {
			t.Errorf("%s has no test", name)
		}
	}
}
