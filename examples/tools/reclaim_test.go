package tools

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// TestOomkill starts a process in a control group that has too little memory for it.
func TestOomkill(t *testing.T) {
	group := memoryGroup(t, 16<<20)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := "echo $$ >" + group + "/cgroup.procs && exec " + self + " " + loadArg + " memory 256"
	cmd := exec.Command(bpfrepl, "oomkill", "--csv")
	cmd.Stderr = os.Stderr
	r := start(t, cmd)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	load := exec.Command("/bin/sh", "-c", script)
	load.Env = append(os.Environ(), loadName+"="+comm())
	err = load.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the load was not killed: %v", err)
	}
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	cells := strings.Split(line, ",")
	if len(cells) != 6 || cells[3] != strconv.Itoa(load.Process.Pid) {
		t.Errorf("got %s, want a kill of %d", line, load.Process.Pid)
	}
	if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
		t.Error(err)
	}
}

// TestDrsnoop reads a file of 8000 pages in a control group that may have 4096 pages.
func TestDrsnoop(t *testing.T) {
	inFile(t, 8000)
	group := memoryGroup(t, 16<<20)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := "echo $$ >" + group + "/cgroup.procs && exec " + self + " " + loadArg + " ahead 8000"
	out, _ := runTool(t, t.TempDir(), []string{"drsnoop", "--csv"}, []string{"/bin/sh", "-c", script}, true)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	for _, row := range rows[1:] {
		if row[3] != comm() || row[4] != "group" {
			continue
		}
		n, err := strconv.Atoi(row[7])
		if err != nil {
			t.Fatal(err)
		}
		pages += n
	}
	if pages < 8000-4096 || pages > 12000 {
		t.Errorf("%d pages, want %d to 12000\n%s", pages, 8000-4096, out)
	}
}

// memoryGroup makes a control group with a limit of memory, and returns its directory.
func memoryGroup(t *testing.T, limit int) string {
	t.Helper()
	name := "tools" + buildbin.Tag()
	for _, h := range []struct{ root, file string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		dir := filepath.Join(h.root, name)
		if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		if err := os.WriteFile(filepath.Join(dir, h.file), []byte(strconv.Itoa(limit)), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Fatal("no hierarchy of control groups limits memory")
	return ""
}
