package cellwidth

import "testing"

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{"": 0, "plain": 5, "naïve": 5, "e\u0301": 1, "日本語": 6, "한글": 4, "ｶ": 1, "Ａ": 2, "🔥": 2, "✅": 2, "⚡": 2, "→": 1, "│": 1, "\u200d": 0, "👍\ufe0f": 2} {
		if got := Width(s); got != want {
			t.Errorf("%q: %d columns, want %d", s, got, want)
		}
	}
}
