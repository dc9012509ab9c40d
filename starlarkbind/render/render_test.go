package render

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

func eval(t *testing.T, src string) starlark.Value {
	t.Helper()
	v, err := starlark.EvalOptions(&syntax.FileOptions{Set: true}, &starlark.Thread{}, "x", src, starlark.StringDict{"struct": starlark.NewBuiltin("struct", structs.Make)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestText(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`"a\x1b[31mb"`, `a\x1b[31mb`},
		{`{"sh": 10, "bash": 2}`, "bash   2\nsh    10"},
		{`{("sh", 1): 10, ("a", 22): 3}`, "a   22   3\nsh   1  10"},
		{`[("sh", 10), ("bash", 2)]`, "sh    10\nbash   2"},
		{`[1, 2]`, "[1, 2]"},
		{`{}`, "{}"},
		{`[struct(a=1, b="x"), struct(a=22, b="yy")]`, " a  b\n 1  x\n22  yy"},
		{`{"k": struct(count=2, sum=6, avg=3, min=1, max=5)}`, "   count  sum  avg  min  max\nk      2    6    3    1    5"},
		{`None`, "None"},
		{`{"日本": 1, "x": 22}`, "日本   1\nx     22"},
		{`[struct(comm="sh", calls=1), struct(calls=22, comm="bash")]`, "comm  calls\nsh        1\nbash     22"},
		{`[struct(z=1, a=b"\xc3\xa9"), 2]`, `[struct(z = 1, a = b"\xc3\xa9"), 2]`},
		{`b"GET \x00\xff\"\\\n\r\té"`, `b"GET \x00\xff\"\\\n\r\t\xc3\xa9"`},
		{`{b"é": 1}`, `b"\xc3\xa9"  1`},
		{`[struct(name="t:a:b", args=["int fd", "char * buf"]), struct(name="t", args=[])]`, "name   args\nt:a:b  int fd, char * buf\nt"},
		{`"a\u202ebc\u2028d\u200d"`, `a\u202ebc\u2028d` + "\u200d"},
		{`["a\u202eb"]`, `["a\u202eb"]`},
		{`[("k", struct(count=2, sum=6)), ("j", struct(count=1, sum=9))]`, "   count  sum\nk      2    6\nj      1    9"},
		{`(1,)`, "(1,)"},
		{`{"a": set([1, 2]), "b": {}}`, `{"a": set([1, 2]), "b": {}}`},
	} {
		if got := Text(eval(t, c.src)); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

// Neither text nor JSON contains a character that unsafe reports.
func TestUnsafe(t *testing.T) {
	for r := range rune(0x20000) {
		if !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || strings.ContainsRune("\n\t\u200c\u200d", r) {
			continue
		}
		v := starlark.String("<" + string(r) + ">")
		j, err := JSON(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(j, &back); err != nil || back != string(v) {
			t.Errorf("%U: JSON %q: %q, %v", r, j, back, err)
		}
		for _, text := range []string{Text(v), string(j), Cell(v), Flat(starlark.NewList([]starlark.Value{v}))} {
			if strings.ContainsRune(text, r) {
				t.Errorf("%U is in %q", r, text)
			}
		}
	}
}

// stack replaces the stack of package starlarkbind.
type stack []string

func (s stack) String() string        { return strings.Join(s, "\n") }
func (s stack) Type() string          { return "stack" }
func (s stack) Freeze()               {}
func (s stack) Truth() starlark.Bool  { return true }
func (s stack) Hash() (uint32, error) { return starlark.String(s.String()).Hash() }
func (s stack) Lines() []string {
	if len(s) == 0 {
		return []string{"[no frames]"}
	}
	return s
}

func TestStacks(t *testing.T) {
	deep, flat := stack{"inner+1", "outer+2"}, stack{}
	h := of(1, 2, 2)
	dict := func(items ...starlark.Tuple) *starlark.Dict {
		d := new(starlark.Dict)
		for _, it := range items {
			if err := d.SetKey(it[0], it[1]); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	n := starlark.MakeInt
	sh := starlark.String("sh")
	stats := func(count, sum int) starlark.Value {
		return structs.New("stats", structs.Field{Name: "count", Value: n(count)}, structs.Field{Name: "sum", Value: n(sum)})
	}
	for _, c := range []struct {
		v    starlark.Value
		want string
	}{
		{dict(starlark.Tuple{deep, n(120)}, starlark.Tuple{flat, n(3)}), "  3\n    [no frames]\n120\n    inner+1\n    outer+2"},
		{dict(starlark.Tuple{starlark.Tuple{sh, deep, flat, n(7)}, n(2)}), "2  sh, 7\n    inner+1\n    outer+2\n    --\n    [no frames]"},
		{dict(starlark.Tuple{starlark.Tuple{sh, deep}, stats(1, 10)}, starlark.Tuple{starlark.Tuple{sh, flat}, stats(20, 5)}),
			"count  sum\n    1   10  sh\n    inner+1\n    outer+2\n   20    5  sh\n    [no frames]"},
		{starlark.NewList([]starlark.Value{starlark.Tuple{deep, n(120)}, starlark.Tuple{flat, n(3)}}), "120\n    inner+1\n    outer+2\n  3\n    [no frames]"},
		{dict(starlark.Tuple{deep, h}), "stack:\n    inner+1\n    outer+2\n" + strings.TrimRight(h.Draw(0), "\n")},
		{dict(starlark.Tuple{sh, h}), "sh:\n" + strings.TrimRight(h.Draw(0), "\n")},
		{starlark.NewList([]starlark.Value{starlark.Tuple{sh, h}}), "sh:\n" + strings.TrimRight(h.Draw(0), "\n")},
		{starlark.Tuple{sh, h}, `("sh", <hist 3 values, p50 2, p99 2>)`},
		{starlark.NewList([]starlark.Value{h, deep}), "[<hist 3 values, p50 2, p99 2>, <stack inner+1;outer+2>]"},
		{dict(starlark.Tuple{sh, h}, starlark.Tuple{n(1), n(2)}), `{"sh": <hist 3 values, p50 2, p99 2>, 1: 2}`},
		{starlark.NewList([]starlark.Value{starlark.Tuple{sh, h, n(1)}}), "sh  <hist 3 values, p50 2, p99 2>  1"},
		{deep, "inner+1\nouter+2"},
	} {
		if got := Text(c.v); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

func of(values ...int) *hist.Histogram {
	shape := hist.Log2(0)
	buckets := make([]uint64, shape.NumBuckets())
	sum := 0
	for _, v := range values {
		buckets[shape.Index(starlark.MakeInt(v))]++
		sum += v
	}
	return hist.New(shape, buckets, starlark.MakeInt(sum), starlark.MakeInt(slices.Min(values)), starlark.MakeInt(slices.Max(values)))
}

// What does not fit on a page is counted, for every kind of long value and pages of every size.
func TestPage(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`{i: i for i in range(300000)}`, "... 299997 more; print() shows all\n299997  299997\n299998  299998\n299999  299999"},
		{`[(i, 1) for i in range(300000)]`, "0  1\n1  1\n2  1\n... 299997 more; print() shows all"},
		{`[struct(a=i) for i in range(30)]`, "a\n0\n1\n... 28 more; print() shows all"},
		{`{i: struct(count=i, sum=0) for i in range(9)}`, "   count  sum\n... 7 more; print() shows all\n7      7    0\n8      8    0"},
		{`[i for i in range(300000)]`, "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, ... and 299985 more]"},
		{`["x" * 60, [1, 2], 3]`, `["` + strings.Repeat("x", 60) + `", ... and 2 more]`},
		{`{str(i): [] for i in range(99)}`, `{"0": [], "1": [], "2": [], "3": [], "4": [], "5": [], ... and 93 more}`},
		{`"y" * 100`, strings.Repeat("y", 48) + "... 52 bytes more; print() shows all"},
	} {
		if got := (Page{12, 4}).Text(eval(t, c.src)); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
	for src, whole := range map[string]int{`{i: i for i in range(50)}`: 50, `[(i, 1) for i in range(50)]`: 50, `[struct(a=i) for i in range(50)]`: 51, `{i: struct(count=i, sum=0) for i in range(50)}`: 51} {
		for rows := 4; rows < 60; rows++ {
			got := (Page{80, rows}).Text(eval(t, src))
			if n := strings.Count(got, "\n") + 1; n != min(rows, whole) || strings.Contains(got, " more") == (rows >= whole) {
				t.Errorf("%s on %d rows takes %d:\n%s", src, rows, n, got)
			}
		}
	}
	if got, want := Text(eval(t, `{i: i for i in range(300)}`)), 299; strings.Count(got, "\n") != want {
		t.Errorf("print shows %d lines, want all", strings.Count(got, "\n")+1)
	}
}

// A list that contains itself is printed in finite form.
func TestInItself(t *testing.T) {
	l := starlark.NewList([]starlark.Value{starlark.MakeInt(1)})
	if err := l.Append(l); err != nil {
		t.Fatal(err)
	}
	if got := Text(l); got != "[1, [...]]" {
		t.Error(got)
	}
}

func TestJSON(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`{"a": 1, "b": [True, None, 1.5]}`, `{"a":1,"b":[true,null,1.5]}`},
		{`{(1, "x"): 2}`, `[{"key":[1,"x"],"value":2}]`},
		{`struct(a=1, b=(2, 3))`, `{"a":1,"b":[2,3]}`},
		{`1 << 64`, `18446744073709551616`},
		{`b"\xff"`, `{"base64":"/w=="}`},
		{`"é"[:1]`, `{"base64":"ww=="}`},
		{`[float("nan"), float("inf"), -float("inf")]`, `["NaN","Infinity","-Infinity"]`},
		{`{"é"[:1]: 2}`, `[{"key":{"base64":"ww=="},"value":2}]`},
	} {
		got, err := JSON(eval(t, c.src), nil)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.src, got, err, c.want)
		}
	}
}
