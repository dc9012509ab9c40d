package bpf

import "github.com/cilium/ebpf"

var beginProvider = Provider{
	Kind: "begin", Syntax: "begin",
	Doc:     "Runs once, when it is attached.",
	Example: "begin",
	List:    func(pattern string) ([]Target, error) { return filterTargets(pattern, newTarget("begin")), nil },
	Resolve: func(Spec) ([]Target, error) { return []Target{newTarget("begin")}, nil },
	Driver: Driver{
		PIDFilter:    filterUnsupported,
		ProgramTypes: only(ebpf.RawTracepoint),
		Attach: func(t Target, p *Program, _ AttachOptions) (*Attachment, error) {
			if err := runOnce(p); err != nil {
				return nil, err
			}
			return &Attachment{Target: t}, nil
		},
	},
}

var endProvider = Provider{
	Kind: "end", Syntax: "end",
	Doc:     "Runs once, when it is detached or the script ends.",
	Example: "end",
	List:    func(pattern string) ([]Target, error) { return filterTargets(pattern, newTarget("end")), nil },
	Resolve: func(Spec) ([]Target, error) { return []Target{newTarget("end")}, nil },
	Driver: Driver{
		PIDFilter:    filterUnsupported,
		ProgramTypes: only(ebpf.RawTracepoint),
		Attach: func(t Target, p *Program, _ AttachOptions) (*Attachment, error) {
			return &Attachment{Target: t, AtClose: func() error { return runOnce(p) }}, nil
		},
	},
}

func runOnce(p *Program) error {
	_, err := p.TestRun(nil)
	return err
}
