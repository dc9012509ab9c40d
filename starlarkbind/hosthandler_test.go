package starlarkbind

import (
	"testing"
)

// load is a name where no load statement is possible.
func TestLoadAsName(t *testing.T) {
	expect(t, `
def f(load=3, other=1): return load + other
x = struct(load=5)
print(f(load=2), x.load, 'load', dict(load=1)['load'], [load for load in (1,)]) # load(
`, `3 5 load 1 [1]`)
	l := newLive(t, nil)
	if err := l.script("load = \n"); err == nil {
		t.Error("no error")
	}
}
