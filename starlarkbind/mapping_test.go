package starlarkbind

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// Reads beyond the end of a mapping: strings end there and bytes read as zeros, which is counted,
// and reported once per line.
func TestMappingEnd(t *testing.T) {
	size := os.Getpagesize()
	pages, err := unix.Mmap(-1, 0, 2*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(pages); err != nil {
			t.Error(err)
		}
	}()
	if err := unix.Mprotect(pages[size:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	end := pages[size-5 : size]
	copy(end, "12345")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := null.Close(); err != nil {
			t.Error(err)
		}
	}()
	l := newLive(t, nil)
	l.names.Predeclared["at"] = starlark.MakeUint64(uint64(uintptr(unsafe.Pointer(&end[0]))))
	l.names.Predeclared["write"] = starlark.NewBuiltin("write", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		for range 3 {
			if _, err := null.Write(end); err != nil {
				return nil, err
			}
		}
		return starlark.None, nil
	})
	err = l.script(`
whole, beyond, strings = count(), count(), count()
def enter(e):
    if e.args.args[1] == at:
        p = cast(e.args.args[1], "char *")
        whole.add(by=buf(p, 5))
        beyond.add(by=buf(p, 16))
probe("tracepoint:raw_syscalls:sys_enter", enter)
write()
print(whole.snapshot(), beyond.snapshot())
for r in errors():
    printf("%s: %d\n", r.message, r.count)
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `{b"12345": 3} {b"` + strings.Repeat(`\x00`, 16) + `": 3}` + "\n" +
		`the bytes could not be read: a bad address, one that is not in memory now, or fewer bytes than requested; they read as zeros: 3` + "\n"
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(l.err.String(), "fewer bytes than requested"); got != 1 {
		t.Errorf("%d warnings:\n%s", got, l.err.String())
	}
}

// A string in the tail of a record is read up to the length passed to str(), by default 255 bytes.
func TestDataLocLong(t *testing.T) {
	bpftest.Need(t, "long_keys")
	dir := t.TempDir()
	for len(dir) < 900 {
		dir += "/" + strings.Repeat("d", 40)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	prog := dir + "/" + strings.Repeat("p", 983-len(dir)-1)
	if err := os.Symlink(loadBinary, prog); err != nil {
		t.Fatal(err)
	}
	expect(t, `
whole, some, short = count(), count(), count()
def enter(e):
    if e.args.filename.startswith("`+prog[:200]+`"):
        short.add(by=e.args.filename)
        some.add(by=str(e.args.filename, 400))
        whole.add(by=str(e.args.filename, 4096))
probe("tracepoint:sched:sched_process_exec", enter)
run(spawn(["`+prog+`", "getppid", "1"]))
print([len(k) for m in (short, some, whole) for k in m.keys()], whole.keys()[0] == "`+prog+`", errors())
`, "[255, 399, 983] True []")
}
