package starlarkbind

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
	"github.com/bpfrepl/bpfrepl/internal/strftime"
)

// handlerFuncs implements the functions of handlers on the host, where they run when the script
// calls a handler. Their names, signatures and examples are in the compiler's table.
var handlerFuncs = map[string]builtinFunc{
	"rand": func(_ *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return starlark.MakeUint64(uint64(rand.Uint32())), starlark.UnpackArgs("rand", a, kw)
	},
	"str":          (*Session).hostStr,
	"buf":          (*Session).hostBuf,
	"cast":         (*Session).hostCast,
	"offsetof":     (*Session).hostOffsetof,
	"sizeof":       (*Session).hostSizeof,
	"container_of": (*Session).hostContainerOf,
	"strftime":     (*Session).hostStrftime,
	"kstack":       (*Session).hostStack,
	"ustack":       (*Session).hostStack,
	"ksym":         (*Session).hostKsym,
	"usym":         (*Session).hostUsym,
	"kaddr":        (*Session).hostKaddr,
	"uaddr":        (*Session).hostUaddr,
	"ntop":         (*Session).hostNtop,
	"macaddr":      (*Session).hostMAC,
	"errno_name":   (*Session).hostErrno,
	"syscall_name": (*Session).hostSyscall,
	"cgroup_path":  (*Session).hostCgroup,
	"path":         (*Session).hostPath,
	"signal":       (*Session).hostSignal,
	"reg":          (*Session).hostReg,
	"override":     (*Session).hostOverride,
}

// as returns the text, in a form, of a value as the kernel stores it.
func (s *Session) as(form, arg string, v starlark.Value) starlark.Value {
	return s.format(&types.Format{Name: form, Arg: arg}, v)
}

// hostStr implements str(x, max=256): a string is returned truncated as in a handler; other values
// are converted as Starlark does it.
func (s *Session) hostStr(t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x, limit starlark.Value
	if err := starlark.UnpackArgs("str", a, kw, "x", &x, "max?", &limit); err != nil {
		return nil, err
	}
	str, ok := x.(starlark.String)
	if n, isInt := limit.(starlark.Int); ok && isInt {
		if max, ok := n.Int64(); ok && max > 0 && int64(len(str)) >= max {
			str = str[:max-1]
		}
	}
	if ok {
		return str, nil
	}
	if _, ok := x.(starlark.Bytes); ok {
		return starlark.Call(t, starlark.Universe["str"], starlark.Tuple{x}, nil)
	}
	text, err := s.repr(x)
	return starlark.String(text), err
}

func (s *Session) hostStrftime(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var format string
	var ns signedWord
	if err := starlark.UnpackArgs("strftime", a, kw, "format", &format, "ns", &ns); err != nil {
		return nil, err
	}
	if err := strftime.Check(format); err != nil {
		return nil, err
	}
	t := int64(ns) + host{s}.WallClock()
	return s.as("time", format, starlark.MakeInt64(t-t%int64(strftime.Unit(format)))), nil
}

// hostStack implements kstack() and ustack(). It returns the stack that the event was given, or an
// empty one.
func (s *Session) hostStack(t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	n := compiler.StackFrames
	if err := starlark.UnpackArgs(b.Name(), a, kw, "n?", &n); err != nil {
		return nil, err
	}
	if n < 1 || n > compiler.StackFrames {
		return nil, fmt.Errorf("%s: n must be from 1 to %d", b.Name(), compiler.StackFrames)
	}
	e := eventOf(t)
	if e == nil || e.fields[b.Name()] == nil {
		return &Stack{s: s, user: b.Name() == "ustack"}, nil
	}
	k, ok := e.fields[b.Name()].(*Stack)
	if !ok || len(k.frames) <= n {
		return e.fields[b.Name()], nil
	}
	return &Stack{s: s, user: k.user, pid: k.pid, frames: k.frames[:n]}, nil
}

