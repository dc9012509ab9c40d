package bpf

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kernelfunc"
)

// kprobeError explains why the kernel did not attach a program to a function.
func kprobeError(t Target, err error) error {
	e := &AttachError{Target: t, Err: err}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		if lockdown() == "confidentiality" {
			e.Reason, e.Hint = "the kernel is locked down (lockdown=confidentiality), which forbids kprobes", "boot without that, or use a tracepoint"
			return e
		}
		return attachError(t, err)
	case errors.Is(err, unix.EILSEQ):
		e.TargetOnly = true
		e.Reason, e.Hint = fmt.Sprintf("the offset 0x%x is not at the start of an instruction", t.offset()), "kprobe:"+t.Func+" is the function's entry"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		e.TargetOnly = true
		e.Reason = "the kernel no longer has this function, or it has no place for a probe"
	case errors.Is(err, unix.EINVAL):
		e.TargetOnly = true
		e.Reason, e.Hint = "the kernel does not allow kprobes there: the function is on its blacklist, or notrace", "use a function that calls it"
		switch {
		case kernelfunc.Blacklist()[t.Func]:
			e.Reason = "the kernel does not allow kprobes there: the function is on its blacklist (" + kernelfunc.BlacklistFile + ")"
		case kernelfunc.IsNotrace(t.Func):
			e.Reason = "the kernel does not allow this function to be traced: it is notrace (not in " + kernelfunc.FilterFile + ")"
		}
	default:
		return attachError(t, err)
	}
	return e
}

// missedReturns explains why a kretprobe missed returns.
func missedReturns(t Target) (event, reason string) {
	return "return", "more calls were in flight than the kretprobe has room for (maxactive), or another probe was running on that CPU; fexit:" + t.Func + " has no such limit"
}
