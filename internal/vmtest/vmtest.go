// Package vmtest runs static programs, the project's test binaries above all, in throw-away virtual machines under other
// kernels than the machine's own: Debian's, in QEMU without hardware help. A machine boots in two to four seconds. There is
// no image and no distribution in it: the kernel, an initramfs with our own init (vminit) and the program.
//
// Nothing here ends well without having run: a kernel that cannot be had, a machine without a closing line, a test that the
// binary has and the output does not tell of, are all errors.
package vmtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A Kernel is one that tests run under.
type Kernel struct {
	Name  string // on the command line and in reports
	Suite string // of Debian, whose current kernel it is
	match *regexp.Regexp
}

// Kernels gives the table, oldest first.
func Kernels() []Kernel {
	return []Kernel{
		{"5.10", "bullseye", regexp.MustCompile(`^5\.10\.`)},
		{"6.1", "bookworm", regexp.MustCompile(`^6\.1\.`)},
		{"6.12", "trixie", regexp.MustCompile(`^6\.12\.`)},
		{"7.2", "sid", regexp.MustCompile(`^([7-9]|[1-9]\d)\.`)}, // and what sid has later
	}
}

// FindKernel gives the kernel of that name.
func FindKernel(name string) (Kernel, error) {
	var names []string
	for _, k := range Kernels() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kernel{}, fmt.Errorf("no kernel %q (there are %s)", name, strings.Join(names, ", "))
}

// cacheDir is where kernels are kept, a folder for each release with vmlinux in it.
func cacheDir() (string, error) {
	if dir := os.Getenv("KERNELS"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "bpfrepl", "kernels"), err
}

// cached gives the newest release of the kernel that is in the cache, or "".
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

// newer compares releases by their numbers: 6.12.9 is before 6.12.117.
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
