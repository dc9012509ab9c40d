package compiler

import (
	"testing"
)

func TestTry(t *testing.T) {
	s := parseSource(t, "x.star", `
calls = count()
h = lambda e: calls.add(by=e.comm)
`)
	p, err := Compile(s.request(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + p.Listing())
	s = parseSource(t, "x.star", `
start = table()
lat = hist()
def h(e):
    start[e.tid] = now()
    t0 = start.pop(e.pid)
    if t0 != None and e.comm == "load":
        lat.add((now() - t0) // 1000, by=e.comm)
`)
	p, err = Compile(s.request(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + p.Listing())
}
