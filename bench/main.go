// Command bench compares bpfrepl with bpftrace: start time, memory, size, instructions, the cost of
// an event, and exactness. bench/setup.sh installs the versions of bpftrace; one that is not
// installed is skipped with a message. Each round measures all tools, one after the other, so that
// a slow moment of the host affects all of them. The results are medians.
//
//	go run ./bench [-rounds N] [-only start|prompt|cost|exact|map|fail]
//
// Run it as root from the top directory, after make build.
//
//	main.go    flags
//	tools.go   the tools that are compared, tables of results
//	start.go   start time, memory, size
//	prompt.go  start of the prompt
//	cost.go    instructions, the cost of an event
//	exact.go   exactness
//	fail.go    the cost of a handler that fails at every event
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

func main() {
	rounds := flag.Int("rounds", 7, "how often each tool is measured")
	only := flag.String("only", "", "measure the `part` start, prompt, cost, exact or fail only")
	flag.Parse()
	if err := run(*rounds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(rounds int, only string) (err error) {
	if err := sys.Prepare(); err != nil {
		return err
	}
	gen, err := buildbin.Build("internal/testkit/loadgen")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, buildbin.Clean()) }()
	if _, err := sys.Tracefs(); err != nil {
		return err
	}
	ts, err := tools()
	if err != nil {
		return err
	}
	k, err := sys.Running()
	if err != nil {
		return err
	}
	fmt.Printf("kernel %s, %d CPUs, %d rounds\n\n", k.Release, runtime.NumCPU(), rounds)
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"start", func() error { return errors.Join(sizes(ts), start(ts, rounds)) }},
		{"prompt", func() error { return prompt(ts, rounds) }},
		{"cost", func() error { return cost(ts, gen, rounds) }},
		{"exact", func() error { return exact(ts, gen, rounds) }},
		{"map", func() error { return bigMap(ts, gen, rounds) }},
		{"fail", func() error { return failing("./bpfrepl", gen, rounds) }},
	} {
		if only != "" && only != part.name {
			continue
		}
		if err := part.run(); err != nil {
			return err
		}
	}
	return nil
}
