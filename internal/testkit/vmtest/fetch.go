package vmtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/testkit/aptget"
)

// tools are the external programs that this package runs.
var tools = []aptget.Tool{
	{Command: "qemu-system-x86_64", Package: "qemu-system-x86"}, {Command: "zstd", Package: "zstd"}, {Command: "lz4", Package: "lz4"}, {Command: "xz", Package: "xz-utils"},
}

// Install installs missing tools with apt-get. If QEMU is older than fixedQEMU, it also fetches a
// newer one into the cache; if that fails, Install only writes a warning to log.
func Install(log io.Writer) error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("virtual machines need amd64, this is %s", runtime.GOARCH)
	}
	if err := aptget.Install(log, tools...); err != nil {
		return err
	}
	q, err := findQEMU()
	if err != nil || q.fixed() {
		return err
	}
	if err := fetchQEMU(log); err != nil {
		fmt.Fprintf(log, "vmtest: QEMU %s is older than %s, so kernels may lock up, and no newer one can be fetched: %v\n", q.version, fixedQEMU, err)
	}
	return nil
}

// inCache calls f with the cache directory. A lock file allows one process at a time.
func inCache(f func(cache string) error) (err error) {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return f(cache)
}

// Fetch returns the directory of the kernel in the cache. If the kernel is not cached yet, Fetch
// downloads it from the mirror that apt uses. A cached kernel is never updated; to get a newer one,
// remove its directory.
func (k Kernel) Fetch(log io.Writer) (dir string, err error) {
	err = inCache(func(cache string) error {
		release, err := k.cached(cache)
		if err == nil && release == "" {
			fmt.Fprintf(log, "vmtest: fetching kernel %s of Debian %s\n", k.Name, k.Suite)
			release, err = k.download(cache)
		}
		dir = filepath.Join(cache, release)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("kernel %s (Debian %s) is not available: %w", k.Name, k.Suite, err)
	}
	return dir, nil
}

// apt is a private set of package lists of one suite, separate from the host's.
type apt struct {
	dir  string
	args []string
}

func newApt(dir, suite string) (*apt, error) {
	mirror, err := aptMirror()
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial", "download", "unpacked"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	line := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", mirror, suite)
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(line), 0o600); err != nil {
		return nil, err
	}
	a := &apt{dir: dir}
	for _, o := range []string{"Dir::State::lists=" + dir + "/lists", "Dir::State::status=/dev/null", "Dir::Cache=" + dir + "/cache",
		"Dir::Etc::sourcelist=" + dir + "/sources.list", "Dir::Etc::sourceparts=/dev/null", "Dir::Etc::preferencesparts=/dev/null",
		"APT::Sandbox::User=root", "Acquire::Languages=none", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", "Acquire::Retries=3", "Debug::NoLocking=1"} {
		a.args = append(a.args, "-o", o)
	}
	_, err = a.run("apt-get", "-qq", "update")
	return a, err
}

