package codec

import (
	"sync"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// formattedKey is a text in a format that cannot be parsed (usym, strftime).
type formattedKey struct{ form, arg, text string }

// FormattedTexts remembers the values that such texts were made from, so that a script can use the
// texts as keys. A session may show any number of texts, so the oldest are forgotten: between most
// and twice most are kept.
type FormattedTexts struct {
	mu       sync.Mutex
	most     int // 0 means formattedLeast
	Now, Old map[formattedKey]types.Words
}

// formattedLeast is the minimum number of texts to remember.
const formattedLeast = 1 << 16

// AtLeast makes room for all keys of a map, because a script may show all of them before it uses
// one.
func (t *FormattedTexts) AtLeast(keys int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = max(t.most, formattedLeast, keys)
}

func (t *FormattedTexts) put(k formattedKey, w types.Words) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.Now) >= max(t.most, formattedLeast) {
		t.Now, t.Old = nil, t.Now
	}
	if t.Now == nil {
		t.Now = map[formattedKey]types.Words{}
	}
	t.Now[k] = w
}

func (t *FormattedTexts) get(k formattedKey) (types.Words, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.Now[k]
	if !ok {
		w, ok = t.Old[k]
	}
	return w, ok
}
