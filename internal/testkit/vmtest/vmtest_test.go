package vmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestJudge checks that a test that the output does not mention, or that was skipped for a reason
// that the table does not contain, is an error.
func TestJudge(t *testing.T) {
	const good = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n    x_test.go:3: iter_num is not on this kernel (docs/kernels.md)\n--- SKIP: TestB (0.00s)\nPASS\n"
	if v := judge(good, []string{"TestA", "TestB"}); v.err() != nil || v.passed != 1 || len(v.skipped) != 1 {
		t.Errorf("%+v", v)
	}
	// Results of subtests come after all output of the test.
	const parts = "=== RUN   TestA\n=== RUN   TestA/one\n    x_test.go:3: iter_num is not on this kernel (docs/kernels.md)\n=== RUN   TestA/two\n    x_test.go:3: fine\n" +
		"--- PASS: TestA (0.00s)\n    --- SKIP: TestA/one (0.00s)\n    --- PASS: TestA/two (0.00s)\nPASS\n"
	if v := judge(parts, []string{"TestA"}); v.err() != nil || v.passed != 1 || len(v.skipped) != 1 || v.skipped[0] != "TestA/one: x_test.go:3: iter_num is not on this kernel (docs/kernels.md)" {
		t.Errorf("%+v", v)
	}
	for _, c := range []struct {
		out   string
		tests []string
		want  string
	}{
		{good, []string{"TestA", "TestC"}, "TestC did not run"},
		{"", []string{"TestA"}, "TestA did not run"},
		{"PASS\n", nil, "no tests"},
		{"--- FAIL: TestA (0.00s)\n", []string{"TestA"}, "TestA failed"},
		{"=== RUN   TestA\n    x_test.go:3: no time\n--- SKIP: TestA (0.00s)\n", []string{"TestA"}, "TestA was skipped for a reason other than a missing kernel feature: x_test.go:3: no time"},
	} {
		if v := judge(c.out, c.tests); v.err() == nil || v.err().Error() != c.want {
			t.Errorf("%q: %v, want %s", c.out, v.err(), c.want)
		}
	}
}

// TestSecondChance checks that a test that failed or did not run, and passes when run again, is not
// an error, and that a skip for a reason that is not allowed remains one.
func TestSecondChance(t *testing.T) {
	v := judge("--- PASS: TestA (0.00s)\n--- FAIL: TestB (0.00s)\npanic\n", []string{"TestA", "TestB", "TestC"})
	if got := strings.Join(v.failed, " "); got != "TestB TestC" || v.passed != 1 {
		t.Errorf("%+v", v)
	}
	v.add(judge("--- PASS: TestB (0.00s)\n=== RUN   TestC\n    x_test.go:3: no time\n--- SKIP: TestC (0.00s)\n", v.failed))
	if v.passed != 2 || len(v.failed) != 0 || len(v.bad) != 1 || v.err().Error() != "TestC was skipped for a reason other than a missing kernel feature: x_test.go:3: no time" {
		t.Errorf("%+v", v)
	}
}

func TestSaid(t *testing.T) {
	const out = "=== RUN   TestA\n    a\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n=== RUN   TestB/one\n    b\n--- FAIL: TestB (0.00s)\n    --- FAIL: TestB/one (0.00s)\n=== RUN   TestC\n    c\n"
	if got, want := said(out, []string{"TestB"}), "                b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFollow(t *testing.T) {
	var out bytes.Buffer
	var res Result
	begun := 0
	found, err := follow(strings.NewReader("@@vm begins@@\r\na\nb\n\n@@vm release=6.1.0-9 exit=3@@\r\nrest\n"), &out, &res, func() { begun++ })
	if !found || err != nil || res.Status != 3 || res.Release != "6.1.0-9" || out.String() != "a\nb\n\n" {
		t.Errorf("%v %v %+v %q", found, err, res, out.String())
	}
	if found, err := follow(strings.NewReader("a\nexit=0\n"), &out, &res, func() { begun++ }); found || err != nil {
		t.Errorf("no closing line: %v %v", found, err)
	}
	if begun != 1 {
		t.Errorf("it began %d times", begun)
	}
}

