package bpftest

import (
	"errors"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/feature"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// TestTable checks that docs/kernels.md agrees with the feature probes on this kernel.
func TestTable(t *testing.T) {
	if err := sys.Prepare(); err != nil {
		t.Fatal(err)
	}
	for _, f := range feature.All() {
		says, err := Table(f.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		err = f.Probe()
		var missing *feature.NotSupportedError
		if err != nil && !errors.As(err, &missing) {
			t.Errorf("%s: %v", f.Name, err)
		} else if has := err == nil; has != says {
			t.Errorf("%s: the kernel says %v (%v), docs/kernels.md %v", f.Name, has, err, says)
		}
	}
	if _, err := Table("nonsense"); err == nil {
		t.Error("a feature that is not in the table: no error")
	}
}
