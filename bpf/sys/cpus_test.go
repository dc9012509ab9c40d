package sys

import (
	"fmt"
	"testing"
)

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string]string{"0": "[0]", "0-3": "[0 1 2 3]", "0-1,4,6-7": "[0 1 4 6 7]"} {
		got, err := parseCPUs(list)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "x", "1-", "3-1", "-"} {
		if got, err := parseCPUs(list); err == nil {
			t.Errorf("%q: %v, want an error", list, got)
		}
	}
}

func TestParseKernel(t *testing.T) {
	k, err := parseKernel("6.18.44-fc-v782")
	if err != nil || !k.AtLeast(6, 18) || !k.AtLeast(5, 99) || k.AtLeast(6, 19) || k.AtLeast(7, 0) {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := parseKernel("nonsense"); err == nil {
		t.Error("a release without numbers: no error")
	}
}
