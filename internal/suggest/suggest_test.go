package suggest

import (
	"reflect"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"tracepoint", "rawtracepoint", "kprobe", "uprobe", "profile", "_"}
	for _, c := range []struct {
		word string
		want []string
	}{
		{"tracepont", []string{"tracepoint", "rawtracepoint"}},
		{"tarcepoint", []string{"tracepoint", "rawtracepoint"}},
		{"kprobe", []string{"kprobe", "uprobe"}},
		{"xyz", nil},
		{"", nil},
		{"q", nil},
	} {
		if got := Nearest(c.word, names, 3); !reflect.DeepEqual(got, c.want) {
			t.Errorf("Nearest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}
