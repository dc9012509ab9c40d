package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/bpf"
)

// calls is how many system calls the load makes for one measurement.
const calls = 300000

// A job is one thing to trace, as a program for bpftrace and one for bpfrepl.
type job struct{ name, bpftrace, ours string }

const enter, exit = "tracepoint:raw_syscalls:sys_enter", "tracepoint:raw_syscalls:sys_exit"

func on(spec, handler string) string {
	return fmt.Sprintf("probe(%q, %s)\n", spec, handler)
}

var jobs = []job{
	{"filter that never matches", enter + " /pid == 0/ { @ = count(); }", "m = count()\n" + on(enter, "lambda e: m.add() if e.pid == 0 else None")},
	{"count()", enter + " { @ = count(); }", "m = count()\n" + on(enter, "lambda e: m.add()")},
	{"count() by comm", enter + " { @[comm] = count(); }", "m = count()\n" + on(enter, "lambda e: m.add(by=e.comm)")},
	{"count() by pid", enter + " { @[pid] = count(); }", "m = count()\n" + on(enter, "lambda e: m.add(by=e.pid)")},
	{"sum(ret)", exit + " { @ = sum(args->ret); }", "m = sum()\n" + on(exit, "lambda e: m.add(e.args.ret)")},
	{"hist(ret)", exit + " { @ = hist(args->ret); }", "m = hist()\n" + on(exit, "lambda e: m.add(e.args.ret)")},
	{"stats(ret) by comm", exit + " { @[comm] = stats(args->ret); }", "m = stats()\n" + on(exit, "lambda e: m.add(e.args.ret, by=e.comm)")},
}

// cost measures the time that an event costs. The tracer runs on CPU 0 and the load on CPU 1. The
// times come from the kernel's statistics of the tracer's programs (run_time_ns / run_cnt), which
// include the two clock reads of the statistics themselves.
func cost(ts []tool, gen string, rounds int) error {
	ns := map[string][]figure{}
	insns, hit := map[string][]int{}, map[string]int{}
	for _, j := range jobs {
		ns[j.name], insns[j.name] = make([]figure, len(ts)), make([]int, len(ts))
	}
	for range rounds {
		for _, j := range jobs {
			for i, t := range ts {
				m, err := measure(t, j, gen)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", t.name, j.name, err)
				}
				ns[j.name][i] = append(ns[j.name][i], m.ns)
				insns[j.name][i] = m.insns
				if t.ours {
					hit[j.name] = m.hit
				}
			}
		}
	}
	names := []string{"job"}
	for _, t := range ts {
		names = append(names, t.name)
	}
	fmt.Println("Mean time of a run, ns:")
	head(names...)
	for _, j := range jobs {
		cells := []string{j.name}
		for i := range ts {
			cells = append(cells, ns[j.name][i].String())
		}
		row(cells...)
	}
	fmt.Println("\nInstructions after verification, including inlined helpers; for bpfrepl also those that run\nwhen the key exists:")
	head(names...)
	for _, j := range jobs {
		cells := []string{j.name}
		for i, t := range ts {
			c := strconv.Itoa(insns[j.name][i])
			if t.ours {
				c += fmt.Sprintf(" (%d)", hit[j.name])
			}
			cells = append(cells, c)
		}
		row(cells...)
	}
	return nil
}

type measured struct {
	ns         float64
	insns, hit int
}

