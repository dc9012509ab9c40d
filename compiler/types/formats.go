package types

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/kernelnames"
	"github.com/bpfrepl/bpfrepl/internal/netaddr"
	"github.com/bpfrepl/bpfrepl/internal/strftime"
)

// Words are the numbers of a formatted value: one, or one for each element of its tuple.
type Words [3]uint64

// A FormatRow defines a format: how numbers become text and text becomes numbers. A format that
// only a session can show (symbols, stacks, cgroups, probe names) has no Text.
type FormatRow struct {
	// Type is the type of values in this format if scripts can declare it. It is nil for formats
	// that need an Arg, or that only a builtin's result has.
	Type *Type
	// Text returns the text of a value.
	Text func(f *Format, w Words) string
	// Parse is the inverse of Text. It is nil if one text can stand for several values.
	Parse func(f *Format, text string) (Words, bool)
	// Names returns the names of all values that have one; nil if they cannot be listed. A handler
	// can compare a value with these names only.
	Names func(f *Format) map[int64]string
	// Hint says what to write in a handler instead of a comparison with a string, or with part of
	// one.
	Hint string
	// Session: each value has its own text, and a session can find the value.
	Session bool
}

// formats is the table of formats by name.
var formats = map[string]FormatRow{
	"probe": {Session: true},
	"enum": {
		Text: func(f *Format, w Words) string {
			if name, ok := f.Names[int64(w[0])]; ok {
				return name
			}
			return strconv.FormatInt(int64(w[0]), 10)
		},
		Parse: func(f *Format, text string) (Words, bool) {
			for n, name := range f.Names {
				if name == text {
					return Words{uint64(n)}, true
				}
			}
			return Words{}, false
		},
		Names: func(f *Format) map[int64]string { return f.Names },
	},
	"errno": {
		Type:  TErrno,
		Text:  func(_ *Format, w Words) string { return kernelnames.Errno(int64(w[0])) },
		Parse: number(kernelnames.ParseErrno),
		Names: func(*Format) map[int64]string {
			names := map[int64]string{}
			for _, name := range kernelnames.Errnos() {
				n, _ := kernelnames.ErrnoOf(name)
				names[n] = name
			}
			return names
		},
	},
	"syscall": {
		Type:  TSyscall,
		Text:  func(_ *Format, w Words) string { return kernelnames.Syscall(int64(w[0])) },
		Parse: number(kernelnames.ParseSyscall),
		Names: func(*Format) map[int64]string {
			names := map[int64]string{}
			for n := range int64(maxSyscall) {
				for _, id := range []int64{n, n + kernelnames.CompatBit} {
					if name := kernelnames.Syscall(id); !strings.Contains(name, " ") {
						names[id] = name
					}
				}
			}
			return names
		},
	},
	"time": {
		Text: func(f *Format, w Words) string { return strftime.Format(f.Arg, time.Unix(0, int64(w[0]))) },
		Hint: "compare the nanoseconds",
	},
	"ip4": {
		Text: func(_ *Format, w Words) string { return netaddr.IP4(w[0]) },
		Parse: func(_ *Format, text string) (Words, bool) {
			n, ok := netaddr.ParseIP4(text)
			return Words{n}, ok
		},
	},
	"ip6": {
		Text: func(_ *Format, w Words) string { return netaddr.IP6(w[0], w[1]) },
		Parse: func(_ *Format, text string) (w Words, ok bool) {
			w[0], w[1], ok = netaddr.ParseIP6(text)
			return w, ok
		},
	},
	"ip": {
		Type: TIP,
		Text: func(_ *Format, w Words) string { return netaddr.IP(w[0], w[1], w[2]) },
		Parse: func(_ *Format, text string) (w Words, ok bool) {
			w[0], w[1], w[2], ok = netaddr.Parse(text)
			return w, ok
		},
	},
	"mac": {
		Type: TMAC,
		Text: func(_ *Format, w Words) string { return netaddr.MAC(w[0]) },
		Parse: func(_ *Format, text string) (Words, bool) {
			n, ok := netaddr.ParseMAC(text)
			return Words{n}, ok
		},
	},
	"ksym": {Type: TKsym, Hint: `compare the address: addr == kaddr("name")`},
	"usym": {Type: TUsym, Hint: `compare the address: addr == uaddr("name", "path")`},
	// Shown without the frames of our own program, which older kernels include.
	"kstack": {Hint: "a stack can be compared only with another stack"},
	"ustack": {Session: true, Hint: "a stack can be compared only with another stack"},
	"cgroup": {Type: TCgroup, Hint: "count by it, and look at the keys in the script"},
}

// maxSyscall is above every system call number.
const maxSyscall = 1024

// number makes the Parse of a format whose values are one number.
func number(parse func(string) (int64, bool)) func(*Format, string) (Words, bool) {
	return func(_ *Format, text string) (Words, bool) {
		n, ok := parse(text)
		return Words{uint64(n)}, ok
	}
}

// Row returns the row of the table of formats that f refers to. The format of a composed value has
// a hint only.
func (f *Format) Row() FormatRow {
	if hint := composedHints[f.Name]; hint != "" {
		return FormatRow{Hint: hint}
	}
	return formats[f.Name]
}

// Formats returns the names of all formats in the table.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Declared returns the type of values in the named format, or nil if scripts cannot declare it.
func Declared(name string) *Type { return formats[name].Type }
