package compiler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
)

// longHandler returns a handler with n statements of each of several kinds.
func longHandler(n int) string {
	var b strings.Builder
	b.WriteString("t = table()\ncalls = count()\nlat = hist()\ndef h(e):\n    x = e.args.i64\n    y = e.args.u32\n    t[0] = 1\n")
	for i := 0; i < n; i++ {
		fmt.Fprintf(&b, "    if x > %d and e.pid != %d:\n        x = x * 3 + y\n    else:\n        y = y ^ %d\n", i, i, i)
		fmt.Fprintf(&b, "    if y == %d:\n        calls.add(by=(e.comm, x))\n", i)
		fmt.Fprintf(&b, "    t[x] = t.get(y, 0) + %d\n", i)
	}
	b.WriteString("    lat.add(x, by=y)\n")
	return b.String()
}

// BenchmarkCompile compiles handlers of increasing length.
func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{1, 10, 50, 200} {
		s := parseSource(b, "long.star", longHandler(n))
		b.Run(fmt.Sprintf("lines=%d", 7*n), func(b *testing.B) {
			values := 0
			for b.Loop() {
				req := s.request(b)
				req.Pass = func(pass string, f *ir.Func) {
					if pass == "lower" {
						values = max(values, f.NumValues())
					}
				}
				p, err := Compile(req)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(p.Instructions)), "insns")
			}
			b.ReportMetric(float64(values), "values")
		})
	}
}

// BenchmarkCompileKinds compiles long handlers, one for each kind of source.
func BenchmarkCompileKinds(b *testing.B) {
	for _, g := range growing {
		s := parseSource(b, "long.star", g.source(g.n/8))
		b.Run(strings.ReplaceAll(g.name, " ", "_"), func(b *testing.B) {
			for b.Loop() {
				req := s.request(b)
				req.Pass = nil
				if _, err := Compile(req); err != nil && !strings.Contains(err.Error(), "bytes of stack") {
					b.Fatal(err)
				}
			}
		})
	}
}
