package starlarkbind

import (
	"sync"

	"go.starlark.net/starlark"
)

// shownKey is a text that was shown in a form without a way back (usym, strftime).
type shownKey struct{ form, arg, text string }

// shownTexts remembers what such texts stood for, so that a script can use them as keys. A session may show them without end,
// so it forgets the oldest: it keeps between one and two times most of them.
type shownTexts struct {
	mu       sync.Mutex
	most     int // 0: shownLeast
	now, old map[shownKey]starlark.Value
}

// shownLeast is how many texts are remembered in any case.
const shownLeast = 1 << 16

// atLeast makes room for the keys of a map, all of which may be shown before one is used.
func (t *shownTexts) atLeast(keys int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = max(t.most, shownLeast, keys)
}

func (t *shownTexts) put(k shownKey, v starlark.Value) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.now) >= max(t.most, shownLeast) {
		t.now, t.old = nil, t.now
	}
	if t.now == nil {
		t.now = map[shownKey]starlark.Value{}
	}
	t.now[k] = v
}

func (t *shownTexts) get(k shownKey) (starlark.Value, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.now[k]
	if !ok {
		v, ok = t.old[k]
	}
	return v, ok
}
