package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// ProgramSpec says what a program is to be.
type ProgramSpec struct {
	Name         string
	Type         ebpf.ProgramType
	Instructions asm.Instructions
	Maps         map[string]*kmap.Map // by the name under which the instructions refer to them
	Targets      []Target             // what it is going to be attached to, all of one kind; none for a program that is only run
	PID          int                  // as it will be in AttachOptions

	attachType ebpf.AttachType // of a link; 0: the kernel goes by the program's type
	attachTo   string          // what it belongs to in the kernel's types, as the library calls it
	attachBTF  uint32          // the same as a BTF id
	attachFD   int             // of the BTF that the id is in, if that is a module's, or of the program that it is in
	attachIn   io.Closer       // what attachFD is of: let go when the program is loaded
}

// Program is a loaded program.
type Program struct {
	raw        *ebpf.Program // nil where each target has its own
	spec       ProgramSpec
	perTarget  map[string]*Program // by the target's name, for kinds that tie a program to its target
	loadErrors map[string]error    // of targets that the kernel did not load it for
}

// license makes the helpers available that are for GPL programs only.
const license = "Dual MIT/GPL"

// VerifierError is the kernel's verdict that a program is not safe. For a program that our compiler made it is a
// fault of the compiler.
type VerifierError struct {
	Reason string   // the verifier's last words before its statistics
	Source string   // the source line that it was at, as the instructions' comments have it, or ""
	Log    []string // all that it said
	Err    error
}

// TooComplex tells that the verifier gave up: it walks through the program on every way, and does at most a million steps
// (kernel include/linux/bpf.h: BPF_COMPLEXITY_LIMIT_INSNS). That is no fault of the compiler.
func (e *VerifierError) TooComplex() bool {
	return strings.HasPrefix(e.Reason, tooLarge) || strings.HasPrefix(e.Reason, "The sequence of ")
}

// tooLarge begins the reason of a verifier that gave up.
const tooLarge = "BPF program is too large"

func (e *VerifierError) Error() string {
	if e.TooComplex() {
		return "the handler is too complex for this kernel's verifier, which gave up after a million steps; split it, or test less"
	}
	s := "the kernel's verifier refuses the program: " + e.Reason
	if e.Source != "" {
		s += " (at " + e.Source + ")"
	}
	return s
}

// Format prints the whole log with %+v.
func (e *VerifierError) Format(f fmt.State, verb rune) {
	s := e.Error()
	if verb == 'v' && f.Flag('+') {
		s += "\n" + strings.Join(e.Log, "\n")
	}
	if _, err := io.WriteString(f, s); err != nil {
		return // fmt has no way to hand it on
	}
}

func (e *VerifierError) Unwrap() error { return e.Err }

// LoadError says why the kernel did not load a program before it looked at it.
type LoadError struct {
	Type   ebpf.ProgramType
	Reason string
	Err    error
}

func (e *LoadError) Error() string { return fmt.Sprintf("load a %s program: %s", e.Type, e.Reason) }
func (e *LoadError) Unwrap() error { return e.Err }

// NewProgram loads a program. The error is a *VerifierError, a *LoadError, or a *PrivilegeError.
func NewProgram(spec ProgramSpec) (*Program, error) {
	if len(spec.Targets) == 0 {
		return loadProgram(spec)
	}
	pr := findProvider(spec.Targets[0].Kind)
	if pr == nil {
		return loadProgram(spec)
	}
	if pr.prepare != nil {
		if err := pr.prepare(&spec); err != nil {
			return nil, err
		}
	}
	p, err := loadProgram(spec)
	if err != nil && pr.explainLoadError != nil {
		err = pr.explainLoadError(spec.Targets[0], err)
	}
	return p, err
}

func loadProgram(spec ProgramSpec) (_ *Program, err error) {
	in := spec.attachIn
	if spec.attachIn = nil; in != nil {
		defer func() { err = errors.Join(err, in.Close()) }()
	}
	insns := append(asm.Instructions{}, spec.Instructions...)
	for i := range insns {
		ins := &insns[i]
		if m := spec.Maps[ins.Reference()]; m != nil && ins.IsLoadFromMap() {
			if err := ins.AssociateMap(m.Raw()); err != nil {
				return nil, fmt.Errorf("map %q: %w", ins.Reference(), err)
			}
		}
	}
	var code bytes.Buffer
	if err := insns.Marshal(&code, byteOrder()); err != nil {
		return nil, fmt.Errorf("write the instructions of %s: %w", spec.Name, err)
	}
	full := func(opts ebpf.ProgramOptions) (*ebpf.Program, error) {
		target, _ := in.(*ebpf.Program)
		return ebpf.NewProgramWithOptions(&ebpf.ProgramSpec{Name: kmap.KernelName(spec.Name), Type: spec.Type, Instructions: insns, License: license,
			AttachType: spec.attachType, AttachTo: spec.attachTo, AttachTarget: target}, opts)
	}
	var raw *ebpf.Program
	if hasCallbacks(insns) { // the kernel wants BTF of programs that have
		raw, err = full(ebpf.ProgramOptions{LogDisabled: true})
	} else {
		raw, err = loadBare(spec, code.Bytes())
	}
	switch {
	case err == nil:
		return &Program{raw: raw, spec: spec}, nil
	case errors.Is(err, unix.E2BIG): // a log of a million steps would say no more
		if why := overLimit(spec.Instructions, code.Len()/asm.InstructionSize); why != "" {
			return nil, &LoadError{Type: spec.Type, Reason: why, Err: err}
		}
		return nil, &VerifierError{Reason: tooLarge, Err: err}
	}
	// refused: again, with the source lines for the verifier's log
	raw, err = full(ebpf.ProgramOptions{})
	if err != nil {
		return nil, loadError(spec, insns, err)
	}
	return &Program{raw: raw, spec: spec}, nil
}

