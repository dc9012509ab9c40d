// Package aptget installs what tests call and a fresh machine lacks: the suite does all its set-up itself.
package aptget

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A Tool is a command, and Debian's package that has it.
type Tool struct{ Command, Package string }

// Install installs the tools that are missing, and tells log of it.
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
