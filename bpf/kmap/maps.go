package kmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// Map is a kernel map whose keys and values are bytes. All methods except Close are safe for
// concurrent use.
type Map struct {
	raw       *ebpf.Map
	spec      Spec
	valueSize int
}

// ErrKeyNotExist is returned by Lookup and Delete for a key that does not exist.
var ErrKeyNotExist = ebpf.ErrKeyNotExist

// ErrKeyExist is returned by Update with the flag NoExist for a key that exists.
var ErrKeyExist = ebpf.ErrKeyExist

// New creates a map. The error is a *Error. New calls the kernel directly, because cilium/ebpf
// first reads the mount table and creates three maps to probe the kernel, which takes one of the
// fifteen milliseconds that a start takes.
func New(spec Spec) (*Map, error) {
	if err := spec.CheckMemory(1); err != nil {
		return nil, err
	}
	inner := 0
	if spec.Inner != nil { // the kernel copies its shape
		fd, err := createMap(hashShape(*spec.Inner), 0)
		if err != nil {
			return nil, createError(*spec.Inner, err)
		}
		inner = fd
	}
	fd, err := createMap(spec, inner)
	if spec.Inner != nil {
		err = errors.Join(err, sys.CloseFD(inner))
	}
	if err != nil {
		return nil, createError(spec, err)
	}
	raw, err := ebpf.NewMapFromFD(fd)
	if err != nil {
		return nil, createError(spec, errors.Join(err, sys.CloseFD(fd)))
	}
	size, err := totalValueSize(spec)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return &Map{raw: raw, spec: spec, valueSize: size}, nil
}

func createMap(s Spec, inner int) (fd int, err error) {
	attr := sys.MapCreateAttr{Typ: uint32(s.Type), KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: s.MaxEntries, Flags: s.Flags, Inner: uint32(inner)}
	copy(attr.Name[:], KernelName(s.Name))
	r, err := sys.BPF(sys.CmdMapCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return int(r), err
}

// KernelName converts a name to one that the kernel accepts: at most 15 letters, digits, dots and
// underscores.
func KernelName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x80 && (sys.IsIdentByte(byte(r)) || r == '.') {
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), unix.BPF_OBJ_NAME_LEN-1)]
}

func createError(s Spec, err error) error {
	e := &Error{Spec: s, Op: "create", Err: err}
	switch {
	case errors.Is(err, unix.EPERM):
		e.Reason = "the kernel does not permit it"
		_, perr := sys.CheckPrivilege()
		var pe *sys.PrivilegeError
		if errors.As(perr, &pe) {
			e.Reason, e.Err = pe.Error(), errors.Join(err, pe)
		} else if why := sys.LockedMemory(); why != "" {
			e.Reason = why
		}
	case errors.Is(err, unix.E2BIG) && s.KeySize > 512 && sys.OlderThan(5, 11):
		e.Reason = fmt.Sprintf("kernels before 5.11 limit keys to 512 bytes; these have %d", s.KeySize)
	case s.Type == ebpf.RingBuf && (errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOMEM)):
		return streamTooLarge(s, s.bytes(), s.bytes()/2, err)
	case errors.Is(err, unix.E2BIG), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EINVAL) && s.MaxEntries > 1<<31:
		e.Reason = fmt.Sprintf("%d keys of %d bytes with values of %d bytes need about %s, more than the kernel allows", s.MaxEntries, s.KeySize, s.ValueSize, mebibytes(s.bytes()))
		e.Hint = "lower max_keys"
	case errors.Is(err, unix.EINVAL) && s.MaxEntries == 0:
		e.Reason, e.Hint = "it has no room for a key", "raise max_keys"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		e.Reason, e.Hint = "no file descriptors are left", "raise the limit (ulimit -n), or use fewer probes and maps"
	default:
		e.Reason = err.Error()
	}
	return e
}

// Raw returns the underlying cilium/ebpf map.
func (m *Map) Raw() *ebpf.Map { return m.raw }

// Spec returns the spec from which the map was created.
func (m *Map) Spec() Spec { return m.spec }

// ValueSize returns the number of bytes that Lookup returns for a key. For a per-CPU map, these are
// the values of all possible CPUs one after another, each rounded up to 8 bytes.
func (m *Map) ValueSize() int { return m.valueSize }

// Lookup returns the value of a key. The error is ErrKeyNotExist if the key does not exist.
func (m *Map) Lookup(key []byte) ([]byte, error) {
	value := make([]byte, m.valueSize)
	return value, m.LookupInto(key, value)
}

// LookupInto is like Lookup, but reads the value into a buffer of ValueSize bytes.
func (m *Map) LookupInto(key, value []byte) error {
	return m.elem(sys.CmdMapLookup, "look up in", key, value, 0)
}

// Flags of Update (include/uapi/linux/bpf.h).
const (
	Any     = 0
	NoExist = 1 // only if the key does not exist, else ErrKeyExist
	Exist   = 2 // only if the key exists, else ErrKeyNotExist
)

// Update stores a value. flags is Any, NoExist or Exist. If the map is full, the error is a *Error
// that wraps E2BIG.
func (m *Map) Update(key, value []byte, flags uint64) error {
	return m.elem(sys.CmdMapUpdate, "update", key, value, flags)
}

// Delete removes a key, or returns ErrKeyNotExist. A running program that has already looked the
// key up may still write to the element, which may belong to another key by then. To empty a map
// that programs use, swap it (SwapMap).
func (m *Map) Delete(key []byte) error { return m.elem(sys.CmdMapDelete, "delete from", key, nil, 0) }

func (m *Map) elem(cmd uintptr, op string, key, value []byte, flags uint64) error {
	if len(key) != int(m.spec.KeySize) || cmd != sys.CmdMapDelete && len(value) != m.valueSize {
		return &Error{Spec: m.spec, Op: op, Reason: fmt.Sprintf("key of %d bytes and value of %d, not %d and %d", len(key), len(value), m.spec.KeySize, m.valueSize), Err: unix.EINVAL}
	}
	return m.failed(op, sys.ElemCall(cmd, m.raw.FD(), key, value, flags))
}

// failed converts the error of an operation on an element to the error that callers see.
func (m *Map) failed(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		return ErrKeyNotExist
	case errors.Is(err, unix.EEXIST):
		return ErrKeyExist
	case errors.Is(err, unix.E2BIG):
		return &Error{Spec: m.spec, Op: op, Reason: fmt.Sprintf("it is full: it holds %d keys", m.spec.MaxEntries), Hint: "raise max_keys", Err: err}
	}
	return &Error{Spec: m.spec, Op: op, Reason: err.Error(), Err: err}
}

// Close closes the map. The kernel keeps it while programs use it.
func (m *Map) Close() error {
	if err := m.raw.Close(); err != nil {
		return fmt.Errorf("close map %q: %w", m.spec.Name, err)
	}
	return nil
}

// NewNumbers creates an array of numbers for programs to look up.
func NewNumbers(numbers []uint64) (*Map, error) {
	m, err := New(Spec{Name: "numbers", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: uint32(len(numbers))})
	if err != nil {
		return nil, err
	}
	for i, n := range numbers {
		if err := m.Update(binary.NativeEndian.AppendUint32(nil, uint32(i)), binary.NativeEndian.AppendUint64(nil, n), 0); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}
