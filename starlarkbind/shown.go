package starlarkbind

import (
	"sync"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// shownKey is a text shown in a format that cannot be parsed (usym, strftime).
type shownKey struct{ form, arg, text string }

// shownTexts remembers the values that such texts were made from, so that a script can use the
// texts as keys. A session may show any number of texts, so the oldest are forgotten: between most
// and twice most are kept.
type shownTexts struct {
	mu       sync.Mutex
	most     int // 0 means shownLeast
	now, old map[shownKey]types.Words
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

func (t *shownTexts) put(k shownKey, w types.Words) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.now) >= max(t.most, shownLeast) {
		t.now, t.old = nil, t.now
	}
	if t.now == nil {
		t.now = map[shownKey]types.Words{}
	}
	t.now[k] = w
}

func (t *shownTexts) get(k shownKey) (types.Words, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.now[k]
	if !ok {
		w, ok = t.old[k]
	}
	return w, ok
}
