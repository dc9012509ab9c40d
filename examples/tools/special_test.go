package tools

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// TestLoads compares the load averages with those of the kernel before and after.
func TestLoads(t *testing.T) {
	averages := func() []float64 {
		text, err := os.ReadFile("/proc/loadavg")
		if err != nil {
			t.Fatal(err)
		}
		return floats(t, strings.Fields(string(text))[:3])
	}
	before := averages()
	out, err := exec.Command(bpfrepl, "loads", "--csv", "--interval", "0.1", "--duration", "0.25").Output()
	if err != nil {
		t.Fatal(err)
	}
	after := averages()
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) < 3 {
		t.Fatalf("%v in\n%s", err, out)
	}
	for _, row := range rows[1:] {
		for i, x := range floats(t, row[1:]) {
			if x < min(before[i], after[i]) || x > max(before[i], after[i]) {
				t.Errorf("%s is %v, was %v before and %v after", rows[0][i+1], x, before[i], after[i])
			}
		}
	}
}

func floats(t *testing.T, cells []string) []float64 {
	t.Helper()
	var out []float64
	for _, c := range cells {
		x, err := strconv.ParseFloat(c, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

// TestBashreadline types lines into a shell that only this test uses.
func TestBashreadline(t *testing.T) {
	bash, err := os.ReadFile("/bin/bash")
	if err != nil {
		t.Fatal(err)
	}
	shell := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(shell, bash, 0o755); err != nil {
		t.Fatal(err)
	}
	lines := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(lines, []byte("echo one\n\nfalse; true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := runTool(t, t.TempDir(), []string{"bashreadline", "--csv", "--shell", shell}, []string{"/bin/sh", "-c", "exec " + shell + " --norc -i <" + lines + " >/dev/null 2>&1"}, true)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		got = append(got, row[len(row)-1])
	}
	if text := strings.Join(got, "|"); text != "line|echo one||false; true" {
		t.Errorf("got %q in\n%s", text, out)
	}
}

// TestSsllatency checks the histogram of a function that is called a known number of times.
func TestSsllatency(t *testing.T) {
	rows := run{tool: "ssllatency", load: "tls.py", execs: true}.rows(t)
	sum := map[string]int{}
	for _, row := range rows {
		n, err := strconv.Atoi(row["count"])
		if err != nil {
			t.Fatal(err)
		}
		sum[row["function"]+" "+row["result"]] += n
	}
	if sum["SSL_read_ex ok"] != 6 || sum["SSL_write_ex ok"] != 6 {
		t.Errorf("got %v, want 6 reads and 6 writes", sum)
	}
}

// TestXfsdist traces the type of file system that a test has.
func TestXfsdist(t *testing.T) {
	load := "files 13"
	writes := func(rows []map[string]string) (typ string, n int) {
		t.Helper()
		for _, row := range rows {
			if row["operation"] != "write" {
				continue
			}
			i, err := strconv.Atoi(row["count"])
			if err != nil {
				t.Fatal(err)
			}
			typ, n = row["type"], n+i
		}
		return typ, n
	}
	typ, n := writes(run{tool: "fsdist", load: load}.rows(t))
	if _, m := writes(run{tool: "xfsdist", args: []string{"--type", typ}, load: load}.rows(t)); n != 13 || m != n {
		t.Errorf("%d writes on %s, and %d by xfsdist, want 13", n, typ, m)
	}
	if _, m := writes(run{tool: "xfsdist", load: load}.rows(t)); typ != "xfs" && m != 0 {
		t.Errorf("%d writes of another file system", m)
	}
}

// TestCapable makes calls that fail. A kernel without the tracepoint needs probes of functions.
func TestCapable(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/tracing/events/capability/cap_capable"); err != nil {
		bpftest.Need(t, "kprobe")
	}
	checkRows(t, []rowTest{{run{tool: "capable", args: []string{"--failed"}, load: "cap 5"}, []string{"uid", "name", "result"}, map[string]int{"65534 SYS_ADMIN EPERM": 5}}})
}

// TestFunctions checks the tools that need probes of functions.
func TestFunctions(t *testing.T) {
	bpftest.Need(t, "kprobe")
	checkSums(t, []sumTest{
		{run{tool: "vfscount", load: "files 13"}, map[string]string{"function": "vfs_write"}, "calls", 13, 13},
		{run{tool: "vfscount", load: "files 13"}, map[string]string{"function": "vfs_unlink"}, "calls", 13, 13},
	})
	checkRows(t, []rowTest{{run{tool: "dcsnoop", load: "missing 4"}, []string{"t", "file"}, map[string]int{"M missing0": 1, "M missing1": 1, "M missing2": 1, "M missing3": 1}}})
}

// TestInterrupts compares the counts of interrupts with those of the kernel, before and after.
func TestInterrupts(t *testing.T) {
	for _, c := range []struct{ tool, col, file string }{{"softirqs", "softirq", "/proc/softirqs"}, {"hardirqs", "irq", "/proc/interrupts"}} {
		before := interrupts(t, c.file)
		rows := run{tool: c.tool, load: "spin 200 1"}.rows(t)
		after := interrupts(t, c.file)
		for _, row := range rows {
			n, err := strconv.Atoi(row["count"])
			if err != nil {
				t.Fatal(err)
			}
			name := row[c.col]
			if most := after[name] - before[name]; n <= 0 || n > most {
				t.Errorf("%s: %d of %s, want at most %d", c.tool, n, name, most)
			}
		}
	}
}

// interrupts returns the sums of a table of the kernel, by the names of its lines.
func interrupts(t *testing.T, file string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		for _, f := range fields[1:] {
			n, err := strconv.Atoi(f)
			if err != nil {
				break
			}
			out[strings.TrimSuffix(fields[0], ":")] += n
		}
	}
	return out
}

// freePort returns a TCP port at which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// TestTcprtt talks over a connection. Each message is at least one segment, to which the other side
// may also send an acknowledgement by itself.
func TestTcprtt(t *testing.T) {
	for _, c := range []sumTest{
		{run: run{args: []string{"--port"}}},
		{run{args: []string{"--by-address", "--port"}}, map[string]string{"raddr": "127.0.0.1"}, "", 0, 0},
	} {
		port := freePort(t)
		c.tool, c.args, c.load = "tcprtt", append(c.args, port), "talk 50 "+port
		c.col, c.lo, c.hi = "count", 100, 210
		checkSums(t, []sumTest{c})
	}
}

// TestTcpdrop connects to a port at which nothing listens.
func TestTcpdrop(t *testing.T) {
	port := freePort(t)
	checkRows(t, []rowTest{{run{tool: "tcpdrop", args: []string{"--port", port}, load: "refused 5 " + port, wide: true},
		[]string{"saddr", "daddr", "dport", "flags"}, map[string]int{"127.0.0.1 127.0.0.1 " + port + " S": 5}}})
}

// TestTcpretrans compares the lines with what the socket has counted.
func TestTcpretrans(t *testing.T) {
	tmp := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := runTool(t, tmp, []string{"tcpretrans", "--csv"}, []string{self, loadArg, "resend"}, true)
	text, err := os.ReadFile(filepath.Join(tmp, "resent"))
	if err != nil {
		t.Fatal(err)
	}
	port, times, _ := strings.Cut(string(text), " ")
	n := regexp.MustCompile(`(?m)^[^,]+,127\.0\.0\.1,\d+,127\.0\.0\.1,`+port+`,data,SYN_SENT$`).FindAllString(out, -1)
	if strconv.Itoa(len(n)) != times {
		t.Errorf("%d lines, want %s for port %s in\n%s", len(n), times, port, out)
	}
}

// TestWriteback makes the kernel write the pages of a file.
func TestWriteback(t *testing.T) {
	file, err := os.CreateTemp(".", "disk")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
			t.Error(err)
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	out, _ := runTool(t, t.TempDir(), []string{"writeback", "--csv"}, []string{"/bin/sh", "-c", "head -c 1000000 /dev/zero >" + file.Name() + " && sync -f " + file.Name()}, true)
	want := fmt.Sprintf(`(?m)^[^,]+,[^,]+,%d:%d,\d+,sync,[0-9.]+$`, unix.Major(st.Dev), unix.Minor(st.Dev))
	if !regexp.MustCompile(want).MatchString(out) {
		t.Errorf("no line %s in\n%s", want, out)
	}
}

// TestNumamove compacts memory, and compares the pages with what the kernel counts from before the
// tool starts until it has ended, and while the load runs. Nothing moves between nodes.
func TestNumamove(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	before, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := runTool(t, tmp, []string{"numamove", "--csv", "--all"}, []string{self, loadArg, "compact", "10"}, true)
	after, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(tmp + moved)
	if err != nil {
		t.Fatal(err)
	}
	least, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, row := range rows[1:] {
		for _, cell := range row[1:3] { // pages and failed
			n, err := strconv.Atoi(cell)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	if least == 0 || sum < least || sum > after-before {
		t.Errorf("%d pages, want %d to %d\n%s", sum, least, after-before, out)
	}
	checkSums(t, []sumTest{{run{tool: "numamove", load: "compact 1"}, nil, "pages", 0, 0}})
}
