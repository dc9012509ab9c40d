package starlarkbind

import (
	"strings"
	"testing"
)

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
