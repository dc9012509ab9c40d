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

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/testprog"
)

// packages lists the packages whose tests touch the kernel, the slowest first. without matches the
// tests that are not meaningful in such a virtual machine; why explains each of them.
var packages = []struct{ pkg, without, why string }{
	{"starlarkbind", "^(TestTimers|TestUprobeGo|TestGoroutine|TestPprof|TestPprofValues|TestNewDict|TestUniverse|TestWordlist|TestLongLine|TestInterruptBuiltins|TestLoopsOnHost|TestOracleOnHost|TestRandomOnHost|TestErrorRows)$", "an emulated CPU misses samples when its host is busy, and traps of single steps when an interrupt comes with them; go tool pprof needs Go, hints start programs; dicts, builtins, long errors and handlers that the script calls do not touch the kernel; the rows of errors are looked for in the tests' source"},
	{"cmd/bpfrepl", "^(TestCapabilities|TestMissingFiles|TestPromptSoon|TestPlotOnTerminal|TestPosixZone|TestDescriptors)$", "Debian's kernels give perf events to CAP_SYS_ADMIN alone (kernel.perf_event_paranoid=3), and there is no libc; there is no shell; an emulated CPU is slow; plots and time zones do not touch the kernel"},
	{"bpf", "", ""},
	{"bpf/kinds", "", ""},
	{"bpf/feature", "", ""},
	{"bpf/kmap", "", ""},
	{"examples", "^(TestBiolatency|TestCPUProfile)$", "there is no disk; an emulated CPU misses samples"},
	{"examples/tools", "^(TestLibraries|TestBashreadline|TestSsllatency|TestMemleak|TestMemleakRunning|TestDrsnoop|TestOomkill|TestSamples|TestSwapin|TestDisks|TestWriteback)$", "there are no disk, libc, Python and shell, and no memory control group; an emulated CPU misses samples"},
	{"bpf/bpftest", "", ""},
}

// helpers are the commands that tests would build themselves on a host that has Go.
var helpers = []string{"internal/testkit/loadgen", "cmd/bpfrepl"}

// moduleEnv is the environment variable that holds the path of the kernel module for tests.
const moduleEnv = "BPFREPL_TUN_KO"

// chances is how often a failing test is run in total.
const chances = 3

// idleLimit is how long a test binary may neither print nor use CPU time.
const idleLimit = time.Minute

// atOnce is how many virtual machines run in parallel. Each has two CPUs.
const atOnce = 2

// A Suite is a run of the project's tests under other kernels. The working directory must be the
// root of the module.
type Suite struct {
	Kernels []Kernel
	Package string // only run tests of this package; "" runs all
	Run     string // pattern of test names, and of subtests as in go test -run; "" runs all
	Checks  int    // random handlers for the oracle; 0 means oracleChecks
	Boot    string // see Command
	Accel   string // see Command
	Limit   time.Duration
	Keep    string // directory that receives each virtual machine's output as it is printed, or ""
	Log     io.Writer
}

// binary is a package's test binary.
type binary struct {
	pkg, file string
	without   string   // pattern of tests to skip
	tests     []string // tests that the output must mention
}

// oracleChecks is the default number of random handlers that the oracle runs under each kernel.
const oracleChecks = 100

// Summary reports irregularities of a run. They can occur even if all tests pass in the end.
type Summary struct {
	Crashes int // virtual machines that crashed or locked up
	Again   int // tests that were run again
	Took    time.Duration
}

// Do builds the test binaries and runs each of them under each kernel. The error joins one error
// for each combination that failed.
func (s Suite) Do() (sum Summary, err error) {
	start := time.Now()
	defer func() { sum.Took = time.Since(start) }()
	tmp, err := os.MkdirTemp("", "vmtest")
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	binaries, err := s.build(tmp)
	if err != nil {
		return sum, err
	}
	files, err := helperFiles()
	if err != nil {
		return sum, err
	}
	if _, err := buildbin.Build("internal/testkit/vmtest/vminit"); err != nil {
		return sum, err
	}
	for _, k := range s.Kernels {
		if _, err := k.Fetch(s.Log); err != nil {
			return sum, err
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
				r, report, err := s.one(j.k, j.b, files)
				mu.Lock()
				sum.Crashes, sum.Again = sum.Crashes+r.crashes, sum.Again+r.repeated
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
	return sum, errors.Join(errs...)
}

// helperFiles builds the programs that tests start, and returns them by their path in the
// initramfs.
func helperFiles() (Files, error) {
	files := Files{}
	for _, h := range helpers {
		bin, err := buildbin.Build(h)
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
	if files["usr/bin/env"], err = buildbin.Build("internal/testkit/vmtest/env"); err != nil {
		return nil, err
	}
	return files, nil
}

// build builds the test binaries in tmp and lists their tests.
func (s Suite) build(tmp string) ([]binary, error) {
	var out []binary
	pattern, _, _ := strings.Cut(s.Run, "/") // -test.list knows no subtests
	if pattern == "" {
		pattern = "^Test"
	}
	for _, p := range packages {
		pkg := p.pkg
		if s.Package != "" && s.Package != pkg {
			continue
		}
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

// command returns the Command that runs the test binary b in a virtual machine and prints to out.
func (s Suite) command(b binary, files Files, out io.Writer) (Command, error) {
	c := Command{Program: b.file, Args: []string{"-test.v", "-test.short", "-test.timeout", (s.Limit * 9 / 10).String()}, Dir: "/src/" + b.pkg, Env: []string{buildbin.Folder + "=/helpers", "XDG_CACHE_HOME=/tmp"},
		Files: Files{}, Boot: s.Boot, Accel: s.Accel, Limit: s.Limit, Idle: idleLimit, Output: out}
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
	// Tests read the files of their package's directory except its Go code, and docs, which has the
	// table of kernels.
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

// one runs one test binary under one kernel. The report is one line, followed by the whole output
// if something failed.
func (s Suite) one(k Kernel, b binary, files Files) (r runner, report string, err error) {
	var out bytes.Buffer
	c, err := s.command(b, files, &out)
	if err != nil {
		return r, "", err
	}
	if s.Keep != "" {
		f, err := os.Create(filepath.Join(s.Keep, strings.ReplaceAll(b.pkg, "/", "-")+"-"+k.Name+".txt"))
		if err != nil {
			return r, "", err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		c.Output = io.MultiWriter(&out, f)
	}
	dir, err := k.Fetch(&out)
	if err != nil {
		return r, "", err
	}
	c.Files[moduleFile] = filepath.Join(dir, moduleFile)
	c.Env = append(c.Env, moduleEnv+"=/"+moduleFile)
	_, subtests, ok := strings.Cut(s.Run, "/")
	if ok {
		subtests = "/" + subtests
	}
	r = runner{start: k.start, command: c, subtests: subtests, out: &out}
	r.run(b.tests)
	v := r.verdict
	err = errors.Join(r.err, v.err())
	report = fmt.Sprintf("vmtest: %-5s %-13s %3d passed, %d skipped, %6.1f s, %5.1f s of CPU time (%s)\n", k.Name, b.pkg, v.passed, len(v.skipped), r.took.Seconds(), r.cpu.Seconds(), r.release)
	report += r.again
	for _, sk := range v.skipped {
		report += "        " + sk + "\n"
	}
	if err != nil {
		report += r.all
	}
	return r, report, err
}
