// Command cmd runs a static program under another kernel, or the project's tests under all of them.
//
//	go run ./internal/testkit/vmtest/cmd -k 6.1 -- ./x.test -test.v    run one program
//	go run ./internal/testkit/vmtest/cmd -suite                        run the tests that touch the kernel
//	go run ./internal/testkit/vmtest/cmd -fetch                        only fetch the kernels
//	go run ./internal/testkit/vmtest/cmd -table                        regenerate docs/kernels.md
//
// With a program, cmd exits with the status of the program, or 125 if there is none. -suite covers
// every package that touches the kernel. -table queries all these kernels and that of the host.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/vmtest"
)

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	status := run()
	if err := buildbin.Clean(); err != nil {
		fmt.Fprintln(os.Stderr, "vmtest:", err)
		status = 125
	}
	os.Exit(status)
}

func run() int {
	var env, files, kernels list
	flag.Var(&kernels, "k", "`kernel`: 5.10, 6.1, 6.12 or 7.2; may be repeated")
	flag.Var(&env, "e", "`NAME=VALUE` for the program; may be repeated")
	flag.Var(&files, "f", "`FILE or folder` that the program needs; it is placed next to the program; may be repeated")
	limit := flag.Duration("t", 5*time.Minute, "time limit for each virtual machine")
	suite := flag.Bool("suite", false, "build the project's tests and run them under all kernels (or those of -k)")
	pkg := flag.String("pkg", "", "with -suite: the tests of one `package`: bpf, starlarkbind, ...")
	only := flag.String("run", "", "with -suite: tests whose names match the `pattern`; TestA/b chooses subtests")
	checks := flag.Int("checks", 0, "with -suite: random handlers for the oracle under each kernel")
	boot := flag.String("boot", "", "with -suite: added to the kernel's `command line`: preempt=full")
	accel := flag.String("accel", "", "QEMU's `accelerator`: tcg,thread=single emulates all processors in one thread")
	keep := flag.String("keep", "", "with -suite: keep the output of each machine in this `folder`, as it is printed")
	soak := flag.Int("soak", 0, "with -suite: run it this many `times`, next to two busy loops")
	fetch := flag.Bool("fetch", false, "fetch the kernels and everything needed to run them")
	table := flag.Bool("table", false, "query the features of all kernels, including the host's, and rewrite docs/kernels.md")
	flag.Parse()
	err := vmtest.Install(os.Stderr)
	if err == nil {
		var ks []vmtest.Kernel
		if ks, err = choose(kernels); err == nil {
			switch {
			case *fetch:
				err = fetchAll(ks)
			case *suite:
				s := vmtest.Suite{Kernels: ks, Package: *pkg, Run: *only, Checks: *checks, Boot: *boot, Accel: *accel, Limit: *limit, Keep: *keep, Log: os.Stdout}
				if *soak > 0 {
					err = s.Soak(*soak)
				} else {
					_, err = s.Do()
				}
			case *table:
				err = vmtest.WriteTable("docs/kernels.md", os.Stderr)
			case flag.NArg() == 0 || len(kernels) != 1:
				flag.Usage()
				return 2
			default:
				var status int
				if status, err = program(ks[0], env, files, *limit, *accel); err == nil {
					return status
				}
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmtest:", err)
		return 125
	}
	return 0
}

func choose(names []string) ([]vmtest.Kernel, error) {
	if len(names) == 0 {
		return vmtest.Kernels(), nil
	}
	var out []vmtest.Kernel
	for _, n := range names {
		k, err := vmtest.FindKernel(n)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

func fetchAll(ks []vmtest.Kernel) error {
	for _, k := range ks {
		dir, err := k.Fetch(os.Stderr)
		if err != nil {
			return err
		}
		fmt.Println(dir)
	}
	return nil
}

func program(k vmtest.Kernel, env, files []string, limit time.Duration, accel string) (int, error) {
	c := vmtest.Command{Program: flag.Arg(0), Args: flag.Args()[1:], Env: env, Files: vmtest.Files{}, Limit: limit, Accel: accel, Output: os.Stdout}
	for _, f := range files {
		if err := c.Files.AddTree("payload/"+filepath.Base(f), f, nil); err != nil {
			return 0, err
		}
	}
	res, err := k.Run(c)
	fmt.Fprintf(os.Stderr, "vmtest: kernel %s, %.1f s\n", res.Release, res.Took.Seconds())
	return res.Status, err
}
