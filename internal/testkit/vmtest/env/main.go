// Command env is /usr/bin/env of a virtual machine that runs tests (see package vmtest). Scripts
// begin with "#!/usr/bin/env PROGRAM".
package main

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

func main() {
	err := fmt.Errorf("no program")
	if len(os.Args) > 1 {
		var file string
		if file, err = exec.LookPath(os.Args[1]); err == nil {
			err = unix.Exec(file, os.Args[1:], os.Environ())
		}
	}
	fmt.Fprintln(os.Stderr, "env:", err)
	os.Exit(127)
}
