package starlarkbind

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// mapHost implements maps.Host: it does what aggregations and tables need the session's probes and
// options for.
type mapHost struct{ s *Session }

// Text implements maps.Host.
func (h mapHost) Text(v starlark.Value) string { return h.s.text(v) }

// Warns implements maps.Host.
func (h mapHost) Warns() bool { return h.s.opt.Warnings != warnings.None }

// Prepare implements maps.Host.
func (h mapHost) Prepare() error {
	if err := sys.Prepare(); err != nil {
		return scriptError(err)
	}
	return nil
}

// CheckMemory implements maps.Host.
func (h mapHost) CheckMemory(m kmap.Spec, copies int) error { return h.s.shared.memory(m, copies) }

// Add implements maps.Host.
func (h mapHost) Add(thread *starlark.Thread, m *compiler.Map, value, by starlark.Value) (starlark.Value, error) {
	return h.s.scriptAdd(thread, m, value, by)
}

// DropAdds implements maps.Host.
func (h mapHost) DropAdds(m *compiler.Map) error { return h.s.dropAdds(m) }

// Dropped implements maps.Host.
func (h mapHost) Dropped(m *compiler.Map) (uint64, error) { return h.s.dropped(m) }

// KeyCounts implements maps.Host.
func (h mapHost) KeyCounts(m *compiler.Map) (inserted, deleted uint64, err error) {
	for _, p := range h.s.reg.allProbes() {
		err := p.eachCell(func(_ *program, site compiler.Site, c kmap.Cell) {
			switch {
			case site.Map != m:
			case site.KeyCounter == compiler.KeysInserted:
				inserted += c.Count
			case site.KeyCounter == compiler.KeysDeleted:
				deleted += c.Count
			}
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return inserted, deleted, nil
}

// SweepStacks implements maps.Host.
func (h mapHost) SweepStacks(st *codec.StackStore, n string, used map[uint64]bool) error {
	return h.s.reg.sweep(st, n, used)
}

// handlerHost implements hostrun.Host: it does what calls to handlers need the session's names and
// probes for.
type handlerHost struct{ s *Session }

// Function implements hostrun.Host.
func (h handlerHost) Function(fn *starlark.Function) (*compiler.Func, error) {
	return h.s.names.Function(fn)
}

// Value implements hostrun.Host.
func (h handlerHost) Value(fn *starlark.Function, id *syntax.Ident) starlark.Value {
	return h.s.names.FuncValue(fn, id)
}

// ProbeRequest implements hostrun.Host.
func (h handlerHost) ProbeRequest(fn *starlark.Function) *compiler.Request {
	return h.s.reg.requestOf(fn)
}

// EventRequest implements hostrun.Host.
func (h handlerHost) EventRequest(handler *compiler.Func, ev *compiler.Event) *compiler.Request {
	return h.s.request("event", handler, ev)
}

// recordHost implements records.Host.
type recordHost struct{ s *Session }

// Warns implements records.Host.
func (h recordHost) Warns() bool { return h.s.opt.Warnings != warnings.None }

// Passes implements records.Host.
func (h recordHost) Passes() bool { return h.s.waits.tested }

// Waits implements records.Host.
func (h recordHost) Waits() { h.s.done.waited = true }

// Lost implements records.Host.
func (h recordHost) Lost(st *compiler.Stream) (uint64, error) {
	return h.s.countErrors(func(e *helpererr.Error) bool { return e.Stream == st })
}
