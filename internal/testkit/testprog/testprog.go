// Package testprog contains programs in C, C++, Rust and Go that tests attach probes to. Those that
// Names lists are linked statically, so that they also run under other kernels in virtual machines,
// which have neither compilers nor libraries.
package testprog

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/testkit/aptget"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

//go:embed src
var sources embed.FS

// programs maps the name of a program to its compiler, source file and compiler flags.
var programs = map[string][]string{
	"calls":   {"gcc", "calls.c", "-O1", "-static"},
	"spaces":  {"gcc", "spaces.c", "-O1", "-static"},
	"widget":  {"g++", "widget.cc", "-O1", "-static"},
	"unwind":  {"g++", "unwind.cc", "-O2", "-static"},
	"panics":  {"rustc", "panics.rs", "-O", "-C", "target-feature=+crt-static", "-C", "strip=debuginfo"},
	"jumps":   {"gcc", "jumps.c", "-O1", "-static"},
	"sdt":     {"gcc", "sdt.c", "-O1", "-static-pie"},
	"sdt0":    {"gcc", "sdt.c", "-O0", "-no-pie", "-static"},
	"threads": {"gcc", "threads.c", "-O1", "-static", "-pthread"},
	"gated":   {"gcc", "gated.c", "-O1", "-static"},
	"frames":  {"gcc", "frames.c", "-O1", "-no-pie", "-static"},
	"faults":  {"gcc", "faults.c", "-O1", "-static"},
	"watched": {"gcc", "watched.c", "-O1", "-no-pie", "-static"},
	"many":    {"gcc", "many.c", "-O1", "-static"},
	"nested":  {"gcc", "nested.c", "-O1", "-static"},
	"probed":  {"gcc", "probed.c", "-O1", "-no-pie"},
}

// Names returns the programs that run anywhere, without shared libraries.
func Names() []string {
	names := []string{"goprog", "gostripped"}
	for name, argv := range programs {
		if slices.ContainsFunc(argv, func(a string) bool { return strings.HasPrefix(a, "-static") || a == "target-feature=+crt-static" }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Build returns the path of the program with the given name. It builds the program once in a
// process; buildbin.Clean removes it.
func Build(name string) (string, error) {
	if bin, given, err := buildbin.Given(name); given {
		return bin, err
	}
	if name == "goprog" {
		return buildbin.Build("internal/testkit/testprog/goprog")
	}
	return buildbin.Once("testprog "+name, name, func(dir, bin string) error { return compile(name, dir, bin) })
}

func compile(name, dir, bin string) error {
	var argv []string
	if name == "gostripped" {
		whole, err := buildbin.Build("internal/testkit/testprog/goprog")
		if err != nil {
			return err
		}
		argv = []string{"strip", "-o", bin, whole}
	} else {
		p, ok := programs[name]
		if !ok {
			return fmt.Errorf("no test program %q", name)
		}
		text, err := sources.ReadFile("src/" + p[1])
		if err != nil {
			return err
		}
		file := filepath.Join(dir, p[1])
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		argv = append([]string{p[0], "-o", bin, file}, p[2:]...)
	}
	if argv[0] == "rustc" {
		if err := aptget.Install(os.Stderr, aptget.Tool{Command: "rustc", Package: "rustc"}); err != nil {
			return err
		}
	}
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", argv, err, out)
	}
	return nil
}
