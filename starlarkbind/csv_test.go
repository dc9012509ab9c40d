package starlarkbind

import (
	"strings"
	"testing"
)

// All kinds of maps as CSV.
func TestToCSV(t *testing.T) {
	expect(t, `
calls, sizes, lat, all, seen = count(), stats(), lhist(0, 20, 10), hist(), table()
for i in range(3):
    calls.add(i + 1, by=("sh", i))
    sizes.add(i * 10, by="r,w")
    lat.add(i * 10, by="sh")
    all.add(i)
seen["x"] = 1
print(to_csv(sorted(calls.items()), header=["comm", "n", "calls"]))
print(to_csv(sizes))
print(to_csv(lat.snapshot()))
print(to_csv(all))
print(to_csv(seen))
print(to_csv({}))
def f(e):
    return kstack()
k = f(event(kstack=[kaddr("vfs_read"), kaddr("vfs_write")]))
print(to_csv({k: 1}))
s = stream()
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: s.emit(comm="a b", n=7), filter=lambda e: e.comm == "load")
make("getppid", 2)
print(to_csv([struct(comm=r.comm, n=r.n) for r in s.take(2)]))
`, "comm,n,calls", "sh,0,1", "sh,1,2", "sh,2,3",
		"key,count,sum,avg,min,max", `"r,w",3,30,10,0,20`,
		"key,lo,hi,count", "sh,0,10,1", "sh,10,20,1", "sh,20,,1",
		"lo,hi,count", "0,1,1", "1,2,1", "2,4,1",
		"key,value", "x,1",
		"key,value",
		"key,value", "vfs_read;vfs_write,1",
		"comm,n", "a b,7", "a b,7")
}

// Helper errors are records too.
func TestErrorsToCSV(t *testing.T) {
	out := printed(t, `
m = count(max_keys=1)
probe("tracepoint:syscalls:sys_enter_lseek", lambda e: m.add(by=e.args.offset), filter=lambda e: e.comm == "load")
make("newkeys", 10, 0)
print(to_csv([struct(code=e.code, count=e.count, map=e.map, message=e.message) for e in errors()]))
print(to_csv(errors()))
`)
	if want := "code,count,map,message\n-7,9,m,\"m is full: its 1 keys are taken, so a new one was dropped\"\n"; !strings.HasPrefix(out, want) {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if !strings.Contains(out, "\ncount,message,hint,helper,errno,code,probe,pos,source,map,first,last\n") || !strings.Contains(out, "\n9,\"m is full") {
		t.Error(out)
	}
}

func TestToCSVErrors(t *testing.T) {
	l := newLive(t, nil)
	for src, want := range map[string]string{
		"to_csv(len)":                   "to_csv: a builtin_function_or_method cannot be written as CSV",
		"to_csv({1: 2}, header=['a'])":  "to_csv: header has the wrong number of names: got 1, want 2: key, value",
		"to_csv({1: 2}, header=[1, 2])": "to_csv: header: want strings, got int",
	} {
		if err := l.item(src); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
	}
}
