package kinds

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
)

// TestAttachParts checks that a link to many places is made without those that the kernel refuses.
func TestAttachParts(t *testing.T) {
	const places, size = 40, 16
	refused := map[int]bool{0: true, 7: true, 8: true, 31: true, 39: true}
	code := make([]byte, places*size)
	for i := range code {
		code[i] = 0x90 // nop
		if refused[i/size] {
			code[i] = 0x06 // an invalid instruction
		}
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(code), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE) // otherwise the kernel does not check yet
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(mapped); err != nil {
			t.Error(err)
		}
	}()
	var ts []bpf.Target
	for i := range places {
		ts = append(ts, bpf.Target{Kind: "uprobe", Driver: &uprobeProvider.Driver, Name: fmt.Sprintf("uprobe:%s:%d", file, i), Payload: userSites{file: file, sites: []probeSite{{offset: uint64(i * size)}}}})
	}
	p := countRunsOf(t, bpf.ProgramSpec{Type: ebpf.Kprobe, Targets: ts}, false).Program
	links, refusals, err := bpf.AttachAll(context.Background(), ts, p, bpf.AttachAllOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, r := range refusals {
		got[r.Target.Name] = true
		if want := "attach to " + r.Target.Name + ": the kernel cannot put a probe on that instruction; probe another address in the function"; r.Err.Error() != want {
			t.Errorf("got %v, want %s", r.Err, want)
		}
	}
	for i, x := range ts {
		if got[x.Name] != refused[i] {
			t.Errorf("%s is refused: %v", x, got[x.Name])
		}
	}
	if err := bpf.CloseAll(links, nil); err != nil {
		t.Error(err)
	}
	// If interrupted in the middle, nothing remains attached.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if links, _, err := bpf.AttachAll(ctx, ts, p, bpf.AttachAllOptions{}); err == nil || links != nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("interrupted: %d links, %v", len(links), err)
	}
}