// TestWatchConsole checks that a virtual machine whose kernel disabled its timers is stopped at
// once, and that other console output does not stop it.
func TestWatchConsole(t *testing.T) {
	console := filepath.Join(t.TempDir(), "console")
	ctx, stop := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	go func() {
		(&watch{console: console, pid: os.Getpid(), stop: stop}).run(ctx)
		close(done)
	}()
	says := func(text string) {
		f, err := os.OpenFile(console, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	says("[    0.1] PCI: Fatal: No config space access function found\n")
	select {
	case <-done:
		t.Error("ended too early")
	case <-time.After(500 * time.Millisecond): // long enough for it to read the console
	}
	says("[    3.299094] APIC frequency too slow, disabling apic timer\n")
	<-done
	if err := context.Cause(ctx); !errors.Is(err, errUnfit) {
		t.Error(err)
	}
}

// TestProgress checks that a virtual machine whose program has started is stopped a minute after
// its last beat, and that a program with an idle limit is stopped if it neither printed nor
// computed.
func TestProgress(t *testing.T) {
	start := time.Unix(1000, 0)
	after := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		name  string
		idle  time.Duration
		steps []struct {
			at, cpu, beats, ticks, printed int
		}
		want error
	}{
		{"alive", 0, []struct{ at, cpu, beats, ticks, printed int }{{0, 0, 0, 0, 0}, {55, 55, 1, 0, 0}, {110, 110, 2, 0, 0}, {165, 165, 3, 0, 0}}, nil},
		{"no beat from the start", 0, []struct{ at, cpu, beats, ticks, printed int }{{0, 0, 0, 0, 0}, {61, 61, 0, 0, 9}}, ErrLockup},
		{"no beat any more", 0, []struct{ at, cpu, beats, ticks, printed int }{{0, 0, 0, 0, 0}, {50, 50, 7, 0, 0}, {111, 111, 7, 900, 9}}, ErrLockup},
		{"idle", time.Minute, []struct{ at, cpu, beats, ticks, printed int }{{0, 0, 0, 0, 0}, {31, 31, 1, 5, 0}, {62, 62, 2, 10, 0}}, ErrIdle},
		{"computes", time.Minute, []struct{ at, cpu, beats, ticks, printed int }{{0, 0, 0, 0, 0}, {31, 31, 1, 500, 0}, {62, 62, 2, 1000, 0}, {93, 93, 3, 20, 0}, {124, 124, 4, 600, 0}}, nil},
		{"prints", time.Minute, []struct{ at, cpu, beats, ticks, printed int }{{0, 0, 0, 0, 0}, {50, 50, 1, 0, 1}, {100, 100, 2, 0, 2}, {150, 150, 3, 0, 3}}, nil},
		{"a busy host", 0, []struct{ at, cpu, beats, ticks, printed int }{{0, 0, 0, 0, 0}, {200, 10, 1, 0, 0}, {290, 25, 1, 0, 0}, {300, 26, 2, 0, 0}}, nil},
		{"halted", 0, []struct{ at, cpu, beats, ticks, printed int }{{0, 0, 0, 0, 0}, {10, 5, 1, 0, 0}, {311, 6, 1, 0, 0}}, ErrLockup},
	} {
		p := progress{startAt: start}
		var err error
		for i, s := range c.steps {
			console := fmt.Sprintf("[ 1.0] x\n\n@@vm beat=%d ticks=%d@@\n", s.beats, s.ticks)
			if s.beats == 0 {
				console = "[ 1.0] x\n"
			}
			if e := p.look(after(s.at), time.Duration(s.cpu)*time.Second, []byte(console), i > 0, int64(s.printed), c.idle); e != nil {
				err = e
			}
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestStuck checks that a virtual machine that does not come up is stopped by the CPU time that it
// used, so that it has more wall time on a busy host.
func TestStuck(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		at, cpu time.Duration
		want    error
	}{{2 * time.Second, 2 * time.Second, nil}, {4 * time.Minute, 10 * time.Second, nil}, {30 * time.Second, 21 * time.Second, errStuck}, {6 * time.Minute, time.Second, errStuck}} {
		p := progress{startAt: start}
		if err := p.look(start.Add(c.at), c.cpu, nil, false, 0, 0); !errors.Is(err, c.want) {
			t.Errorf("after %v with %v: %v, want %v", c.at, c.cpu, err, c.want)
		}
	}
}

// TestRunner checks that tests that did not run because the virtual machine crashed are run in
// another one, up to a limit, and that the report mentions it.
func TestRunner(t *testing.T) {
	crash := &NoStatusError{Kernel: "6.1", Began: true, Err: ErrLockup, Console: "its last words"}
	type round struct {
		out    string
		status int
		err    error
	}
	const passA, passB, passC = "--- PASS: TestA (0.00s)\n", "--- PASS: TestB (0.00s)\n", "--- PASS: TestC (0.00s)\n"
	for _, c := range []struct {
		name        string
		rounds      []round
		passed      int
		args        []string // -test.run argument of each round
		want, again string
	}{
		{"good", []round{{passA + passB + passC, 0, nil}}, 3, []string{""}, "", ""},
		{"crash in TestB", []round{{passA + "=== RUN   TestB\n", 0, crash}, {passB + passC, 0, nil}}, 3, []string{"", "^(TestB|TestC)$"}, "", "locked up"},
		{"crash after all", []round{{passA + passB + passC, 0, crash}, {passA + passB + passC, 0, nil}}, 3, []string{"", "^(TestA|TestB|TestC)$"}, "", "locked up"},
		{"always", []round{{passA, 0, crash}, {"", 0, crash}, {"", 0, crash}, {"", 0, crash}, {"", 0, crash}}, 1, nil, "locked up", "locked up"},
		{"limit", []round{{passA, 0, &NoStatusError{Began: true, Err: ErrLimit}}}, 1, []string{""}, "time limit exceeded", ""},
		{"failed twice", []round{{passA + "--- FAIL: TestB (0.00s)\n" + passC, 1, nil}, {"--- FAIL: TestB (0.00s)\n", 1, nil}, {passB, 0, nil}}, 3, []string{"", "^(TestB)$", "^(TestB)$"}, "", "run again: TestB"},
		{"failed always", []round{{passA + "--- FAIL: TestB (0.00s)\n" + passC, 1, nil}, {"--- FAIL: TestB (0.00s)\n", 1, nil}, {"--- FAIL: TestB (0.00s)\n", 1, nil}}, 2, nil, "TestB failed", "run again: TestB"},
		{"killed", []round{{passA + "=== RUN   TestB\n", 137, nil}, {passB + passC, 0, nil}}, 3, []string{"", "^(TestB|TestC)$"}, "", "signal 9 ended the tests"},
		{"left over", []round{{passA + passB + passC, 1, nil}, {passA + passB + passC, 1, nil}, {passA + passB + passC, 1, nil}}, 3, nil, "exit status 1", ""},
	} {
		var out bytes.Buffer
		n := 0
		r := runner{out: &out, start: func(cmd Command) (Result, error) {
			if n == len(c.rounds) {
				t.Fatalf("%s: one more round", c.name)
			}
			if c.args != nil && strings.Join(cmd.Args, " ") != strings.TrimSpace("-test.run "+c.args[n]) && (c.args[n] != "" || len(cmd.Args) > 0) {
				t.Errorf("%s: round %d: %q", c.name, n, cmd.Args)
			}
			if after := n > 0 && crashed(c.rounds[n-1].err); after != (cmd.Accel == safeAccel) {
				t.Errorf("%s: round %d: accelerator %q", c.name, n, cmd.Accel)
			}
			now := c.rounds[n]
			n++
			out.WriteString(now.out)
			return Result{Status: now.status}, now.err
		}}
		r.run([]string{"TestA", "TestB", "TestC"})
		err := errors.Join(r.err, r.verdict.err())
		if n != len(c.rounds) || r.verdict.passed != c.passed || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || !strings.Contains(r.again, c.again) {
			t.Errorf("%s: %d rounds, %d passed, %v; %s", c.name, n, r.verdict.passed, err, r.again)
		}
	}
}

func TestKernels(t *testing.T) {
	dir := t.TempDir()
	for _, r := range []string{"6.12.9-cloud-amd64", "6.12.117+deb13-cloud-amd64", "6.1.0-50-cloud-amd64", "7.2.13-cloud-amd64", "6.18.1"} {
		if err := os.MkdirAll(filepath.Join(dir, r), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, r, moduleFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"5.10": "", "6.1": "6.1.0-50-cloud-amd64", "6.12": "6.12.117+deb13-cloud-amd64", "7.2": "7.2.13-cloud-amd64"} {
		k, err := FindKernel(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.cached(dir); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := FindKernel("4.19"); err == nil || err.Error() != `no kernel "4.19" (available: 5.10, 6.1, 6.12, 7.2)` {
		t.Error(err)
	}
}

// TestFetchFails checks that a kernel that cannot be downloaded is an error, and leaves nothing in
// the cache that looks like a kernel.
func TestFetchFails(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("KERNELS", cache)
	k := Kernel{"1.0", "no-such-suite", regexp.MustCompile(`^1\.0\.`)}
	dir, err := k.Fetch(io.Discard)
	if err == nil || dir != "" || !strings.HasPrefix(err.Error(), "kernel 1.0 (Debian no-such-suite) is not available: ") {
		t.Errorf("%q, %v", dir, err)
	}
	if release, err := k.cached(cache); err != nil || release != "" {
		t.Errorf("%q, %v", release, err)
	}
}

// TestCPIO checks that the initramfs contains each directory once, before its contents, and that
// each entry begins at a multiple of four bytes, as the kernel requires. Booting a virtual machine
// tests that the kernel unpacks it correctly.
func TestCPIO(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(src, []byte("hello"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeCPIO(&out, Files{"a/b/c": src, "a/d": src}, "dev"); err != nil {
		t.Fatal(err)
	}
	if out.Len()%pageSize != 0 {
		t.Errorf("the archive has %d bytes, which are no whole pages", out.Len())
	}
	b := out.Bytes()
	var got []string
	for len(b) > 110 {
		var mode, size, length int
		if _, err := fmt.Sscanf(string(b[14:22])+" "+string(b[54:62])+" "+string(b[94:102]), "%x %x %x", &mode, &size, &length); err != nil || string(b[:6]) != "070701" {
			t.Fatalf("header %q: %v", b[:110], err)
		}
		data := (110 + length + 3) &^ 3
		got = append(got, fmt.Sprintf("%s %o %q", b[110:110+length-1], mode, b[data:data+size]))
		b = b[min(len(b), (data+size+3)&^3):]
		if got[len(got)-1] == `TRAILER!!! 0 ""` {
			break
		}
	}
	want := `dev 40755 ""|a 40755 ""|a/b 40755 ""|a/b/c 100700 "hello"|a/d 100700 "hello"|TRAILER!!! 0 ""`
	if strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
}

func TestExtractRefuses(t *testing.T) {
	if _, err := extract([]byte("\x1f\x8b\x08 is no kernel")); err == nil {
		t.Error("no error")
	}
}

// TestParseInfo checks that the output of --info is read completely or is an error.
func TestParseInfo(t *testing.T) {
	c, names, _, err := parseInfo("bpfrepl 1\nkernel 6.1.0-50-x amd64, 2 CPUs\nringbuf  yes  since 5.8: records\niter_num no since 6.4: loops\n")
	if err != nil || c.version != "6.1" || len(names) != 2 || c.has["iter_num"] != "no" {
		t.Errorf("%+v %v %v", c, names, err)
	}
	for _, bad := range []string{"", "kernel 6.1.0\n", "kernel 6.1.0\nringbuf yes since 5.8: x\niter_num  ?  since 6.4: y\n"} {
		if _, _, _, err := parseInfo(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if !errors.Is(&NoStatusError{Err: ErrLimit}, ErrLimit) {
		t.Error("the limit is not told")
	}
}

// TestKindsTable checks that the results of probe kinds are read completely, and that reasons
// appear without names and hints.
func TestKindsTable(t *testing.T) {
	kinds, names, err := parseKinds("=== RUN\nkind kprobe: no: no probe \"kprobe:vfs_read\": this kernel has no kprobes: it is built without CONFIG_X (use a tracepoint, or another kernel)\n" +
		"kind kretprobe: no: no probe \"kretprobe:vfs_read\": this kernel has no kprobes: it is built without CONFIG_X (use a tracepoint, or another kernel)\nkind uprobe: exact\nkind hardware: no: attach to hardware:cycles: no counters are to be had; use profile:hz:99, or a software: event\nkind profile: fires\n")
	if err != nil || len(names) != 5 {
		t.Fatal(names, err)
	}
	got := kindsTable([]column{{version: "6.1", kinds: kinds}, {version: "6.2", kinds: kinds}}, names)
	want := "| kind | 6.1 | 6.2 |\n|---|---|---|\n| `kprobe` | no | no |\n| `kretprobe` | no | no |\n| `uprobe` | exact | exact |\n| `hardware` | no | no |\n| `profile` | fires | fires |\n\n" +
		"- `kprobe`, `kretprobe` under 6.1, 6.2: this kernel has no kprobes: it is built without CONFIG_X.\n" +
		"- `hardware` under 6.1, 6.2: no counters are to be had.\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, _, err := parseKinds("PASS\n"); err == nil {
		t.Error("no error")
	}
}

// TestFixedQEMU checks that versions are compared by their numbers, not as text.
func TestFixedQEMU(t *testing.T) {
	for version, want := range map[string]bool{"7.2.22": false, "8.0.5": false, "8.1": true, "8.1.0": true, "8.2.1": true, "10.0.2": true} {
		if got := (qemu{version: version}).fixed(); got != want {
			t.Errorf("QEMU %s: fixed is %v", version, got)
		}
	}
	if q, err := askQEMU("echo", "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"); err != nil || q.version != "10.0.2" || len(q.command) != 2 {
		t.Errorf("got %+v, %v", q, err)
	}
	if _, err := askQEMU("echo"); err == nil {
		t.Error("a program without a version is taken as QEMU")
	}
}