func (a *apt) run(command string, args ...string) (string, error) {
	cmd := exec.Command(command, append(append([]string{}, a.args...), args...)...)
	cmd.Dir = filepath.Join(a.dir, "download")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", command, strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// aptMirror returns the first package mirror in the host's apt configuration.
func aptMirror() (string, error) {
	files, err := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	if err != nil {
		return "", err
	}
	address := regexp.MustCompile(`(?m)^(?:URIs:|deb(?:\s+\[.*\])?)\s+(\S+://\S+)`)
	for _, f := range append(files, "/etc/apt/sources.list") {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if m := address.FindSubmatch(text); m != nil {
			return string(m[1]), nil
		}
	}
	return "", errors.New("apt has no mirror in /etc/apt")
}

// imagePackages returns the release of the suite's cloud kernel and the packages that make it up:
// newer suites split the image, the modules and the common files into separate packages.
func (a *apt) imagePackages() (release string, pkgs []string, err error) {
	meta, err := a.run("apt-cache", "show", "--no-all-versions", "linux-image-cloud-amd64")
	if err != nil {
		return "", nil, err
	}
	m := regexp.MustCompile(`(?m)^Depends:.*\blinux-image-(\d[^ ,]*)`).FindStringSubmatch(meta)
	if m == nil {
		return "", nil, fmt.Errorf("no kernel among what linux-image-cloud-amd64 depends on:\n%s", meta)
	}
	image := "linux-image-" + m[1]
	info, err := a.run("apt-cache", "show", "--no-all-versions", image)
	if err != nil {
		return "", nil, err
	}
	pkgs = []string{image}
	for _, p := range regexp.MustCompile(`\blinux-[a-z]+-`+regexp.QuoteMeta(m[1])+`\b`).FindAllString(info, -1) {
		if p != image && p != "linux-headers-"+m[1] {
			pkgs = append(pkgs, p)
		}
	}
	return m[1], pkgs, nil
}

// unpack downloads packages of the suite and returns the directory that contains their unpacked
// files.
func (a *apt) unpack(pkgs []string) (root string, err error) {
	pkgs = slices.Clone(pkgs)
	slices.Sort(pkgs)
	for _, p := range slices.Compact(pkgs) {
		if _, err := a.run("apt-get", "-qq", "download", p); err != nil {
			return "", err
		}
	}
	debs, err := filepath.Glob(filepath.Join(a.dir, "download", "*.deb"))
	if err != nil {
		return "", err
	}
	root = filepath.Join(a.dir, "unpacked")
	for _, d := range debs {
		if out, err := exec.Command("dpkg-deb", "-x", d, root).CombinedOutput(); err != nil {
			return "", fmt.Errorf("unpack %s: %w\n%s", filepath.Base(d), err, out)
		}
	}
	return root, nil
}

// download stores the suite's current kernel in the cache and returns its release.
func (k Kernel) download(cache string) (release string, err error) {
	tmp, err := os.MkdirTemp("", "vmtest")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	a, err := newApt(tmp, k.Suite)
	if err != nil {
		return "", err
	}
	release, pkgs, err := a.imagePackages()
	if err != nil {
		return "", err
	}
	if !k.match.MatchString(release) {
		return "", fmt.Errorf("the suite has %s now", release)
	}
	root, err := a.unpack(pkgs)
	if err != nil {
		return "", err
	}
	var image []byte
	for _, p := range []string{"boot/vmlinuz-" + release, "lib/modules/" + release + "/vmlinuz", "usr/lib/modules/" + release + "/vmlinuz"} {
		if image, err = os.ReadFile(filepath.Join(root, p)); err == nil {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("no image in the packages %v: %w", pkgs, err)
	}
	elf, err := extract(image)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, release)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, imageFile), elf, 0o644); err != nil {
		return "", err
	}
	module, err := findModule(root)
	if err != nil {
		return "", err
	}
	// The module's final name marks the entry as complete, so it comes last.
	part := filepath.Join(dir, "part")
	if err := os.WriteFile(part, module, 0o644); err != nil {
		return "", err
	}
	return release, os.Rename(part, filepath.Join(dir, moduleFile))
}

// Files that the cache stores for a kernel: its image, and a module for tests to load.
const (
	imageFile  = "vmlinux"
	moduleFile = "tun.ko"
)

// findModule returns the module's ELF file. Newer kernels compress it.
func findModule(root string) ([]byte, error) {
	var file string
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(p), moduleFile) {
			file = p
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if file == "" {
		return nil, fmt.Errorf("the packages have no module %s", moduleFile)
	}
	data, err := os.ReadFile(file)
	if err != nil || filepath.Base(file) == moduleFile {
		return data, err
	}
	return extract(data)
}

// compressions are the formats that a kernel's bzImage may use, with the tools that unpack them.
var compressions = []struct {
	magic string
	tool  []string
}{
	{"\x28\xb5\x2f\xfd", []string{"zstd", "-dcq"}},
	{"\x02\x21\x4c\x18", []string{"lz4", "-dcq"}},
	{"\xfd7zXZ\x00", []string{"xz", "-dcq"}},
	{"\x1f\x8b\x08", []string{"gzip", "-dcq"}},
}

// extract returns the ELF file inside a bzImage or a compressed module. With an uncompressed
// kernel, nothing has to be decompressed inside the emulator at boot.
func extract(image []byte) ([]byte, error) {
	for _, c := range compressions {
		rest := image
		for range 20 { // other data may contain the magic number too
			i := bytes.Index(rest, []byte(c.magic))
			if i < 0 {
				break
			}
			rest = rest[i:]
			if elf := decompress(c.tool, rest); elf != nil {
				return elf, nil
			}
			rest = rest[1:]
		}
	}
	return nil, errors.New("the image holds no ELF file that is compressed with zstd, lz4, xz or gzip")
}

// decompress returns nil if data does not start with a compressed ELF file. The tool's exit status
// is ignored, because other data follows the compressed file.
func decompress(tool []string, data []byte) []byte {
	cmd := exec.Command(tool[0], tool[1:]...)
	cmd.Stdin = bytes.NewReader(data)
	pipe, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	r := bufio.NewReader(pipe)
	var out []byte
	if head, err := r.Peek(4); err == nil && string(head) == "\x7fELF" {
		out, _ = io.ReadAll(r)
	} else {
		pipe.Close() // any other output is of no interest
	}
	cmd.Wait()
	return out
}
