package vmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/gobin"
	"github.com/bpfrepl/bpfrepl/internal/testprog"
)

// packages are those whose tests touch the kernel. without are tests that say nothing in such a machine, and why.
var packages = []struct{ pkg, without, why string }{
	{"bpf", "", ""},
	{"bpf/bpftest", "", ""},
	{"starlarkbind", "^(TestTimers|TestUprobeGo|TestPprof|TestPprofValues)$", "an emulated CPU misses samples when its host is busy, and traps of single steps when an interrupt comes with them; go tool pprof wants Go"},
	{"examples", "^(TestBiolatency|TestCPUProfile)$", "there is no disk; an emulated CPU misses samples"},
	{"cmd/bpfrepl", "^TestCapabilities$", "Debian's kernels give perf events to CAP_SYS_ADMIN alone (kernel.perf_event_paranoid=3), and there is no libc"},
}

// helpers are commands that tests build on a machine that has Go.
var helpers = []string{"internal/load", "cmd/bpfrepl"}

// moduleEnv tells tests where the kernel's module is.
const moduleEnv = "BPFREPL_TUN_KO"

// chances is how often a test is run that fails.
const chances = 3

// atOnce is how many machines run side by side; each has two processors.
const atOnce = 2

// A Suite is a run of the project's tests under other kernels. The working directory is the module's.
type Suite struct {
	Kernels []Kernel
	Run     string // pattern of test names, or ""
	Checks  int    // random handlers for the oracle, or 0 for the usual number
	Boot    string // see Command
	Limit   time.Duration
	Log     io.Writer
}

// binary is a package's test binary.
type binary struct {
	pkg, file string
	without   string   // pattern of tests that are left out
	tests     []string // what must be told of
}

// oracleChecks is how many random handlers the oracle runs under each kernel, if nothing else is said.
const oracleChecks = 100

// Do runs all and gives an error for each that failed.
func (s Suite) Do() (err error) {
	start := time.Now()
	tmp, err := os.MkdirTemp("", "vmtest")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	binaries, err := s.build(tmp)
	if err != nil {
		return err
	}
	files, err := helperFiles()
	if err != nil {
		return err
	}
	if _, err := gobin.Build("internal/vmtest/vminit"); err != nil {
		return err
	}
	for _, k := range s.Kernels {
		if _, err := k.Fetch(s.Log); err != nil {
			return err
		}
	}
	type job struct {
		k Kernel
		b binary
	}
	jobs := make(chan job)
	var mu sync.Mutex
	var errs []error
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for j := range jobs {
				report, err := s.one(j.k, j.b, files)
				mu.Lock()
				if err != nil {
					errs = append(errs, fmt.Errorf("%s under %s: %w", j.b.pkg, j.k.Name, err))
				}
				fmt.Fprint(s.Log, report)
				mu.Unlock()
			}
		})
	}
	for _, b := range binaries {
		for _, k := range s.Kernels {
			jobs <- job{k, b}
		}
	}
	close(jobs)
	workers.Wait()
	fmt.Fprintf(s.Log, "vmtest: %d kernels, %d test binaries, %.0f s\n", len(s.Kernels), len(binaries), time.Since(start).Seconds())
	return errors.Join(errs...)
}

// helperFiles builds the programs that tests start.
func helperFiles() (Files, error) {
	files := Files{}
	for _, h := range helpers {
		bin, err := gobin.Build(h)
		if err != nil {
			return nil, err
		}
		files["helpers/"+path.Base(h)] = bin
	}
	for _, name := range testprog.Names() {
		bin, err := testprog.Build(name)
		if err != nil {
			return nil, err
		}
		files["helpers/"+name] = bin
	}
	var err error
	if files["usr/bin/env"], err = gobin.Build("internal/vmtest/env"); err != nil {
		return nil, err
	}
	return files, nil
}

