package symbol

import (
	"encoding/binary"
	"os"

	"github.com/bpfrepl/bpfrepl/bpf/exe"
)

// KernelBuildID returns the build ID of the running kernel in hexadecimal, or "" if it has none.
func KernelBuildID() string {
	b, err := os.ReadFile("/sys/kernel/notes")
	if err != nil {
		return ""
	}
	return exe.BuildIDOf(b, binary.NativeEndian)
}
