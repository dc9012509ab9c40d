package kinds

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

var signalProvider = Provider{
	Kind: "self", Syntax: "self:signal:NAME",
	Doc:     "A signal sent to bpfrepl itself: kill -USR1 runs the handler.",
	Example: "self:signal:SIGUSR1",
	minArgs: 2, maxArgs: 2,
	List: func(pattern string) ([]bpf.Target, error) {
		var out []bpf.Target
		for _, name := range signalNames {
			out = append(out, filterTargets(pattern, newTarget("self", "signal", name))...)
		}
		return out, nil
	},
	Resolve: resolveSignal,
	Driver: bpf.Driver{
		PIDFilter:    filterUnsupported,
		ProgramTypes: only(ebpf.RawTracepoint),
		Attach:       attachSignal,
	},
}

// signalNames are the signals that neither bpfrepl nor the Go runtime uses.
var signalNames = []string{"SIGALRM", "SIGCONT", "SIGUSR1", "SIGUSR2", "SIGWINCH"}

func resolveSignal(s Spec) ([]bpf.Target, error) {
	if s.Args[0] != "signal" {
		return nil, &SpecError{Text: s.Text, Reason: fmt.Sprintf("probe %q: probes of bpfrepl itself are signals only", s.Text), Hint: "write self:signal:SIGUSR1"}
	}
	name := strings.ToUpper(s.Args[1])
	if !strings.HasPrefix(name, "SIG") && !isPattern(name) {
		name = "SIG" + name
	}
	var out []bpf.Target
	for _, n := range signalNames {
		if match(name, n) {
			out = append(out, newTarget("self", "signal", n))
		}
	}
	if out != nil {
		return out, nil
	}
	e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("no signal %q", s.Args[1]), Hint: "use SIGUSR1"}
	if unix.SignalNum(name) != 0 {
		e.Reason = name + " is used by bpfrepl itself"
		return nil, e
	}
	for _, n := range suggest.Nearest(name, signalNames, 2) {
		e.Suggestions = append(e.Suggestions, "self:signal:"+n)
	}
	return nil, e
}

// attachSignal runs the program on each signal until the attachment is closed.
func attachSignal(t bpf.Target, p *bpf.Program, _ bpf.AttachOptions) (*bpf.Attachment, error) {
	if !slices.Contains(signalNames, t.Parts[1]) {
		return nil, fmt.Errorf("%s cannot be waited for", t.Parts[1])
	}
	got := make(chan os.Signal, 1024) // the kernel merges pending signals, so few can queue up
	done := make(chan struct{})
	var errs []error
	signal.Notify(got, unix.SignalNum(t.Parts[1]))
	go func() {
		defer close(done)
		for range got {
			errs = append(errs, runOnce(p))
		}
	}()
	return &bpf.Attachment{Target: t, AtClose: func() error {
		signal.Stop(got) // no more signals are sent; queued ones are still handled
		close(got)
		<-done
		return errors.Join(errs...)
	}}, nil
}
