package pprof

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// raw encodes a profile and returns what pprof's own tool reads in it.
func raw(t *testing.T, p Profile) string {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "p.pb.gz")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "tool", "pprof", "-symbolize=none", "-raw", file)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var lines []string
	for l := range strings.Lines(string(out)) {
		lines = append(lines, strings.TrimSpace(l))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func TestEncode(t *testing.T) {
	prog := Mapping{Start: 0x400000, End: 0x500000, Offset: 0x1000, File: "/bin/prog", BuildID: "abcd"}
	lib := Mapping{Start: 0x7f0000000000, End: 0x7f0000001000, File: "/lib/lib.so"}
	kernel := Mapping{File: "[kernel.kallsyms]"}
	main := Frame{Addr: 0x400010, Mapping: prog, Function: "main", File: "main.c", Line: 7}
	got := raw(t, Profile{
		Types:    []Type{{"count", "count"}, {"size", "bytes"}},
		Time:     time.Unix(1_700_000_000, 5),
		Duration: 2500 * time.Millisecond,
		Samples: []Sample{
			{[]Frame{{Addr: 0xffffffff81000010, Mapping: kernel, Function: "vfs_read"}, main}, []int64{3, 1 << 40}, []Label{{"comm", "sh"}, {"key2", "7"}}},
			{[]Frame{{Addr: 0x7f0000000020, Mapping: lib}, {Addr: 0x400020, Mapping: prog, Function: "main", File: "main.c", Line: 9}, main, main}, []int64{0, -1}, nil},
			{[]Frame{{Function: "[no stack]"}}, []int64{1, 0}, nil},
			{nil, []int64{1, 0}, nil},
		},
	})
	const want = `PeriodType:
Period: 0
Time: 2023-11-14 22:13:20.000000005 +0000 UTC
Duration: 2.5s
Samples:
count/count size/bytes
3 1099511627776: 1 2
comm:[sh] key2:[7]
0         -1: 3 4 2 2
1          0: 5
1          0:
Locations
1: 0xffffffff81000010 M=1 vfs_read :0:0 s=0
2: 0x400010 M=2 main main.c:7:0 s=0
3: 0x7f0000000020 M=3
4: 0x400020 M=2 main main.c:9:0 s=0
5: 0x0 [no stack] :0:0 s=0
Mappings
1: 0x0/0x0/0x0 [kernel.kallsyms]  [FN]
2: 0x400000/0x500000/0x1000 /bin/prog abcd [FN][FL][LN]
3: 0x7f0000000000/0x7f0000001000/0x0 /lib/lib.so`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A profile without samples is valid.
func TestEmpty(t *testing.T) {
	got := raw(t, Profile{Types: []Type{{"calls", "count"}}, Time: time.Unix(1, 0)})
	if !strings.Contains(got, "Samples:\ncalls/count\nLocations\nMappings") {
		t.Error(got)
	}
}