func hasCallbacks(insns asm.Instructions) bool {
	return slices.ContainsFunc(insns, func(ins asm.Instruction) bool { return ins.IsLoadOfFunctionPointer() })
}

// loadBare loads a program without BTF, so without its source lines. That saves the library's ten probes of what BTF the
// kernel takes, two milliseconds of a start that has fifteen.
func loadBare(spec ProgramSpec, code []byte) (*ebpf.Program, error) {
	gpl := append([]byte(license), 0)
	attr := sys.ProgLoadAttr{ProgType: uint32(spec.Type), Count: uint32(len(code) / asm.InstructionSize), Insns: sys.BytePointer(code), License: sys.BytePointer(gpl),
		AttachType: uint32(spec.attachType), AttachBTF: spec.attachBTF, AttachBTFFD: uint32(spec.attachFD)}
	copy(attr.Name[:], kmap.KernelName(spec.Name))
	size := unsafe.Sizeof(attr)
	if spec.attachType == 0 && spec.attachBTF == 0 {
		size = unsafe.Offsetof(attr.Ifindex) // older kernels refuse what they do not know
	}
	if spec.attachFD == 0 {
		size = min(size, unsafe.Offsetof(attr.AttachBTFFD))
	}
	fd, err := sys.BPF(sys.CmdProgLoad, unsafe.Pointer(&attr), size)
	runtime.KeepAlive(code)
	runtime.KeepAlive(gpl)
	if err != nil {
		return nil, err
	}
	raw, err := ebpf.NewProgramFromFD(int(fd))
	if err != nil {
		return nil, errors.Join(err, sys.CloseFD(int(fd)))
	}
	return raw, nil
}

// byteOrder is the machine's, in the form that the library knows.
func byteOrder() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

func loadError(spec ProgramSpec, insns asm.Instructions, err error) error {
	var ve *ebpf.VerifierError
	if errors.As(err, &ve) && len(ve.Log) > 0 {
		r := &VerifierError{Log: ve.Log, Err: err}
		r.Reason, r.Source = explain(ve.Log, insns)
		return r
	}
	e := &LoadError{Type: spec.Type, Reason: err.Error(), Err: err}
	switch {
	case errors.Is(err, unix.EPERM):
		_, perr := sys.CheckPrivilege()
		var pe *sys.PrivilegeError
		if errors.As(perr, &pe) {
			return errors.Join(pe)
		}
		// the library blames RLIMIT_MEMLOCK for any EPERM
		e.Reason = "the kernel does not permit it, though the capabilities are there: it is locked down, or built without this"
		if why := sys.LockedMemory(); why != "" {
			e.Reason = why
		}
	case errors.Is(err, unix.EFAULT): // the verifier's answer to more than 8192 jumps on one way; the library drops its log
		return &VerifierError{Reason: "The sequence of jumps is too complex", Err: err}
	case errors.Is(err, unix.EINVAL):
		e.Reason = "this kernel has no programs of this type, or not of this form"
	case errors.Is(err, unix.E2BIG):
		e.Reason = fmt.Sprintf("it is too large for this kernel: %d instructions", len(insns))
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		e.Reason = "no file descriptors are left; raise the limit (ulimit -n), or match fewer probes"
	case errors.Is(err, unix.ENOMEM):
		e.Reason = "the kernel has no memory for it"
	}
	return e
}

