// Package aptget installs programs that tests run and a freshly installed host does not have, so
// that the test suite needs no manual setup.
package aptget

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A Tool is a command and the Debian package that contains it.
type Tool struct{ Command, Package string }

// Install installs the packages of those tools whose commands are not in PATH, and writes their
// names to log.
func Install(log io.Writer, tools ...Tool) error {
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.Command); err != nil {
			missing = append(missing, t.Package)
		}
	}
	if missing == nil {
		return nil
	}
	fmt.Fprintln(log, "installing", strings.Join(missing, " "))
	for _, argv := range [][]string{{"update", "-qq"}, append([]string{"install", "-qq", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, argv...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(argv, " "), err, out)
		}
	}
	return nil
}