// build makes the test binaries, and lists their tests.
func (s Suite) build(tmp string) ([]binary, error) {
	var out []binary
	pattern := s.Run
	if pattern == "" {
		pattern = "^Test"
	}
	for _, p := range packages {
		pkg := p.pkg
		b := binary{pkg: pkg, without: p.without, file: filepath.Join(tmp, path.Base(pkg)+".test")}
		cmd := exec.Command("go", "test", "-c", "-o", b.file, "./"+pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, text)
		}
		list := exec.Command(b.file, "-test.list", pattern)
		list.Dir = pkg
		text, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("list the tests of %s: %w", pkg, err)
		}
		for _, name := range strings.Fields(string(text)) {
			if strings.HasPrefix(name, "Test") && !(p.without != "" && regexp.MustCompile(p.without).MatchString(name)) {
				b.tests = append(b.tests, name)
			}
		}
		if len(b.tests) > 0 {
			out = append(out, b)
		} else if s.Run == "" {
			return nil, fmt.Errorf("%s has no tests", pkg)
		}
		if p.without != "" {
			fmt.Fprintf(s.Log, "vmtest: %s without %s: %s\n", pkg, p.without, p.why)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no test matches %q", s.Run)
	}
	return out, nil
}

// command is what runs a binary in a machine.
func (s Suite) command(b binary, files Files, out io.Writer) (Command, error) {
	c := Command{Program: b.file, Args: []string{"-test.v", "-test.short", "-test.timeout", (s.Limit * 9 / 10).String()}, Dir: "/src/" + b.pkg, Env: []string{gobin.Folder + "=/helpers", "XDG_CACHE_HOME=/tmp"},
		Files: Files{}, Boot: s.Boot, Limit: s.Limit, Output: out}
	if b.without != "" {
		c.Args = append(c.Args, "-test.skip", b.without)
	}
	if s.Run != "" {
		c.Args = append(slices.Clone(c.Args), "-test.run", s.Run)
	}
	if b.pkg == "starlarkbind" {
		n := s.Checks
		if n == 0 {
			n = oracleChecks
		}
		c.Args = append(c.Args, "-rapid.nofailfile", "-rapid.checks="+strconv.Itoa(n))
	}
	for dst, src := range files {
		c.Files[dst] = src
	}
	// what tests read: the folder without its Go code, and the table of kernels
	skip := func(name string, d fs.DirEntry) bool {
		return strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".test") || d.IsDir() && name != "testdata" && !strings.HasPrefix(name, "testdata/")
	}
	if err := c.Files.AddTree("src/"+b.pkg, b.pkg, skip); err != nil {
		return c, err
	}
	if err := c.Files.AddTree("src/docs", "docs", nil); err != nil {
		return c, err
	}
	return c, nil
}

// one runs one binary under one kernel. The report is a line, and all output where something is wrong.
func (s Suite) one(k Kernel, b binary, files Files) (report string, err error) {
	var out bytes.Buffer
	c, err := s.command(b, files, &out)
	if err != nil {
		return "", err
	}
	dir, err := k.Fetch(&out)
	if err != nil {
		return "", err
	}
	c.Files[moduleFile] = filepath.Join(dir, moduleFile)
	c.Env = append(c.Env, moduleEnv+"=/"+moduleFile)
	args := c.Args
	v, took, release := verdict{}, time.Duration(0), ""
	todo, again, all := b.tests, "", ""
	for n := range chances {
		if n > 0 {
			// An emulated CPU is late, and now and then wrong: what failed or did not come to its turn has another chance, in a machine
			// that does nothing else, and is told of.
			c.Args = append(slices.Clone(args), "-test.run", "^("+strings.Join(todo, "|")+")$")
			again += fmt.Sprintf("        run again: %s\n%s", strings.Join(todo, " "), said(all, todo))
		}
		out.Reset()
		res, runErr := k.Run(c)
		now := judge(out.String(), todo)
		all += out.String()
		took, release, err = took+res.Took, res.Release, runErr
		if err == nil && res.Status != 0 && len(now.failed) == 0 { // the binary as a whole: something was left over at its end
			err = fmt.Errorf("exit status %d", res.Status)
			continue
		}
		v.add(now)
		todo = now.failed
		if err != nil || len(todo) == 0 {
			break
		}
	}
	err = errors.Join(err, v.err())
	report = fmt.Sprintf("vmtest: %-5s %-13s %3d passed, %d skipped, %6.1f s (%s)\n", k.Name, b.pkg, v.passed, len(v.skipped), took.Seconds(), release)
	report += again
	for _, sk := range v.skipped {
		report += "        " + sk + "\n"
	}
	if err != nil {
		report += all
	}
	return report, err
}

