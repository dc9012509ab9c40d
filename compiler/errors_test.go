package compiler

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata from what the compiler returns")

// The files in testdata/errors contain handlers, separated by lines of ---. The last function of
// each is compiled. A line with an error ends with " ### COL: message", followed by " | hint" if
// the error has a hint and by " @ LINE:COL: label" if it points at a second place. A second error
// on the line follows in the same form. A warning begins with "warning: ".
const mark = " ### "

func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	n := 0
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) { n += errorFile(t, name) })
	}
	if n < 80 {
		t.Errorf("%d kinds of fault are tested; there were 80", n)
	}
}

func errorFile(t *testing.T, name string) (faults int) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	got := make([]string, len(lines))
	for start := 0; start < len(lines); {
		end := start
		for end < len(lines) && lines[end] != "---" {
			end++
		}
		chunk := make([]string, end)
		for i := start; i < end; i++ {
			chunk[i], _, _ = strings.Cut(lines[i], mark)
			got[i] = chunk[i]
		}
		ds := diagnostics(t, strings.Join(chunk, "\n")+"\n")
		if len(ds) == 0 {
			t.Errorf("%s:%d: the compiler found no fault", name, start+1)
		}
		for _, d := range ds {
			i := int(d.Pos.Line) - 1
			got[i] += fmt.Sprintf("%s%d: ", mark, d.Pos.Col)
			if d.Severity == diag.Warning {
				got[i] += "warning: "
			}
			got[i] += d.Msg
			if d.Hint != "" {
				got[i] += " | " + d.Hint
			}
			if p := d.Also; p.Pos.IsValid() {
				got[i] += fmt.Sprintf(" @ %d:%d: %s", p.Pos.Line, p.Pos.Col, p.Label)
			}
			faults++
		}
		if end < len(lines) {
			got[end] = "---"
		}
		start = end + 1
	}
	if *update {
		if err := os.WriteFile(name, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return faults
	}
	for i := range lines {
		if got[i] != lines[i] {
			t.Errorf("%s:%d:\n got %s\nwant %s", name, i+1, got[i], lines[i])
		}
	}
	return faults
}

// An error in an expression is reported once, no matter how often its value is used afterwards.
func TestNoFollowUps(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.star")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, chunk := range strings.Split(string(text), "\n---\n") {
			var lines []string
			for _, l := range strings.Split(chunk, "\n") {
				l, _, _ = strings.Cut(l, mark)
				x, isReturn := strings.CutPrefix(l, "    return ")
				if isReturn && len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], "def h(e):") {
					l = "    v = " + x + `
    w = v
    w += v
    if v: w = v
    if v == 1 and v != None: w = -v
    for i in range(3): u = v + i
    for j in v: o = j
    used.add(v, by=(v, w))
    kept[v] = v
    kept[v] += 1
    print(v, w.x, w[0], v in kept, v in (1, 2), not v, len(v), str(v), v.f(w))
    a, b = v
    return (v, w, a, b)`
				}
				lines = append(lines, l)
			}
			src := strings.Join(lines, "\n") + "\n"
			if !strings.Contains(src, "    w = v\n") || len(compileErrors(t, strings.Join(stripMarks(chunk), "\n")+"\n")) != 1 {
				continue
			}
			if alone, _, _ := strings.Cut(src, "    w = v\n"); len(compileErrors(t, alone)) == 0 {
				continue // returning the value was the error
			}
			n++
			if ds := compileErrors(t, "used = sum()\nkept = table()\n"+src); len(ds) != 1 {
				t.Errorf("%s: %d errors for one mistake:\n%s\n%s", name, len(ds), src, ds.Error())
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d mistakes are tried", n)
	}
}

// stripMarks returns the lines of a chunk without the expected errors.
func stripMarks(chunk string) []string {
	lines := strings.Split(strings.TrimSuffix(chunk, "\n"), "\n")
	for i, l := range lines {
		lines[i], _, _ = strings.Cut(l, mark)
	}
	return lines
}

// compileErrors returns the errors in a handler.
func compileErrors(t *testing.T, text string) diag.List {
	_, err := Compile(parseSource(t, "test.star", text).request(t))
	var ds diag.List
	if err != nil && !errors.As(err, &ds) {
		t.Fatal(err)
	}
	return ds
}

// diagnostics returns the errors in a handler or, if it has none, the warnings.
func diagnostics(t *testing.T, text string) diag.List {
	p, err := Compile(parseSource(t, "test.star", text).request(t))
	if err == nil {
		return p.Warnings
	}
	var ds diag.List
	if !errors.As(err, &ds) {
		t.Fatal(err)
	}
	return ds
}

// An error is printed with its position, the source line, a caret and a hint. All errors of a
// handler are reported at once, in source order.
func TestErrorText(t *testing.T) {
	ds := compileErrors(t, "calls = count()\ndef handler(e):\n\tcalls.ad(by=e.com)\n    \n\treturn 1 + \"x\"\n")
	want := `test.star:3:7: an aggregation has no method ad that a handler can call
    	calls.ad(by=e.com)
    	     ^
    hint: did you mean "add"?
test.star:3:16: an event has no field com
    	calls.ad(by=e.com)
    	              ^
    hint: did you mean "comm"?
test.star:5:11: strings cannot be combined with + in a handler
    	return 1 + "x"
    	         ^
    hint: only strings are added to strings; write the text of another value with sprintf("%s%d", s, n)`
	if got := ds.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A diagnostic that points at a second place shows it below the first, with its own line and caret.
func TestSecondPlace(t *testing.T) {
	ds := compileErrors(t, "calls = count()\ndef h(e):\n\tcalls.add(by=e.pid)\n\tcalls.add(by=e.comm)\n")
	want := `test.star:4:17: count "calls" has keys of type int elsewhere, and string here
    	calls.add(by=e.comm)
    	               ^
    test.star:3:17: keys of type int here
    	calls.add(by=e.pid)
    	               ^
    hint: a map has one type; make another map for these`
	if got := ds.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A message about a missing kernel feature names the first kernel version that has it.
func TestOldKernel(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"def h(e):\n    while e.pid > 1:\n        pass\n", "test.star:2:5: while needs kernel 5.17 (bpf_loop)\n" +
			"        while e.pid > 1:\n        ^\n    hint: use a constant bound: for i in range(64): ..., with if i >= n: break in the loop"},
		{"def h(e):\n    for i in range(e.pid):\n        pass\n", "test.star:2:19: range over a large number or one known only at run time needs kernel 5.17 (bpf_loop)\n" +
			"        for i in range(e.pid):\n                      ^\n    hint: use a constant bound: for i in range(64): ..., with if i >= n: break in the loop"},
		{"t = table()\ndef h(e):\n    t[1] = 1\n    for k in t:\n        pass\n", "test.star:4:14: a loop over a table needs kernel 5.13 (bpf_for_each_map_elem)\n" +
			"        for k in t:\n                 ^\n    hint: loop over it in the script"},
	} {
		req := parseSource(t, "test.star", c.text).request(t)
		req.Features = Features{}
		req.Kfunc = func(name string) (int64, error) { return 0, errors.New("no " + name) }
		if _, err := Compile(req); err == nil || err.Error() != c.want {
			t.Errorf("got\n%v\nwant\n%s", err, c.want)
		}
	}
}
