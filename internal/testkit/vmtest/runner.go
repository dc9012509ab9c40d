package vmtest

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A runner runs a test binary until each of its tests has a verdict. An emulated CPU is slow and
// now and then wrong, so failed tests are run again, in a virtual machine that runs nothing else.
// If the virtual machine crashed or locked up, the tests that have not run yet are run in another
// one, which QEMU emulates in a single thread. The report mentions both.
type runner struct {
	start   func(Command) (Result, error)
	command Command
	out     *bytes.Buffer // output of the command

	subtests string // pattern of subtests, which begins with a slash, or ""

	verdict verdict
	err     error
	took    time.Duration
	cpu     time.Duration
	release string
	again   string // report on what was run again, and why
	all     string // output of all attempts

	crashes, repeated int
}

func (r *runner) run(tests []string) {
	c := r.command
	todo := tests
	for tries := 1; ; {
		r.out.Reset()
		res, err := r.start(c)
		now := judge(r.out.String(), todo)
		r.all += r.out.String()
		r.took, r.cpu, r.err = r.took+res.Took, r.cpu+res.CPU, err
		if res.Release != "" {
			r.release = res.Release
		}
		why := ""
		switch {
		case crashed(err):
			if r.crashes++; r.crashes == crashStarts {
				r.verdict.add(now)
				return
			}
			why = fmt.Sprintf("        %v\n        emulated in one thread from here on:\n", err)
			c.Accel = safeAccel
			// The crash came after all tests, so the exit status is unknown: run them all again.
			if len(now.failed) == 0 {
				now, now.failed = verdict{}, todo
			}
		// No test failed, but the binary as a whole did: something was left over at its end.
		case err == nil && res.Status != 0 && len(now.failed) == 0:
			r.err = fmt.Errorf("exit status %d", res.Status)
			if tries++; tries > chances {
				r.verdict.add(now)
				return
			}
			continue
		case err != nil || len(now.failed) == 0:
			r.verdict.add(now)
			return
		default:
			if res.Status > killed {
				why = fmt.Sprintf("        signal %d ended the tests; the kernel's console:\n%s\n", res.Status-killed, res.Console)
			}
			if tries++; tries > chances {
				r.verdict.add(now)
				return
			}
		}
		r.verdict.add(now)
		todo = now.failed
		c.Args = append(slices.Clone(r.command.Args), "-test.run", "^("+strings.Join(todo, "|")+")$"+r.subtests)
		r.repeated += len(todo)
		r.again += fmt.Sprintf("%s        run again: %s\n%s", why, strings.Join(todo, " "), said(r.all, todo))
	}
}

// said returns what the given tests printed, at most the last hundred lines.
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

// verdict is the result of a test run, read from its output.
type verdict struct {
	passed  int
	skipped []string // names with reasons
	failed  []string // including tests that did not run
	errs    []error  // errors of failed, by the same index
	bad     []error  // other errors, such as a skip for a reason that is not allowed
}

func (v verdict) err() error { return errors.Join(append(slices.Clone(v.errs), v.bad...)...) }

// add merges now, the verdict of another run of the failed tests, into v.
func (v *verdict) add(now verdict) {
	v.passed += now.passed
	v.skipped, v.bad = append(v.skipped, now.skipped...), append(v.bad, now.bad...)
	v.failed, v.errs = now.failed, now.errs
}

// SkipMark is part of every allowed skip reason: docs/kernels.md says that this kernel does not
// have the feature.
const SkipMark = "(docs/kernels.md)"

var (
	resultLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)
	nameLine   = regexp.MustCompile(`^=== (?:RUN|NAME|CONT|PAUSE) +(\S+)`)
)

// judge reads the output of -test.v and compares it with the tests that the binary contains. Each
// must have passed, or have been skipped for a feature that the kernel is known not to have. A test
// that the output does not mention has not run.
func judge(out string, tests []string) verdict {
	var v verdict
	state := map[string]string{}
	last := map[string]string{} // last line that each test printed, which may be the skip reason
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
				v.bad = append(v.bad, fmt.Errorf("%s was skipped for a reason other than a missing kernel feature: %s", m[2], why))
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