// said gives what these tests printed, the last hundred lines of it.
func said(out string, tests []string) string {
	var lines []string
	mine := false
	for _, l := range strings.Split(out, "\n") {
		if m := nameLine.FindStringSubmatch(l); m != nil {
			name, _, _ := strings.Cut(m[1], "/")
			mine = slices.Contains(tests, name)
		} else if mine && strings.TrimSpace(l) != "" && !resultLine.MatchString(l) {
			lines = append(lines, "            "+l+"\n")
		}
	}
	return strings.Join(lines[max(0, len(lines)-100):], "")
}

// verdict is what a test run's output tells.
type verdict struct {
	passed  int
	skipped []string // name and reason
	failed  []string // those that did not run among them
	errs    []error  // by the same index
	bad     []error  // tests that were skipped for another reason than is allowed, and the like
}

func (v verdict) err() error { return errors.Join(append(slices.Clone(v.errs), v.bad...)...) }

// add puts another run, of those that failed, in their place.
func (v *verdict) add(now verdict) {
	v.passed += now.passed
	v.skipped, v.bad = append(v.skipped, now.skipped...), append(v.bad, now.bad...)
	v.failed, v.errs = now.failed, now.errs
}

// SkipMark is in the reason of each skip that is allowed: a feature that docs/kernels.md says this kernel lacks.
const SkipMark = "(docs/kernels.md)"

var (
	resultLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)
	nameLine   = regexp.MustCompile(`^=== (?:RUN|NAME|CONT|PAUSE) +(\S+)`)
)

// judge reads the output of -test.v and holds it against the tests that the binary has: each must have passed, or have been
// skipped for a feature that the kernel is known to lack. A test that is not told of has not run.
func judge(out string, tests []string) verdict {
	var v verdict
	state := map[string]string{}
	last := map[string]string{} // by test, what it printed last: it may tell why
	now := ""
	for _, l := range strings.Split(out, "\n") {
		if m := nameLine.FindStringSubmatch(l); m != nil {
			now = m[1]
			continue
		}
		m := resultLine.FindStringSubmatch(l)
		if m == nil {
			if strings.TrimSpace(l) != "" {
				last[now] = strings.TrimSpace(l)
			}
			continue
		}
		if m[1] == "SKIP" {
			why := last[m[2]]
			if !strings.Contains(why, SkipMark) {
				v.bad = append(v.bad, fmt.Errorf("%s was skipped for another reason than a feature that the kernel lacks: %s", m[2], why))
			}
			v.skipped = append(v.skipped, m[2]+": "+why)
		}
		state[m[2]] = m[1]
	}
	for _, t := range tests {
		switch state[t] {
		case "PASS":
			v.passed++
		case "FAIL":
			v.failed, v.errs = append(v.failed, t), append(v.errs, fmt.Errorf("%s failed", t))
		case "":
			v.failed, v.errs = append(v.failed, t), append(v.errs, fmt.Errorf("%s did not run", t))
		}
	}
	if len(tests) == 0 {
		v.bad = append(v.bad, errors.New("no tests"))
	}
	return v
}
