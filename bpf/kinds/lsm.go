package kinds

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// The kernel asks its security modules (LSM) before most operations on files, processes and
// sockets. It has an empty function bpf_lsm_HOOK for each question, to which programs are attached
// (5.7). The question reaches that function only if the module "bpf" is active, which is decided at
// boot. A program that returns 0 leaves the decision to the other modules; a negative error number
// refuses.
var lsmProvider = Provider{
	Kind: "lsm", Syntax: "lsm:HOOK",
	Doc:     "A hook of the kernel's security modules (LSM), with typed arguments: runs when the kernel decides whether to allow an operation.",
	Example: "lsm:file_open",
	minArgs: 1, maxArgs: 1, functions: lsmHooks, usable: usableLSM,
	List:    listLSM,
	Resolve: resolveLSM,
	Driver: bpf.Driver{
		ProgramPerTarget: true,
		Context:          abi.Context{OwnFrame: true}, TrustedPointers: true,
		Event:            lsmEvent,
		ProgramTypes:     only(ebpf.LSM),
		Prepare:          prepareLSM,
		Attach:           attachFentry(ebpf.AttachLSMMac),
		ExplainLoadError: lsmRefused,
	},
}

// lsmPrefix precedes the name of a hook in the name of its function.
const lsmPrefix = "bpf_lsm_"

// lsmFile lists the active modules. It is in securityfs.
const lsmFile = "/sys/kernel/security/lsm"

// lsmHooks returns the names of the hooks, sorted: the members of the union of all hooks that
// have a function.
var lsmHooks = sync.OnceValues(func() ([]string, error) {
	t, err := kbtf.Kernel()
	if err != nil {
		return nil, err
	}
	attachable := map[string]bool{}
	for name := range t.FuncNames() {
		if hook, ok := bytes.CutPrefix(name, []byte(lsmPrefix)); ok {
			attachable[string(hook)] = true
		}
	}
	names := []string{}
	hooks, ok := t.Lookup("union security_list_options")
	if !ok { // a kernel without security modules
		return names, nil
	}
	for _, m := range hooks.Members() {
		if attachable[m.Name] {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names, nil
})

// usableLSM returns a *NotFoundError if no program would run at any hook.
func usableLSM(spec string) error {
	hooks, err := lsmHooks()
	var noBTF *kbtf.NoBTFError
	switch {
	case errors.As(err, &noBTF):
		return &NotFoundError{Spec: spec, Reason: noBTF.Error(), Hint: "use a tracepoint, which bpfrepl -l 'tracepoint:*' lists"}
	case err != nil:
		return err
	case len(hooks) == 0:
		return &NotFoundError{Spec: spec, Reason: "this kernel has no BPF LSM: it is built without CONFIG_BPF_LSM", Hint: "use fentry or kprobe on the functions named security_*"}
	}
	text, err := os.ReadFile(lsmFile)
	if errors.Is(err, os.ErrNotExist) {
		return &NotFoundError{Spec: spec, Reason: "whether the BPF LSM is active is not known, because securityfs is not mounted", Hint: "mount -t securityfs securityfs /sys/kernel/security"}
	}
	if err != nil {
		return sys.ReadError(lsmFile, err)
	}
	if none := lsmInactive(spec, string(text)); none != nil {
		return none
	}
	return nil
}

// lsmInactive returns an error if bpf is not in the list of active modules.
func lsmInactive(spec, list string) *NotFoundError {
	active := strings.Split(strings.TrimSpace(list), ",")
	if slices.Contains(active, "bpf") {
		return nil
	}
	// The module capability is always active and cannot be named at boot.
	others := slices.DeleteFunc(active, func(m string) bool { return m == "capability" })
	return &NotFoundError{Spec: spec, Reason: "the kernel was booted without the BPF LSM, so programs at its hooks would never run",
		Hint: "boot with lsm=" + strings.Join(append(others, "bpf"), ",")}
}

func lsmTarget(hook string) bpf.Target {
	t := newTarget("lsm", hook)
	t.Func = lsmPrefix + hook
	return t
}

func listLSM(pattern string) ([]bpf.Target, error) {
	ts, err := listFunctions("lsm", pattern, lsmHooks)
	var noBTF *kbtf.NoBTFError
	if errors.As(err, &noBTF) {
		return nil, nil
	}
	for i := range ts {
		ts[i] = lsmTarget(ts[i].Func)
	}
	return ts, err
}

func resolveLSM(s Spec) ([]bpf.Target, error) {
	if err := usableLSM(s.Text); err != nil {
		return nil, err
	}
	hook := s.Args[0]
	hooks, err := lsmHooks()
	if err != nil {
		return nil, err
	}
	if isPattern(hook) {
		var out []bpf.Target
		for _, n := range matchNames(hook, hooks) {
			out = append(out, lsmTarget(n))
		}
		if out == nil {
			return nil, &NotFoundError{Spec: s.Text, Reason: "no security hook matches"}
		}
		return out, nil
	}
	if _, found := slices.BinarySearch(hooks, hook); !found {
		e := &NotFoundError{Spec: s.Text, Reason: fmt.Sprintf("this kernel has no security hook %q", hook)}
		for _, n := range suggest.Nearest(hook, hooks, 3) {
			e.Suggestions = append(e.Suggestions, "lsm:"+n)
		}
		return nil, e
	}
	t := lsmTarget(hook)
	var refused *bpf.AttachError
	err = tryLSM(t)
	if errors.As(err, &refused) {
		err = &NotFoundError{Spec: s.Text, Reason: refused.Reason, Hint: refused.Hint}
	}
	return []bpf.Target{t}, err
}

// lsmEvent returns the arguments of the hook. A hook that returns nothing only informs the modules.
func lsmEvent(t bpf.Target) (*abi.Event, error) {
	e, err := traceEvent(t, false)
	if err != nil {
		return nil, err
	}
	f, err := kbtf.KernelFunc(t.Func)
	if err != nil {
		return nil, err
	}
	_, e.Verdict = returned(f)
	return e, nil
}

// prepareLSM ties a program to the function of its only target.
func prepareLSM(s *bpf.ProgramSpec) error {
	t := s.Targets[0]
	f, err := kbtf.KernelFunc(t.Func)
	if err != nil {
		return fentryUntyped(t, err)
	}
	s.AttachType, s.AttachTo, s.AttachBTF = ebpf.AttachLSMMac, t.Parts[0], f.ID
	return nil
}

// tryLSM loads a program that does nothing. A refusal is an *AttachError or a *PrivilegeError.
func tryLSM(t bpf.Target) error {
	spec := idle(t)
	spec.Type = ebpf.LSM
	if err := prepareLSM(&spec); err != nil {
		return err
	}
	p, err := bpf.NewProgram(spec)
	if err == nil {
		return p.Close()
	}
	var refusal *bpf.VerifierError
	var privilege *sys.PrivilegeError
	e := &bpf.AttachError{Target: t, Reason: err.Error(), Err: err}
	switch {
	case errors.As(err, &privilege):
		return err
	case errors.As(err, &refusal):
		e.TargetOnly = true
		e.Reason, e.Hint = "the kernel allows no program at this hook: "+refusal.Reason, instead(t)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		e.Reason, e.Hint = "the kernel refuses to load LSM programs, although this process has the capabilities: a system policy forbids them", "use a kernel that allows them"
	}
	return e
}

// lsmRefused determines whether the kernel refused the hook or the handler.
func lsmRefused(t bpf.Target, err error) error {
	var ae *bpf.AttachError
	if trial := tryLSM(t); errors.As(trial, &ae) {
		return trial
	}
	return err
}
