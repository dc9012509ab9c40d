package kmap

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

// TestTooLarge checks that a map that needs more memory than the host can spare is refused before
// it is created, with a size that fits.
func TestTooLarge(t *testing.T) {
	cpus, err := sys.PossibleCPUs()
	if err != nil {
		t.Fatal(err)
	}
	table := Spec{Name: "t", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10_000_000}
	for _, c := range []struct {
		copies int
		have   uint64
		want   string
	}{
		{1, 2 << 30, ""},
		{1, 1 << 30, `create map "t": 10000000 keys of 8 bytes with values of 8 bytes need 763 MiB, and this machine can spare 768 MiB; write max_keys=`},
		{1, 1000 << 20, `create map "t": 10000000 keys of 8 bytes with values of 8 bytes need 763 MiB, and this machine can spare 750 MiB; write max_keys=9800000`},
		{2, 1000 << 20, `create map "t": 10000000 keys of 8 bytes with values of 8 bytes, 2 times because clear() and delta() exchange the map, need 1526 MiB, and this machine can spare 750 MiB; write max_keys=4900000`},
		{1, 0, `create map "t": 10000000 keys of 8 bytes with values of 8 bytes need 763 MiB, and this machine can spare 0 KiB; lower max_keys`},
	} {
		err := table.tooLarge(c.copies, c.have)
		if c.want == "" || strings.HasSuffix(c.want, "=") {
			if err != nil {
				t.Errorf("%d of %d: %v", c.copies, c.have, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%d of %d: no error", c.copies, c.have)
			continue
		}
		expect.Text(t, "too large", err.Error(), c.want)
		var me *Error
		if !errors.As(err, &me) {
			t.Errorf("%T", err)
		}
	}
	ring := Spec{Name: "s", Type: ebpf.RingBuf, MaxEntries: 1 << 30}
	expect.Text(t, "stream", fmt.Sprint(ring.tooLarge(1, 1<<30)), `create map "s": a ring buffer of 1024 MiB is more than this machine can spare (768 MiB); write stream(size="512MiB")`)
	huge := Spec{Name: "h", Type: ebpf.PerCPUHash, KeySize: 8, ValueSize: 1064, MaxEntries: 1 << 31}
	if m, err := New(huge); err == nil {
		expect.NoError(t, m.Close)
		t.Errorf("a map of %d GiB was made", huge.bytes()>>30)
	} else if want := "create map \"h\": 2147483648 keys of 8 bytes with values of 1064 bytes for each of "; !strings.HasPrefix(err.Error(), want) || cpus == 0 {
		t.Errorf("got %v", err)
	}
}

// TestAvailableMemory checks that less memory is available than the host has, and that the limits
// of a control group and its ancestors count.
func TestAvailableMemory(t *testing.T) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	all, ok := fieldOf(string(text), "MemTotal:")
	n, err := availableMemory()
	if err != nil || !ok || n == 0 || n > all<<10 {
		t.Errorf("%d of %d KiB, %v", n, all, err)
	}
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(root+"/a/b", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("/a/b/memory.max", "max\n")
	write("/a/b/memory.current", "4096\n")
	write("/a/memory.max", "1000000\n")
	write("/a/memory.current", "600000\n")
	write("/a/memory.stat", "anon 5\ninactive_file 100000\n")
	if n := groupMemory(root, "/a/b", "memory.max", "memory.current", "inactive_file"); n != 500000 {
		t.Errorf("%d bytes are left in the group", n)
	}
}
