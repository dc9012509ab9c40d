package bpf

import (
	"fmt"
	"os"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

func TestMain(m *testing.M) {
	if err := sys.Prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(leakcheck.Main(m, nil))
}
