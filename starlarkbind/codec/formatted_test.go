package codec

import (
	"strconv"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Texts that cannot be converted back are remembered up to a limit, which is at least the number of
// keys of the largest map.
func TestShownIsFlat(t *testing.T) {
	for _, keys := range []int{0, 4096, 3 * formattedLeast} {
		var s FormattedTexts
		s.AtLeast(keys)
		s.AtLeast(16)
		most := max(formattedLeast, keys)
		key := func(i int) formattedKey { return formattedKey{"usym", "", strconv.Itoa(i)} }
		for i := range 5 * most {
			s.put(key(i), types.Words{uint64(i)})
			if n := len(s.Now) + len(s.Old); n > 2*most {
				t.Fatalf("%d keys: it remembers %d", keys, n)
			}
		}
		for i := 4 * most; i < 5*most; i++ {
			if v, ok := s.get(key(i)); !ok || v[0] != uint64(i) {
				t.Fatalf("%d keys: %d is %v", keys, i, v)
			}
		}
		if v, ok := s.get(key(0)); ok {
			t.Errorf("%d keys: it still has %v", keys, v)
		}
	}
}
