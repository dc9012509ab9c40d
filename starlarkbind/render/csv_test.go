package render

import (
	"encoding/csv"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
)

func never(int) error { return nil }

func TestCSV(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`{"sh": 10, "bash": 2}`, "key,value\nsh,10\nbash,2"},
		{`{("sh", 1): 10, ("a,b", 22): 3}`, "key1,key2,value\nsh,1,10\n\"a,b\",22,3"},
		{`{(1, ("a", "b")): (2, 3)}`, "key1,key2.1,key2.2,value1,value2\n1,a,b,2,3"},
		{`{"k": struct(count=2, sum=6, avg=3, min=1, max=5)}`, "key,count,sum,avg,min,max\nk,2,6,3,1,5"},
		{`struct(count=0, sum=0, avg=0, min=None, max=None)`, "count,sum,avg,min,max\n0,0,0,,"},
		{`{1: struct(key="k", value="v")}`, "key,key_,value\n1,k,v"},
		{`{}`, "key,value"},
		{`[]`, ""},
		{`7`, "value\n7"},
		{`[1, 1.5, True, None]`, "value\n1\n1.5\nTrue\n\"\""},
		{`[("sh", 10), (("bash", 1), 2)]`, "key,value,key1,key2\nsh,10,,\n,2,bash,1"},
		{`[(1, 2, 3)]`, "value1,value2,value3\n1,2,3"},
		{`[struct(pid=1, path="a \"b\"\nc"), struct(pid=2, size=3)]`, "pid,path,size\n1,\"a \"\"b\"\"\nc\",\n2,,3"},
		{`[struct(at=struct(x=1, y=2), l=[1, "a"], d={"a": (1, 2)}, b=b"\xff")]`, "at.x,at.y,l,d,b\n1,2,\"[1,\"\"a\"\"]\",\"{\"\"a\"\":[1,2]}\",/w=="},
		{`{"\x1b[31m\x7f": 1 << 64, "tab\there": -1}`, "key,value\n\\x1b[31m\\x7f,18446744073709551616\ntab\there,-1"},
	} {
		got, err := CSV(eval(t, c.src), nil, false, never)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", c.src, err, got, c.want)
		}
		if _, err := csv.NewReader(strings.NewReader(got)).ReadAll(); err != nil {
			t.Errorf("%s: %v", c.src, err)
		}
	}
}

// A histogram has a row for each bucket from the first to the last that is not empty. Open ends are
// empty cells.
func TestCSVHistogram(t *testing.T) {
	shape := hist.Linear(0, 20, 10)
	buckets := make([]uint64, shape.NumBuckets())
	for v, n := range map[int]uint64{-1: 1, 15: 3, 25: 2} {
		buckets[shape.Index(starlark.MakeInt(v))] = n
	}
	h := hist.New(shape, buckets, starlark.MakeInt(94), starlark.MakeInt(-1), starlark.MakeInt(25))
	d := starlark.NewDict(1)
	if err := d.SetKey(starlark.Tuple{starlark.String("sh"), starlark.MakeInt(1)}, h); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		v    starlark.Value
		want string
	}{
		{h, "lo,hi,count\n,0,1\n0,10,0\n10,20,3\n20,,2"},
		{d, "key1,key2,lo,hi,count\nsh,1,,0,1\nsh,1,0,10,0\nsh,1,10,20,3\nsh,1,20,,2"},
		{starlark.Tuple{starlark.Tuple{starlark.MakeInt(1), h, starlark.True}}, "value1,value2.lo,value2.hi,value2.count,value3\n1,,0,1,True\n1,0,10,0,True\n1,10,20,3,True\n1,20,,2,True"},
	} {
		if got, err := CSV(c.v, nil, false, never); err != nil || got != c.want {
			t.Errorf("%v, got\n%s\nwant\n%s", err, got, c.want)
		}
	}
}

func TestCSVHeader(t *testing.T) {
	pairs := eval(t, `[("sh", 10)]`)
	if got, err := CSV(pairs, []string{"comm", "calls"}, false, never); err != nil || got != "comm,calls\nsh,10" {
		t.Error(got, err)
	}
	for _, c := range []struct {
		v      starlark.Value
		header []string
		want   string
	}{
		{pairs, []string{"comm"}, "to_csv: header has the wrong number of names: got 1, want 2: key, value"},
		{starlark.Universe["len"], nil, "to_csv: a builtin_function_or_method cannot be written as CSV"},
		{starlark.Tuple{starlark.Tuple{starlark.NewList([]starlark.Value{starlark.Universe["len"]})}}, nil, "to_csv: a list in a cell is written as JSON: a builtin_function_or_method cannot be written as JSON"},
	} {
		if _, err := CSV(c.v, c.header, false, never); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// Text that a spreadsheet would run is marked as text, and unchanged with raw=True. Numbers stay
// numbers.
func TestCSVFormulas(t *testing.T) {
	const src = `{"=cmd()": "+1", "-bash": -1, "@x": "a=b", "": "-"}`
	for raw, want := range map[bool]string{
		false: "key,value\n'=cmd(),'+1\n'-bash,-1\n'@x,a=b\n,'-",
		true:  "key,value\n=cmd(),+1\n-bash,-1\n@x,a=b\n,-",
	} {
		if got, err := CSV(eval(t, src), nil, raw, never); err != nil || got != want {
			t.Errorf("raw %v: %v, got\n%s\nwant\n%s", raw, err, got, want)
		}
	}
}