// explain finds the verifier's reason in its log: the last line that is neither an instruction, nor a source line, nor
// statistics. The source is that of the last instruction before it: the log counts instructions as the kernel does, and ours
// carry their lines as comments. The lines that the log itself may have are not to be had: the kernel leaves out those that
// it takes for a repeat, and the library gives it no line numbers to tell them apart.
func explain(log []string, insns asm.Instructions) (reason, source string) {
	at := -1
	for i := len(log) - 1; i >= 0 && at < 0; i-- {
		l := strings.TrimSpace(log[i])
		n, isInsn := instructionIndex(l)
		if j := strings.Index(l, tooLarge); j > 0 {
			reason, l = l[j:], l[:j] // it stands behind the instruction at which the verifier gave up
		}
		switch {
		case l == "", strings.HasPrefix(l, ";"), strings.HasPrefix(l, "processed "), strings.HasPrefix(l, "verification time"), strings.HasPrefix(l, "stack depth"), strings.HasPrefix(l, "mark_precise"):
		case isInsn:
			at = n
		case reason == "":
			reason = l
		}
	}
	for it := insns.Iterate(); it.Next() && int(it.Offset) <= at; {
		if src := it.Ins.Source(); src != nil {
			source = src.String()
		}
	}
	return reason, source
}

// instructionIndex reads "12: (79) r2 = *(u64 *)(r3 +0)".
func instructionIndex(line string) (int, bool) {
	num, rest, ok := strings.Cut(line, ": (")
	if !ok || len(rest) < 3 || rest[2] != ')' {
		return 0, false
	}
	n, err := strconv.Atoi(num)
	return n, err == nil
}

// Type gives the program's type.
func (p *Program) Type() ebpf.ProgramType { return p.spec.Type }

// Raw gives the library's program.
func (p *Program) Raw() *ebpf.Program { return p.raw }

// Close lets the program go. What it is attached to keeps it in the kernel.
func (p *Program) Close() error {
	var errs []error
	for _, one := range p.perTarget {
		errs = append(errs, one.Close())
	}
	if p.raw != nil {
		errs = append(errs, p.raw.Close())
	}
	return errors.Join(errs...)
}

// Stats is what the kernel knows of a program's runs.
type Stats struct {
	Runs   uint64        // counted only while EnableStats is in force
	Time   time.Duration // likewise
	Missed uint64        // runs that the kernel left out because the program, or one of its kind, was running on the CPU (5.12)
}

// progInfo is the head of struct bpf_prog_info (include/uapi/linux/bpf.h), up to recursion_misses.
type progInfo struct {
	_             [192]byte
	runTimeNS     uint64
	runCount      uint64
	recursionMiss uint64
}

// PerRun is the mean time of a run; 0 where there was none.
func (s Stats) PerRun() time.Duration {
	if s.Runs == 0 {
		return 0
	}
	return s.Time / time.Duration(s.Runs)
}

// Stats reads the program's statistics.
func (p *Program) Stats() (Stats, error) {
	var st Stats
	for _, one := range p.perTarget {
		s, err := one.Stats()
		if err != nil {
			return Stats{}, err
		}
		st = st.plus(s)
	}
	if p.raw == nil {
		return st, nil
	}
	var info progInfo
	attr := sys.InfoAttr{FD: uint32(p.raw.FD()), Len: uint32(unsafe.Sizeof(info)), Info: unsafe.Pointer(&info)}
	_, err := sys.BPF(sys.CmdObjInfoByFD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&info)
	if err != nil {
		return Stats{}, fmt.Errorf("read the program's statistics: %w", err)
	}
	return Stats{Runs: info.runCount, Time: time.Duration(info.runTimeNS), Missed: info.recursionMiss}, nil
}

func (s Stats) plus(t Stats) Stats {
	return Stats{Runs: s.Runs + t.Runs, Time: s.Time + t.Time, Missed: s.Missed + t.Missed}
}

// EnableStats makes the kernel count runs and time of all programs until the result is closed (5.8). Each run then
// reads the clock twice. Only CAP_SYS_ADMIN may: the error is a *PrivilegeError without it.
func EnableStats() (io.Closer, error) {
	c, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if errors.Is(err, unix.EPERM) {
		return nil, &sys.PrivilegeError{UID: os.Geteuid(), For: "measuring programs (stats(), --max-overhead)", Missing: []string{"CAP_SYS_ADMIN"}}
	}
	if err != nil {
		return nil, fmt.Errorf("enable the statistics of programs: %w", err)
	}
	return c, nil
}

// TestRun runs a raw tracepoint program once, with these words as its context (BPF_PROG_TEST_RUN, 5.10), and gives what
// it returns.
func (p *Program) TestRun(ctx []uint64) (uint32, error) {
	attr := sys.TestRunAttr{FD: uint32(p.raw.FD())}
	if len(ctx) > 0 {
		attr.CtxIn, attr.CtxSizeIn = unsafe.Pointer(&ctx[0]), uint32(8*len(ctx))
	}
	_, err := sys.BPF(sys.CmdProgTestRun, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(ctx)
	if err != nil {
		return 0, fmt.Errorf("run program %s: %w", p.spec.Name, err)
	}
	return attr.Ret, nil
}

func (p *Program) runOnce() error {
	_, err := p.TestRun(nil)
	return err
}
