// Package vmtest runs static programs, mainly the project's test binaries, in throw-away virtual
// machines with kernels other than the host's. The kernels are Debian's; QEMU runs them by pure
// emulation (TCG), so no hardware virtualization is needed. A virtual machine boots in two to four
// seconds. It contains no disk image and no distribution, only the kernel and an initramfs with our
// own init (vminit) and the program.
//
// A run never passes without executing. A kernel that cannot be downloaded, a virtual machine that
// prints no closing line, and a test that the binary contains but the output does not mention are
// all errors.
//
//	vmtest.go  the kernels, and where downloads are kept
//	fetch.go   downloading kernels and QEMU
//	qemu.go    finding a QEMU
//	cpio.go    the initramfs
//	vm.go      one run in a virtual machine
//	watch.go   ending a virtual machine that hangs
//	runner.go  running a test binary until each test has a verdict
//	suite.go   all packages under all kernels
//	soak.go    the suite many times, on a loaded host
//	table.go   the generated tables of features and probe kinds
package vmtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A Kernel is a kernel that tests run under.
type Kernel struct {
	Name  string // as used on the command line and in reports
	Suite string // Debian suite whose current kernel this is
	match *regexp.Regexp
}

// Kernels returns the supported kernels, oldest first.
func Kernels() []Kernel {
	return []Kernel{
		{"5.10", "bullseye", regexp.MustCompile(`^5\.10\.`)},
		{"6.1", "bookworm", regexp.MustCompile(`^6\.1\.`)},
		{"6.12", "trixie", regexp.MustCompile(`^6\.12\.`)},
		{"7.2", "sid", regexp.MustCompile(`^([7-9]|[1-9]\d)\.`)}, // whatever sid currently has
	}
}

// FindKernel returns the kernel with the given name. The error for an unknown name lists the valid
// ones.
func FindKernel(name string) (Kernel, error) {
	var names []string
	for _, k := range Kernels() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kernel{}, fmt.Errorf("no kernel %q (available: %s)", name, strings.Join(names, ", "))
}

// cacheDir returns the directory of cached kernels, which the environment variable KERNELS
// overrides. Each release has a subdirectory that contains its vmlinux.
func cacheDir() (string, error) {
	if dir := os.Getenv("KERNELS"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "bpfrepl", "kernels"), err
}

// cached returns the newest release in the cache that belongs to k, or "" if there is none.
func (k Kernel) cached(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", moduleFile))
	if err != nil {
		return "", err
	}
	best := ""
	for _, f := range found {
		release := filepath.Base(filepath.Dir(f))
		if k.match.MatchString(release) && (best == "" || newer(release, best)) {
			best = release
		}
	}
	return best, nil
}

// newer reports whether release a is newer than b. It compares their numbers: 6.12.9 is older than
// 6.12.117.
func newer(a, b string) bool {
	number := regexp.MustCompile(`\d+`)
	as, bs := number.FindAllString(a, -1), number.FindAllString(b, -1)
	for i := range min(len(as), len(bs)) {
		x, errx := strconv.ParseUint(as[i], 10, 64)
		y, erry := strconv.ParseUint(bs[i], 10, 64)
		if errx == nil && erry == nil && x != y {
			return x > y
		}
	}
	return len(as) > len(bs)
}
