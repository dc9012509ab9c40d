package tools

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/aptget"
)

// leaks runs memleak on a command, and returns its lines by the innermost function of a program or
// of the kernel that keep accepts: how many bytes and how many allocations.
func leaks(t *testing.T, keep func(frame string) bool, argv ...string) map[string][2]int {
	t.Helper()
	out, _ := runTool(t, t.TempDir(), append([]string{"memleak", "--csv", "--top", "1000000"}, argv...), nil, false)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]int{}
	for _, row := range rows[1:] {
		size, err1 := strconv.Atoi(row[0])
		n, err2 := strconv.Atoi(row[1])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		for frame := range strings.SplitSeq(row[2], ";") {
			if name, _, _ := strings.Cut(frame, "+"); keep(frame) {
				got[name] = [2]int{got[name][0] + size, got[name][1] + n}
				break
			}
		}
	}
	return got
}

// leakProgram builds a program that allocates memory by each function of libc.
func leakProgram(t *testing.T) string {
	t.Helper()
	if err := aptget.Install(os.Stderr, aptget.Tool{Command: "gcc", Package: "gcc"}); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "leak")
	if out, err := exec.Command("gcc", "-O0", "-fno-omit-frame-pointer", "-fno-builtin", "-o", program, "testdata/leak.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestMemleak traces a command from its start to its end.
func TestMemleak(t *testing.T) {
	program := leakProgram(t)
	own := func(frame string) bool { return strings.HasSuffix(frame, "[leak]") }
	for _, c := range []struct {
		args []string
		want map[string][2]int
	}{
		{nil, map[string][2]int{"use_malloc": {6000, 6}, "use_calloc": {900, 3}, "use_realloc": {10080, 3}, "fail_realloc": {70, 1}, "use_memalign": {2048, 4}}},
		{[]string{"--min-size", "1000"}, map[string][2]int{"use_malloc": {6000, 6}, "use_realloc": {10000, 2}, "use_memalign": {1024, 1}}},
		{[]string{"--older-ms", "100000"}, map[string][2]int{}},
		{[]string{"--mmap"}, map[string][2]int{"map": {8 * 4096, 3}}},
	} {
		if got := leaks(t, own, append(c.args, "--unsafe", "-c", program)...); !maps.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.args, got, c.want)
		}
	}
}

// TestMemleakRunning traces a process that runs already.
func TestMemleakRunning(t *testing.T) {
	program := leakProgram(t)
	p := exec.Command(program, "wait")
	p.Stderr = os.Stderr
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bpfrepl, "memleak", "--unsafe", "-p", strconv.Itoa(p.Process.Pid))
	cmd.Stderr = os.Stderr
	r := start(t, cmd)
	_, err = r.ReadString('\n') // it is attached
	_, werr := in.Write([]byte{0})
	out, rerr := io.ReadAll(r)
	if err := errors.Join(err, werr, rerr, p.Wait(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^ +6000 +6 use_malloc\+\d+ \[leak\]\n {23}main\+\d+ \[leak\]$`).Match(out) {
		t.Errorf("got\n%s", out)
	}
}

// TestMemleakKernel sends messages to a queue, receives some, and leaves the others there.
func TestMemleakKernel(t *testing.T) {
	id, _, e := unix.Syscall(unix.SYS_MSGGET, unix.IPC_PRIVATE, unix.IPC_CREAT|0o600, 0)
	if e != 0 {
		t.Fatal(e)
	}
	defer func() {
		if _, _, e := unix.Syscall(unix.SYS_MSGCTL, id, unix.IPC_RMID, 0); e != 0 {
			t.Error(e)
		}
	}()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sent := func(frame string) bool { return strings.HasPrefix(frame, "do_msgsnd+") }
	got := leaks(t, sent, "--kernel", "--min-size", "1024", "-c", fmt.Sprintf("%s %s messages 9 4 %d", self, loadArg, id))
	if n := got["do_msgsnd"]; n[1] != 5 || n[0]%5 != 0 || n[0] < 5*1024 {
		t.Errorf("got %v, want 5 messages of 1024 bytes or more", got)
	}
}

// TestMemleakProcess checks that user memory needs a process.
func TestMemleakProcess(t *testing.T) {
	out, err := exec.Command(bpfrepl, "memleak").CombinedOutput()
	if want := "fail: which process? bpfrepl memleak -p PID or -c COMMAND; --kernel for the kernel\n"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s", err, out)
	}
}
