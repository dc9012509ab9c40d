package kmap

import (
	"os"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
)

func TestMain(m *testing.M) {
	os.Exit(leakcheck.Prepared(m, sys.Prepare, nil))
}
