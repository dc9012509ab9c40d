package starlarkbind

import (
	"sync"

	"go.starlark.net/starlark"
)

// shownKey is a text shown by a format that cannot be converted back (usym, strftime).
type shownKey struct{ form, arg, text string }

// shownTexts remembers the values that such texts were made from, so that a script can use the
// texts as keys. A session may show any number of texts, so the oldest are forgotten: between most
// and twice most are kept.
type shownTexts struct {
	mu       sync.Mutex
	most     int // 0 means shownLeast
	now, old map[shownKey]starlark.Value
}

// shownLeast is the minimum number of texts to remember.
const shownLeast = 1 << 16

// atLeast makes room for all keys of a map, because a script may show all of them before it uses
// one.
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
