package starlarkbind

import (
	"fmt"
	"slices"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
	"github.com/bpfrepl/bpfrepl/internal/netaddr"
	"github.com/bpfrepl/bpfrepl/internal/strftime"
)

// A valueFormat defines how the host converts values that the kernel stores as numbers (types.Format): one
// row of a table.
type valueFormat struct {
	// show converts the kernel's value, an int or a tuple of ints, to the value that the script
	// sees.
	show func(s *Session, f *types.Format, v starlark.Value) starlark.Value
	// read is the inverse of show. It is nil if one string can stand for several kernel values.
	read func(s *Session, f *types.Format, v starlark.Value) (starlark.Value, bool)
}

var valueFormats map[string]valueFormat

func init() { valueFormats = makeValueFormats() }

func makeValueFormats() map[string]valueFormat {
	return map[string]valueFormat{
		"probe": {
			func(s *Session, _ *types.Format, v starlark.Value) starlark.Value {
				return starlark.String(s.probeName(word(v)))
			},
			text(func(s *Session, _ *types.Format, name string) (starlark.Value, bool) {
				return starlark.MakeUint64(s.probeID(name)), true
			}),
		},
		"enum": {
			func(_ *Session, f *types.Format, v starlark.Value) starlark.Value {
				if name, ok := f.Names[int64(word(v))]; ok {
					return starlark.String(name)
				}
				return starlark.String(v.String())
			},
			text(func(_ *Session, f *types.Format, name string) (starlark.Value, bool) {
				for n, x := range f.Names {
					if x == name {
						return starlark.MakeInt64(n), true
					}
				}
				return nil, false
			}),
		},
		"ksym": {
			func(s *Session, _ *types.Format, v starlark.Value) starlark.Value {
				return starlark.String(s.symbol(false, 0, word(v)))
			},
			nil,
		},
		"usym": {
			func(s *Session, _ *types.Format, v starlark.Value) starlark.Value {
				t := v.(starlark.Tuple)
				return starlark.String(s.symbol(true, int(word(t[1])), word(t[0])))
			},
			nil,
		},
		"kstack": stackForm(false),
		"ustack": stackForm(true),
		"time": {
			func(_ *Session, f *types.Format, v starlark.Value) starlark.Value {
				return starlark.String(strftime.Format(f.Arg, time.Unix(0, int64(word(v)))))
			},
			nil,
		},
		"ip4": {
			func(_ *Session, _ *types.Format, v starlark.Value) starlark.Value {
				return starlark.String(netaddr.IP4(word(v)))
			},
			text(func(_ *Session, _ *types.Format, t string) (starlark.Value, bool) {
				n, ok := netaddr.ParseIP4(t)
				return starlark.MakeUint64(n), ok
			}),
		},
		"ip6": {
			func(_ *Session, _ *types.Format, v starlark.Value) starlark.Value {
				t := v.(starlark.Tuple)
				return starlark.String(netaddr.IP6(word(t[0]), word(t[1])))
			},
			text(func(_ *Session, _ *types.Format, t string) (starlark.Value, bool) {
				a, b, ok := netaddr.ParseIP6(t)
				return starlark.Tuple{starlark.MakeUint64(a), starlark.MakeUint64(b)}, ok
			}),
		},
		"ip": {
			func(_ *Session, _ *types.Format, v starlark.Value) starlark.Value {
				t := v.(starlark.Tuple)
				return starlark.String(netaddr.IP(word(t[0]), word(t[1]), word(t[2])))
			},
			text(func(_ *Session, _ *types.Format, t string) (starlark.Value, bool) {
				v, a, b, ok := netaddr.Parse(t)
				return starlark.Tuple{starlark.MakeUint64(v), starlark.MakeUint64(a), starlark.MakeUint64(b)}, ok
			}),
		},
		"mac": {
			func(_ *Session, _ *types.Format, v starlark.Value) starlark.Value {
				return starlark.String(netaddr.MAC(word(v)))
			},
			text(func(_ *Session, _ *types.Format, t string) (starlark.Value, bool) {
				n, ok := netaddr.ParseMAC(t)
				return starlark.MakeUint64(n), ok
			}),
		},
		"errno": {
			func(_ *Session, _ *types.Format, v starlark.Value) starlark.Value {
				return starlark.String(kernelnames.Errno(int64(word(v))))
			},
			text(numbered(kernelnames.ParseErrno)),
		},
		"syscall": {
			func(_ *Session, _ *types.Format, v starlark.Value) starlark.Value {
				return starlark.String(kernelnames.Syscall(int64(word(v))))
			},
			text(numbered(kernelnames.ParseSyscall)),
		},
		"cgroup": {
			func(s *Session, _ *types.Format, v starlark.Value) starlark.Value {
				path, ok, err := symbol.CgroupPath(word(v))
				if err != nil {
					s.warnOnce(err)
				}
				if !ok {
					path = fmt.Sprintf("cgroup %d", word(v))
				}
				return starlark.String(path)
			},
			nil,
		},
	}
}

// numbered adapts a parser of integers to the forms whose kernel value is one integer.
func numbered(of func(string) (int64, bool)) func(*Session, *types.Format, string) (starlark.Value, bool) {
	return func(_ *Session, _ *types.Format, t string) (starlark.Value, bool) {
		n, ok := of(t)
		return starlark.MakeInt64(n), ok
	}
}

// text makes the read function of a form whose script value is a string.
func text(parse func(*Session, *types.Format, string) (starlark.Value, bool)) func(*Session, *types.Format, starlark.Value) (starlark.Value, bool) {
	return func(s *Session, f *types.Format, v starlark.Value) (starlark.Value, bool) {
		str, ok := v.(starlark.String)
		if !ok {
			return nil, false
		}
		return parse(s, f, string(str))
	}
}

// format converts a kernel value to the value that the script sees. If the form has no read function,
// the kernel value is remembered so that unshow can find it.
func (s *Session) format(f *types.Format, v starlark.Value) starlark.Value {
	row, ok := valueFormats[f.Name]
	if !ok {
		return v
	}
	text := row.show(s, f, v)
	if row.read == nil {
		s.shown.put(shownKey{f.Name, f.Arg, string(text.(starlark.String))}, v)
	}
	return text
}

// parse converts a value that the script sees to the kernel's value.
func (s *Session) parse(f *types.Format, v starlark.Value) (starlark.Value, error) {
	if _, ok := v.(starlark.Int); ok && f.Numeric {
		return v, nil
	}
	if row := valueFormats[f.Name]; row.read != nil {
		if n, ok := row.read(s, f, v); ok {
			return n, nil
		}
	} else if str, ok := v.(starlark.String); ok {
		if n, known := s.shown.get(shownKey{f.Name, f.Arg, string(str)}); known {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s is not a valid %s", v, f.Noun)
}

// ambiguousText reports whether two different kernel values of type t can look the same to the
// script.
func ambiguousText(t *types.Type) bool {
	switch t.Kind {
	case types.Formatted:
		// Kernel stacks are shown without the frames of our own program, which older kernels
		// include.
		return valueFormats[t.Format.Name].read == nil || t.Format.Name == "kstack"
	case types.Opt:
		return ambiguousText(t.Elem)
	case types.Tuple:
		return slices.ContainsFunc(t.Elems, ambiguousText)
	}
	return false
}

// word returns an int as 64 bits, or 0 if v is not an int.
func word(v starlark.Value) uint64 {
	i, ok := v.(starlark.Int)
	if !ok {
		return 0
	}
	if n, ok := i.Int64(); ok {
		return uint64(n)
	}
	n, _ := i.Uint64()
	return n
}
