package bpf

import (
	"errors"

	"github.com/cilium/ebpf"
)

// A multi link attaches one program to many places with one system call, and detaches it as fast.
// The attach type belongs to the program, which is loaded for it (ProgramSpec.Targets) by
// Provider.prepare.

// Multi reports whether the program was loaded for a multi link. Such a program must be attached
// with AttachMulti, not with Attach.
func (p *Program) Multi() bool {
	if len(p.spec.Targets) > 0 && payload[sharedEvent](p.spec.Targets[0]) != "" {
		return true
	}
	switch p.spec.attachType {
	case ebpf.AttachTraceUprobeMulti, ebpf.AttachTraceKprobeMulti:
		return true
	}
	return false
}

// AttachMulti attaches a program to all targets that it was loaded for, which are of one kind.
// cookies has one element per target, or none. If it returns an error, an *AttachError, nothing is
// attached.
func AttachMulti(ts []Target, cookies []uint64, p *Program, o AttachOptions) (*Attachment, error) {
	pr := findProvider(ts[0].Kind)
	if pr == nil || pr.attachMulti == nil {
		return nil, &AttachError{Target: ts[0], Reason: "no such kind of probe"}
	}
	a, err := pr.attachMulti(ts, cookies, p, o)
	var ae *AttachError
	if err != nil && !errors.As(err, &ae) {
		err = attachError(ts[0], err)
	}
	return a, err
}
