package kinds

import (
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

// A kernel without the module bpf is refused with the boot parameter that adds it.
func TestLSMInactive(t *testing.T) {
	err := lsmInactive("lsm:file_open", "lockdown,capability,yama,apparmor\n")
	expect.Text(t, "inactive", err.Error(), `no probe "lsm:file_open": the kernel was booted without the BPF LSM, so programs at its hooks would never run (boot with lsm=lockdown,yama,apparmor,bpf)`)
	if err := lsmInactive("lsm:file_open", "lockdown,capability,bpf\n"); err != nil {
		t.Error(err)
	}
}
