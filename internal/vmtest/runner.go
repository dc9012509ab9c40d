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

// A runner runs a test binary until each test has its verdict. An emulated processor is late, and now and then wrong: what failed
// has another chance, in a machine that does nothing else. Where the machine crashed or locked up, what did not run is run in
// another one, which is emulated in one thread. The report tells of both.
type runner struct {
	start   func(Command) (Result, error)
	command Command
	out     *bytes.Buffer // what the command prints

	verdict verdict
	err     error
	took    time.Duration
	cpu     time.Duration
	release string
	again   string // what was run again, and why
	all     string // all output

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
			if len(now.failed) == 0 { // it crashed at its end: the exit status is not known
				now, now.failed = verdict{}, todo
			}
		case err == nil && res.Status != 0 && len(now.failed) == 0: // the binary as a whole: something was left over at its end
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
			if tries++; tries > chances {
				r.verdict.add(now)
				return
			}
		}
		r.verdict.add(now)
		todo = now.failed
		c.Args = append(slices.Clone(r.command.Args), "-test.run", "^("+strings.Join(todo, "|")+")$")
		r.repeated += len(todo)
		r.again += fmt.Sprintf("%s        run again: %s\n%s", why, strings.Join(todo, " "), said(r.all, todo))
	}
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
