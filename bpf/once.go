package bpf

import "github.com/cilium/ebpf"

var beginProvider = Provider{
	Kind: "begin", Syntax: "begin",
	Doc:          "Runs once, when it is attached.",
	Example:      "begin",
	pidFilter:    filterUnsupported,
	List:         func(pattern string) ([]Target, error) { return filterTargets(pattern, newTarget("begin")), nil },
	Resolve:      func(Spec) ([]Target, error) { return []Target{newTarget("begin")}, nil },
	programTypes: only(ebpf.RawTracepoint),
	attach: func(t Target, p *Program, _ AttachOptions) (*Attachment, error) {
		if err := p.runOnce(); err != nil {
			return nil, err
		}
		return &Attachment{Target: t}, nil
	},
}

var endProvider = Provider{
	Kind: "end", Syntax: "end",
	Doc:          "Runs once, when it is detached or the script ends.",
	Example:      "end",
	pidFilter:    filterUnsupported,
	List:         func(pattern string) ([]Target, error) { return filterTargets(pattern, newTarget("end")), nil },
	Resolve:      func(Spec) ([]Target, error) { return []Target{newTarget("end")}, nil },
	programTypes: only(ebpf.RawTracepoint),
	attach: func(t Target, p *Program, _ AttachOptions) (*Attachment, error) {
		return &Attachment{Target: t, atClose: p.runOnce}, nil
	},
}
