package compiler

import "testing"

// Comparisons with e.probe or e.func have a known result if the program serves a single probe. They
// are then decided at compile time in filters, branches, values and loops.
func TestKnownNames(t *testing.T) {
	for _, handler := range []string{
		"h = lambda e: c.add(by=e.func == \"malloc\")\n",
		"def h(e):\n    if e.func != \"malloc\":\n        c.add()\n    else:\n        c.add(2)\n",
		"def h(e):\n    if e.probe == \"tracepoint:test:event\" or e.pid > 3:\n        c.add()\n    while e.probe != \"x\":\n        c.add()\n",
	} {
		for _, filter := range []string{"e.func == \"malloc\"", "e.func != \"malloc\"", "e.probe != \"malloc\"", "e.probe == \"tracepoint:test:event\" and e.pid == 1"} {
			for _, fn := range []string{"malloc", "vfs_read"} {
				s := parseSource(t, "known.star", "c = sum()\nf = lambda e: "+filter+"\n"+handler)
				req := s.request(t)
				req.Filter, req.Event.Func = s.ents["f"].(*Func), fn
				if _, err := Compile(req); err != nil {
					t.Errorf("filter %s in %s:\n%s%v", filter, fn, handler, err)
				}
			}
		}
	}
}
