package feature

import (
	"errors"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// TestFeatures checks that the probe of each feature has a definite result, and that the kernel
// versions on which programs depend agree with it.
func TestFeatures(t *testing.T) {
	k, err := sys.Running()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, f := range All() {
		err := f.Probe()
		var missing *NotSupportedError
		if err != nil && !errors.As(err, &missing) {
			t.Errorf("%s: %v", f.Name, err)
		}
		have[f.Name] = err == nil
	}
	for name, says := range map[string]bool{"fetch_atomics": k.HaveFetchAtomics(), "perf_link": k.HavePerfLink(), "for_each_map_elem": k.AtLeast(5, 13), "bpf_loop": k.AtLeast(5, 17),
		"long_keys": k.AtLeast(5, 11), "lookup_percpu_elem": k.AtLeast(5, 19), "uprobe_multi": k.HaveUprobeMulti(false)} {
		if have[name] != says {
			t.Errorf("%s: %v, the version says %v", name, have[name], says)
		}
	}
}