func (s *Session) hostKsym(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var addr starlark.Int
	if err := starlark.UnpackArgs("ksym", a, kw, "addr", &addr); err != nil {
		return nil, err
	}
	return s.as("ksym", "", addr), nil
}

func (s *Session) hostUsym(t *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var addr starlark.Int
	if err := starlark.UnpackArgs("usym", a, kw, "addr", &addr); err != nil {
		return nil, err
	}
	pid, err := eventField(t, "usym", "pid")
	if err != nil {
		return nil, err
	}
	return s.as("usym", "", starlark.Tuple{addr, pid}), nil
}

// hinted returns err with its hint, if it has one, on the same line.
func hinted(err error) error {
	var he *compiler.HostError
	if errors.As(err, &he) && he.Hint != "" {
		return fmt.Errorf("%s; %s", he.Msg, he.Hint)
	}
	return err
}

func (s *Session) hostKaddr(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var symbol string
	if err := starlark.UnpackArgs("kaddr", a, kw, "symbol", &symbol); err != nil {
		return nil, err
	}
	n, err := host{s}.KernelAddr(symbol)
	return starlark.MakeUint64(n), hinted(err)
}

func (s *Session) hostUaddr(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var symbol, path string
	if err := starlark.UnpackArgs("uaddr", a, kw, "symbol", &symbol, "path??", &path); err != nil {
		return nil, err
	}
	n, err := host{s}.UserAddr(symbol, path)
	return starlark.MakeUint64(n), hinted(err)
}

// hostNtop implements ntop(). It accepts what an event can hold: an int, the bytes of an address,
// or its text.
func (s *Session) hostNtop(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x, y starlark.Value
	if err := starlark.UnpackArgs("ntop", a, kw, "family_or_addr", &x, "addr??", &y); err != nil {
		return nil, err
	}
	if y != nil {
		if f, ok := x.(starlark.Int); !ok || word(f) != 2 && word(f) != 10 {
			return nil, fmt.Errorf("ntop: no address family %s; 2 is AF_INET, 10 is AF_INET6", x)
		}
		x = y
	}
	if b, ok := addressBytes(x); ok && (len(b) == 4 || len(b) == 16) {
		if len(b) == 4 {
			return s.as("ip4", "", number(b)), nil
		}
		return s.as("ip6", "", starlark.Tuple{number(b[:8]), number(b[8:])}), nil
	}
	switch x := x.(type) {
	case starlark.String:
		return x, nil
	case starlark.Int:
		return s.as("ip4", "", x), nil
	}
	return nil, fmt.Errorf("ntop: %s is not an address", x)
}

func (s *Session) hostMAC(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	if err := starlark.UnpackArgs("macaddr", a, kw, "addr", &x); err != nil {
		return nil, err
	}
	if b, ok := addressBytes(x); ok && len(b) >= 6 {
		return s.as("mac", "", number(b[:6])), nil
	}
	if str, ok := x.(starlark.String); ok {
		return str, nil
	}
	return nil, fmt.Errorf("macaddr: %s is not a 6-byte address", x)
}

// addressBytes returns the bytes of a bytes value, or of a list of ints below 256.
func addressBytes(v starlark.Value) ([]byte, bool) {
	switch v := v.(type) {
	case starlark.Bytes:
		return []byte(v), true
	case starlark.String:
		return nil, false
	case starlark.Indexable:
		out := make([]byte, v.Len())
		for i := range out {
			n, ok := v.Index(i).(starlark.Int)
			if !ok || word(n) > 255 {
				return nil, false
			}
			out[i] = byte(word(n))
		}
		return out, true
	}
	return nil, false
}

// number returns up to 8 bytes as a little-endian number.
func number(b []byte) starlark.Int {
	n := uint64(0)
	for i, x := range b {
		n |= uint64(x) << (8 * i)
	}
	return starlark.MakeUint64(n)
}

// A signedWord is an int argument converted to a signed 64-bit integer, as in a handler.
type signedWord int64