func measure(t tool, j job, gen string) (m measured, err error) {
	text := j.bpftrace
	if t.ours {
		text = j.ours + "run()"
	}
	cmd := exec.Command("taskset", append(append([]string{"-c", "0"}, t.argv...), text)...)
	if err := cmd.Start(); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, end(cmd)) }()
	mine, err := settled(cmd.Process.Pid)
	if err != nil {
		return m, err
	}
	defer func() {
		for _, p := range mine {
			err = errors.Join(err, p.Close())
		}
	}()
	stats, err := bpf.EnableStats()
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, stats.Close()) }()
	if err := runLoad(gen); err != nil { // warm up
		return m, err
	}
	runs0, ns0, err := total(mine)
	if err != nil {
		return m, err
	}
	if err := runLoad(gen); err != nil {
		return m, err
	}
	runs1, ns1, err := total(mine)
	if err != nil {
		return m, err
	}
	if runs1-runs0 < calls {
		return m, fmt.Errorf("%d runs for %d calls", runs1-runs0, calls)
	}
	m.ns = float64(ns1-ns0) / float64(runs1-runs0)
	for _, p := range mine {
		info, err := p.Info()
		if err != nil {
			return m, err
		}
		size, err := info.TranslatedSize()
		if err != nil {
			return m, err
		}
		m.insns += size / asm.InstructionSize
		if t.ours {
			insns, err := info.Instructions()
			if err != nil {
				return m, err
			}
			m.hit += hitPath(insns)
		}
	}
	return m, nil
}

// hitPath returns the number of instructions from the first one to the exit if no conditional jump
// is taken. bpfrepl lays out its code such that this is the path for a key that exists. A helper
// that the kernel replaces by a call of an internal function counts as one instruction.
func hitPath(insns asm.Instructions) int {
	at := map[string]int{}
	for i, ins := range insns {
		if s := ins.Symbol(); s != "" {
			at[s] = i
		}
	}
	n := 0
	for i := 0; i < len(insns); i++ {
		n++
		switch insns[i].OpCode.JumpOp() {
		case asm.Exit:
			return n
		case asm.Ja:
			to, ok := at[insns[i].Reference()]
			if !ok {
				return n
			}
			i = to - 1
		}
	}
	return n
}

func runLoad(gen string) error {
	out, err := exec.Command("taskset", "-c", "1", gen, "getppid", strconv.Itoa(calls)).Output()
	if err != nil {
		return err
	}
	var r struct{ Events int }
	if err := json.Unmarshal(out, &r); err != nil {
		return err
	}
	if r.Events != calls {
		return fmt.Errorf("the load made %d calls, want %d", r.Events, calls)
	}
	return nil
}

// settled waits until the tracer's set of programs has not changed for a while, and opens them. It
// considers only programs that the tracer has open, so other activity on the host does not matter.
func settled(pid int) ([]*ebpf.Program, error) {
	var last []ebpf.ProgramID
	calm := 0
	for deadline := time.Now().Add(20 * time.Second); calm < 6; {
		time.Sleep(100 * time.Millisecond)
		now, err := programsOf(pid)
		if err != nil {
			return nil, err
		}
		if len(now) > 0 && slices.Equal(now, last) {
			calm++
		} else {
			calm = 0
		}
		last = now
		if time.Now().After(deadline) {
			return nil, errors.New("no program after 20 s")
		}
	}
	var out []*ebpf.Program
	for _, id := range last {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			return out, err
		}
		out = append(out, p)
	}
	return out, nil
}

// programsOf returns the IDs of the programs that a process has open, sorted.
func programsOf(pid int) ([]ebpf.ProgramID, error) {
	dir := fmt.Sprintf("/proc/%d/fdinfo", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []ebpf.ProgramID
	for _, fd := range fds {
		b, err := os.ReadFile(filepath.Join(dir, fd.Name()))
		if err != nil { // closed in the meantime
			continue
		}
		text := string(b)
		at := strings.Index(text, "prog_id:")
		if at < 0 || strings.Contains(text, "link_id:") {
			continue
		}
		id, err := strconv.Atoi(strings.Fields(text[at+len("prog_id:"):])[0])
		if err != nil {
			return nil, err
		}
		out = append(out, ebpf.ProgramID(id))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func total(ps []*ebpf.Program) (runs, ns uint64, err error) {
	for _, p := range ps {
		st, err := p.Stats()
		if err != nil {
			return 0, 0, err
		}
		runs += st.RunCount
		ns += uint64(st.Runtime.Nanoseconds())
	}
	return runs, ns, nil
}
