package tools

import (
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// swappedIn is the file to which loadSwap writes how many pages the kernel has read from swap while
// it ran.
const swappedIn = "/swapped-in"

// loadSwap uses n[0] MiB of memory, of which its control group has less, until the kernel has read
// some of it from swap.
func loadSwap(n ...int) error {
	before, err := vmstat("pswpin")
	if err != nil {
		return err
	}
	mem := make([]byte, n[0]<<20)
	after := before
	for tries := 0; after == before && tries < 20; tries++ {
		for i := 0; i < len(mem); i += os.Getpagesize() {
			mem[i]++
		}
		if after, err = vmstat("pswpin"); err != nil {
			return err
		}
	}
	return os.WriteFile(os.TempDir()+swappedIn, []byte(strconv.Itoa(after-before)), 0o600)
}

// addSwap adds a file in this directory to the swap space of the machine, until the test ends.
func addSwap(t *testing.T, pages int) {
	t.Helper()
	size := os.Getpagesize()
	header := make([]byte, size)
	binary.NativeEndian.PutUint32(header[1024:], 1) // version
	binary.NativeEndian.PutUint32(header[1028:], uint32(pages-1))
	copy(header[size-10:], "SWAPSPACE2")
	f, err := os.CreateTemp(".", "swap")
	if err != nil {
		t.Fatal(err)
	}
	path, err := unix.BytePtrFromString(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	call := func(name string, nr uintptr) error {
		if _, _, e := unix.Syscall(nr, uintptr(unsafe.Pointer(path)), 0, 0); e != 0 {
			return fmt.Errorf("%s: %w", name, e)
		}
		return nil
	}
	_, err = f.Write(append(header, make([]byte, (pages-1)*size)...))
	err = errors.Join(err, f.Sync(), f.Close(), call("swapon", unix.SYS_SWAPON))
	t.Cleanup(func() {
		var off error
		if err == nil {
			off = call("swapoff", unix.SYS_SWAPOFF)
		}
		if err := errors.Join(off, os.Remove(f.Name())); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSwapin compares the pages of the load with what the kernel counts while the load runs, and
// from before the tool starts until it has ended.
func TestSwapin(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/tracing/events/memcg/count_memcg_events"); err != nil {
		bpftest.Need(t, "kprobe")
	}
	addSwap(t, 8192)
	group := memoryGroup(t, 16<<20)
	before, err := vmstat("pswpin")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	out, _ := runTool(t, tmp, []string{"swapin", "--csv", "--interval", "600", "-c", fmt.Sprintf("sh -c 'echo $$ >%s/cgroup.procs && exec %s %s swap 32'", group, self, loadArg)}, nil, false)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	after, err := vmstat("pswpin")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(tmp + swappedIn)
	if err != nil {
		t.Fatal(err)
	}
	load, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, row := range rows[1:] {
		n, err := strconv.Atoi(row[len(row)-1])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if load == 0 || sum < load || sum > after-before {
		t.Errorf("%d pages, want %d to %d\n%v", sum, load, after-before, out)
	}
}