// Unpack implements starlark.Unpacker.
func (w *signedWord) Unpack(v starlark.Value) error {
	x, ok := v.(starlark.Int)
	if !ok {
		return fmt.Errorf("got %s, want int", v.Type())
	}
	n, signed := x.Int64()
	if u, unsigned := x.Uint64(); !signed && unsigned {
		n, signed = int64(u), true
	}
	if !signed {
		return fmt.Errorf("%s does not fit in 64 bits", x)
	}
	*w = signedWord(n)
	return nil
}

func (s *Session) hostErrno(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var n signedWord
	if err := starlark.UnpackArgs("errno_name", a, kw, "n", &n); err != nil {
		return nil, err
	}
	return s.as("errno", "", starlark.MakeInt64(int64(max(n, -n)))), nil
}

func (s *Session) hostSyscall(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var n signedWord
	if err := starlark.UnpackArgs("syscall_name", a, kw, "id", &n); err != nil {
		return nil, err
	}
	return s.as("syscall", "", starlark.MakeInt64(kernelnames.Canonical(int64(n), false))), nil
}

func (s *Session) hostCgroup(t *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var id starlark.Value
	if err := starlark.UnpackArgs("cgroup_path", a, kw, "id??", &id); err != nil {
		return nil, err
	}
	if id == nil {
		var err error
		if id, err = eventField(t, "cgroup_path", "cgroup"); err != nil {
			return nil, err
		}
	}
	n, ok := id.(starlark.Int)
	if !ok {
		return nil, fmt.Errorf("cgroup_path: the ID must be a number, got %s", id.Type())
	}
	return s.as("cgroup", "", n), nil
}

// hostSignal checks the arguments of signal() and sends nothing: the process that an event names
// need not exist.
func (s *Session) hostSignal(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var sig starlark.Value
	if err := starlark.UnpackArgs("signal", a, kw, "sig", &sig); err != nil {
		return nil, err
	}
	switch sig := sig.(type) {
	case starlark.String:
		if _, ok := kernelnames.Signal(string(sig)); !ok {
			return nil, fmt.Errorf("signal: %s is not a signal%s", sig, didYouMean(string(sig), kernelnames.Signals()))
		}
	case starlark.Int:
		if n := word(sig); n < 1 || n > 64 {
			return nil, fmt.Errorf("signal: signals are numbered from 1 to 64, got %s", sig)
		}
	default:
		return nil, fmt.Errorf("signal: got %s, want a number or a name", sig.Type())
	}
	if !s.opt.Unsafe {
		return nil, errors.New("signal() changes what other processes do; to allow it, start bpfrepl with --unsafe")
	}
	return starlark.None, nil
}

// hostReg implements reg() with the registers that the event was given: event(regs={"ip": 4096}).
func (s *Session) hostReg(t *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var name starlark.String
	if err := starlark.UnpackArgs("reg", a, kw, "name", &name); err != nil {
		return nil, err
	}
	if e := eventOf(t); e != nil {
		if m, ok := e.fields[eventRegs].(starlark.Mapping); ok {
			if v, found, err := m.Get(name); found || err != nil {
				return v, err
			}
		}
	}
	return nil, fmt.Errorf("reg: this event has no register %s: write event(regs={%s: ...})", name, name)
}

// hostOverride checks the arguments of override() and does nothing: there is no function call whose
// result it could change.
func (s *Session) hostOverride(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var ret starlark.Int
	if err := starlark.UnpackArgs("override", a, kw, "ret", &ret); err != nil {
		return nil, err
	}
	if !s.opt.Unsafe {
		return nil, errors.New("override() changes what the kernel does; to allow it, start bpfrepl with --unsafe")
	}
	return starlark.None, nil
}

// hostPath implements path(). The event has the path as text in place of a pointer.
func (s *Session) hostPath(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var p string
	limit := 256
	if err := starlark.UnpackArgs("path", a, kw, "p", &p, "max?", &limit); err != nil {
		return nil, err
	}
	if len(p) >= limit {
		p = ""
	}
	return starlark.String(p), nil
}
