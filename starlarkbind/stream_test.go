package starlarkbind

import (
	"strings"
	"testing"
)

func TestStreamErrors(t *testing.T) {
	for src, want := range map[string]string{
		`stream(size="1MB")`:                  `stream: size must be a number of bytes up to 1GiB, such as 65536 or "1MiB", got "1MB"`,
		`stream(size=0)`:                      `stream: size must be a number of bytes up to 1GiB, such as 65536 or "1MiB", got 0`,
		`s = stream(); s.take(1, timeout=-1)`: `take: seconds must be from 0 to 1e9, got -1`,
	} {
		l := newLive(t, nil)
		err := l.script(src)
		if err == nil || !strings.Contains(l.FormatError(err), want) {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
