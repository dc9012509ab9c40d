package main

import (
	"fmt"
	"os"

	"github.com/bpfrepl/bpfrepl/starlarkbind"
)

func prompt(c *config, opt starlarkbind.Options) int {
	fmt.Fprintln(os.Stderr, "no prompt yet")
	return 1
}
