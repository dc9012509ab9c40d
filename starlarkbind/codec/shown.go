package codec

import (
	"sync"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// shownKey is a text shown in a format that cannot be parsed (usym, strftime).
type shownKey struct{ form, arg, text string }

// ShownTexts remembers the values that such texts were made from, so that a script can use the
// texts as keys. A session may show any number of texts, so the oldest are forgotten: between most
// and twice most are kept.
type ShownTexts struct {
	mu       sync.Mutex
	most     int // 0 means shownLeast
	Now, Old map[shownKey]types.Words
}

// shownLeast is the minimum number of texts to remember.
const shownLeast = 1 << 16

// AtLeast makes room for all keys of a map, because a script may show all of them before it uses
// one.
func (t *ShownTexts) AtLeast(keys int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = max(t.most, shownLeast, keys)
}

func (t *ShownTexts) put(k shownKey, w types.Words) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.Now) >= max(t.most, shownLeast) {
		t.Now, t.Old = nil, t.Now
	}
	if t.Now == nil {
		t.Now = map[shownKey]types.Words{}
	}
	t.Now[k] = w
}

func (t *ShownTexts) get(k shownKey) (types.Words, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.Now[k]
	if !ok {
		w, ok = t.Old[k]
	}
	return w, ok
}
