// Package maps provides the Starlark values that live in kernel maps: aggregations and tables.
// Handlers update them in the kernel, and scripts read them. Reading an aggregation merges the
// values of all CPUs, decodes the keys (package codec) and builds a dict (package dictbuild).
//
// If the script uses clear() or delta(), an aggregation is a map in a map. The inner map is
// exchanged for an empty one and read afterwards, so no update is lost. The kernel does not count
// the keys that it evicts from a table with lru=True; lru.go computes their number from the keys
// inserted, deleted and present.
//
// A value knows its session as an Env. What needs the probes of the session, such as add() in the
// script, which runs a program, or the number of failed updates, is a method of Host. So this
// package knows no probes, and the session treats aggregations and tables alike, as a Map.
//
//	maps.go                  Map, Env, Host
//	aggregation.go           Aggregation
//	aggregation_read.go      reading and merging the values of all CPUs
//	raw_values.go            what was read, before it is decoded
//	aggregation_value.go     values as a script sees them
//	aggregation_snapshot.go  snapshot()
//	aggregation_delta.go     delta() and clear()
//	table.go                 Table
//	methods.go               methods and attributes of aggregations
//	lru.go                   number of keys evicted from a table
//	usage.go                 warning of maps that are nearly full
//	sweep.go                 stacks that no key refers to any longer
package maps

import (
	"io"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// A Map is an Aggregation or a Table.
type Map interface {
	starlark.Value
	io.Closer
	Name() string
	Snapshot() (starlark.Value, error) // a plain dict or value
	Decl() *compiler.Map
	MaxKeys() int
	Seen() bool // the script has read the contents

	KernelMap() *kmap.Map // what instructions refer to; nil before the types are known
	// Create creates the kernel map, and Discard closes it again. The types in the declaration are
	// the caller's.
	Create(t compiler.MapTypes) error
	Discard() error
	// Retype replaces the kernel map by one with wider types, and copies the contents. Only programs
	// for the script's own adds may use the map so far.
	Retype(t compiler.MapTypes) error

	// AddStacks adds to used the stacks with at most n frames in the keys and values.
	AddStacks(n string, used map[uint64]bool) error
	// WarnFill warns, once, if the map is nearly full and has not dropped anything yet.
	WarnFill() error
}

var (
	_ Map = (*Aggregation)(nil)
	_ Map = (*Table)(nil)
)

// An Env is what maps use of their session.
type Env struct {
	Run    *runner.Runner
	Out    *terminal.Output
	Codec  *codec.Codec
	Stacks *codec.StackMaps
	Kernel *sys.Kernel
	Host
}

// A Host does for maps what needs the session's probes or options.
type Host interface {
	// Text formats a value as print does.
	Text(v starlark.Value) string
	// Warns reports whether the user wants warnings.
	Warns() bool
	// Prepare makes the process ready to create kernel maps.
	Prepare() error
	// CheckMemory returns an error if there is too little memory for a number of copies of a map.
	CheckMemory(m kmap.Spec, copies int) error
	// Add implements the method add in the script.
	Add(thread *starlark.Thread, m *compiler.Map, value, by starlark.Value) (starlark.Value, error)
	// DropAdds closes the programs that Add made for a map which is about to be replaced.
	DropAdds(m *compiler.Map) error
	// Dropped returns the number of failed updates of a map.
	Dropped(m *compiler.Map) (uint64, error)
	// KeyCounts returns how many keys handlers inserted into and deleted from an LRU table.
	KeyCounts(m *compiler.Map) (inserted, deleted uint64, err error)
	// SweepStacks drops the stacks of a stack map, if it is at least half full, that are neither in
	// used nor in a map of the session. n is the maximum number of frames of its stacks.
	SweepStacks(st *codec.StackStore, n string, used map[uint64]bool) error
}
