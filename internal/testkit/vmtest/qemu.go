package vmtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// fixedQEMU is the first release of QEMU whose translator locks the pages that it reads. An older
// one may translate code while another CPU patches it, and then keep the old code permanently, so a
// kernel that switches tracepoints on and off locks up (fixed by QEMU's commit deba78709ae8,
// "accel/tcg: Always lock pages before translation").
const fixedQEMU = "8.1"

const qemuProgram = "qemu-system-x86_64"

// qemuPackages are the packages fetched if the host's QEMU is too old. Shared libraries come from
// the QEMU package that the host has installed.
var qemuPackages = []string{"qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"}

// qemu is an installed QEMU.
type qemu struct {
	command []string // program and the arguments that locate its data files
	version string
}

// fixed reports whether kernels may safely patch their own code under this QEMU.
func (q qemu) fixed() bool { return q.version == fixedQEMU || newer(q.version, fixedQEMU) }

// findQEMU returns the host's QEMU, or the one in the cache if the host's is too old or missing and
// the cache has one.
func findQEMU() (qemu, error) {
	own, err := askQEMU(qemuProgram)
	if err == nil && own.fixed() {
		return own, nil
	}
	cache, cerr := cacheDir()
	if cerr != nil {
		return qemu{}, errors.Join(err, cerr)
	}
	if _, serr := os.Stat(filepath.Join(cache, "qemu")); errors.Is(serr, os.ErrNotExist) {
		return own, err
	}
	return unpackedQEMU(filepath.Join(cache, "qemu"))
}

func askQEMU(command ...string) (qemu, error) {
	out, err := exec.Command(command[0], append(command[1:len(command):len(command)], "--version")...).CombinedOutput()
	if err != nil {
		return qemu{}, fmt.Errorf("%s --version: %w\n%s", command[0], err, out)
	}
	m := regexp.MustCompile(`QEMU emulator version (\d+(?:\.\d+)*)`).FindSubmatch(out)
	if m == nil {
		return qemu{}, fmt.Errorf("%s has no version of QEMU: %s", command[0], out)
	}
	return qemu{command: command, version: string(m[1])}, nil
}

func unpackedQEMU(root string) (qemu, error) {
	share := filepath.Join(root, "usr/share")
	return askQEMU(filepath.Join(root, "usr/bin", qemuProgram), "-L", filepath.Join(share, "qemu"), "-L", filepath.Join(share, "seabios"))
}

// fetchQEMU installs QEMU from the host distribution's backports suite into the cache.
func fetchQEMU(log io.Writer) (err error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return err
	}
	name := regexp.MustCompile(`(?m)^VERSION_CODENAME=(\w+)`).FindSubmatch(release)
	if name == nil {
		return errors.New("/etc/os-release has no VERSION_CODENAME")
	}
	suite := string(name[1]) + "-backports"
	fmt.Fprintf(log, "vmtest: fetching QEMU of Debian %s\n", suite)
	return inCache(func(cache string) (err error) {
		tmp, err := os.MkdirTemp(cache, "part")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
		a, err := newApt(tmp, suite)
		if err != nil {
			return err
		}
		root, err := a.unpack(qemuPackages)
		if err != nil {
			return err
		}
		if q, err := unpackedQEMU(root); err != nil {
			return err
		} else if !q.fixed() {
			return fmt.Errorf("%s has QEMU %s", suite, q.version)
		}
		if err := os.Rename(root, filepath.Join(cache, "qemu")); !errors.Is(err, os.ErrExist) { // another process installed it first
			return err
		}
		return nil
	})
}
