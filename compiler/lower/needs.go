package lower

import (
	"fmt"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Needs lists what a program refers to at run time, which the host has to provide and to read.
type Needs struct {
	Sites        []Site
	Prints       []PrintSite
	Streams      []*tree.Stream
	UsesRing     bool
	UsesControl  bool
	UsesCookie   bool
	UsesGate     bool  // uses the array Event.Gate
	UsesSyscalls bool  // uses the array Event.Syscalls.Map
	UsesNumbers  bool  // uses the array Request.Canonical
	KernelStacks bool  // reads the kernel's stack
	Zeros        int   // size of the map Request.Zeros in bytes
	Stacks       []int // frame limits of the stacks it stores, each in the map abi.StackMap(n)
	ScratchSize  int   // element size of the map Request.Scratch in bytes
}

// A Site is a place in a handler where something can fail at run time. Its index in Program.Sites
// is its number in the error cells.
type Site struct {
	Pos        syntax.Position
	Helper     string // "map_update_elem"; "" for errors of the handler itself
	Op         string // what the handler did: "add", "t[k]", "//", "str", ...
	Map        *tree.Map
	Stream     *tree.Stream
	Ends       bool // the error ends the handler
	Quiet      bool // shown with --warnings=all only
	KeyCounter KeyCounter
}

// A KeyCounter marks a site that counts keys instead of errors. The count is at errno 0.
type KeyCounter uint8

// The counters are for tables from which the kernel itself evicts keys: the number of evicted keys
// is computed from them.
const (
	NoKeyCounter KeyCounter = iota
	KeysInserted            // new keys
	KeysDeleted             // keys that pop and clear removed
)

// A PrintSite is one print, printf or emit call of a handler. It describes the words of the record.
type PrintSite struct {
	Pos    syntax.Position
	Kind   string // "print", "printf" or "emit"
	Format string
	Names  []string // argument names of emit
	Args   []*types.Type
}

// A ScratchError reports that a run of the handler needs too much scratch memory.
type ScratchError struct{ Need int }

// maxWalkedText limits how many instructions of loops over long strings the verifier has to walk,
// out of the million that it walks in total.
const maxWalkedText = 150_000

// maxTextJumps limits the jumps on long strings, out of the 8192 that the verifier keeps track of.
const maxTextJumps = 4096

// A TextError reports a handler that does too much work on long strings.
type TextError struct{}

// MaxScratch bounds the bytes of one scratch slot.
const MaxScratch = 256 << 10

func (e *ScratchError) Error() string {
	return fmt.Sprintf("the scratch memory of a run would need %d bytes", e.Need)
}

func (*TextError) Error() string { return "too much work on long strings" }
