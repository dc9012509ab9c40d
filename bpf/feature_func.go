package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// HasKprobes reports whether the kernel is built with kprobes.
func HasKprobes() bool { return tryKprobes() == nil }

func tryKprobes() error {
	_, err := kprobePMU()
	if errors.Is(err, errNoKprobes) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	return err
}

func tryFentryKind() error {
	err := tryFentry(functionTarget(fentryProvider.Kind, fentryProvider.Kind, "vfs_read"))
	var ae *AttachError
	if errors.As(err, &ae) {
		return fmt.Errorf("%w: %s", errMissing, ae.Reason)
	}
	return err
}

func tryLSMKind() error {
	err := usableLSM(lsmProvider.Kind)
	if err == nil {
		err = tryLSM(lsmTarget("file_open"))
	}
	var none *NotFoundError
	var refused *AttachError
	switch {
	case errors.As(err, &none):
		return fmt.Errorf("%w: %s", errMissing, none.Reason)
	case errors.As(err, &refused):
		return fmt.Errorf("%w: %s", errMissing, refused.Reason)
	}
	return err
}

// tryKprobeMulti attaches an empty program with a multi link.
func tryKprobeMulti() error {
	p, err := NewProgram(ProgramSpec{Name: "feature", Type: ebpf.Kprobe, attachType: ebpf.AttachTraceKprobeMulti,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return err
	}
	a, err := attachKprobes([]Target{functionTarget(kprobeProvider.Kind, kprobeProvider.Kind, "vfs_read")}, nil, false, p)
	switch {
	case err == nil:
		err = a.Close()
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		err = fmt.Errorf("%w: %w", errMissing, err)
	}
	return errors.Join(err, p.Close())
}

// tryUprobeMulti requests a multi link to a directory. A kernel that supports such links answers
// that it is not a file.
func tryUprobeMulti() error {
	p, err := NewProgram(ProgramSpec{Name: "feature", Type: ebpf.Kprobe, attachType: ebpf.AttachTraceUprobeMulti,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return err
	}
	fd, err := linkUprobes([]Target{{data: userSites{file: "/", sites: []probeSite{{}}}}}, nil, p, AttachOptions{}, false)
	switch {
	case err == nil:
		err = errors.Join(errors.New("the kernel accepted a uprobe on a directory"), sys.CloseFD(fd))
	case errors.Is(err, unix.EBADF):
		err = nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		err = fmt.Errorf("%w: %w", errMissing, err)
	}
	return errors.Join(err, p.Close())
}
