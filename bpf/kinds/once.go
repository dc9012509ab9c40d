package kinds

import (
	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/cilium/ebpf"
)

var beginProvider = Provider{
	Kind: "begin", Syntax: "begin",
	Doc:     "Runs once, when it is attached.",
	Example: "begin",
	List:    func(pattern string) ([]bpf.Target, error) { return filterTargets(pattern, newTarget("begin")), nil },
	Resolve: func(Spec) ([]bpf.Target, error) { return []bpf.Target{newTarget("begin")}, nil },
	Driver: bpf.Driver{
		PIDFilter:    filterUnsupported,
		ProgramTypes: only(ebpf.RawTracepoint),
		Attach: func(t bpf.Target, p *bpf.Program, _ bpf.AttachOptions) (*bpf.Attachment, error) {
			if err := runOnce(p); err != nil {
				return nil, err
			}
			return &bpf.Attachment{Target: t}, nil
		},
	},
}

var endProvider = Provider{
	Kind: "end", Syntax: "end",
	Doc:     "Runs once, when it is detached or the script ends.",
	Example: "end",
	List:    func(pattern string) ([]bpf.Target, error) { return filterTargets(pattern, newTarget("end")), nil },
	Resolve: func(Spec) ([]bpf.Target, error) { return []bpf.Target{newTarget("end")}, nil },
	Driver: bpf.Driver{
		PIDFilter:    filterUnsupported,
		ProgramTypes: only(ebpf.RawTracepoint),
		Attach: func(t bpf.Target, p *bpf.Program, _ bpf.AttachOptions) (*bpf.Attachment, error) {
			return &bpf.Attachment{Target: t, AtClose: func() error { return runOnce(p) }}, nil
		},
	},
}

func runOnce(p *bpf.Program) error {
	_, err := p.TestRun(nil)
	return err
}
