package starlarkbind

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
)

// A detached probe keeps no program, map or descriptor of its own. What the kernel has counted is
// kept here, so that stats() and errors() still work. attach() loads the program again.

// pastStats holds the statistics of a program that was released, summed over all times it was
// loaded.
type pastStats struct {
	mu       sync.Mutex // guards this and the program's kernel objects
	stats    bpf.Stats
	released bool
}

// release closes the program's kernel objects and keeps its statistics.
func (g *program) release() error {
	g.kept.mu.Lock()
	defer g.kept.mu.Unlock()
	if g.kept.released {
		return nil
	}
	st, err := g.liveStats()
	g.kept.stats = bpf.Stats{Runs: g.kept.stats.Runs + st.Runs, Missed: g.kept.stats.Missed + st.Missed, Time: g.kept.stats.Time + st.Time}
	err = errors.Join(err, g.prog.Close(), g.closeMaps())
	g.prog, g.runs, g.frozen, g.kept.released = nil, 0, nil, true
	return err
}

// loaded reports whether the program is loaded in the kernel.
func (g *program) loaded() bool {
	g.kept.mu.Lock()
	defer g.kept.mu.Unlock()
	return !g.kept.released
}

// closeMaps closes the maps that only this program uses.
func (g *program) closeMaps() error {
	var errs []error
	if g.cells != nil {
		errs = append(errs, g.cells.Release())
	}
	if g.scratch != nil {
		errs = append(errs, g.scratch.Close())
	}
	if g.syscalls != nil {
		errs = append(errs, g.syscalls.Close())
	}
	g.scratch, g.syscalls = nil, nil
	return errors.Join(errs...)
}

// renew loads a program that was released.
func (g *program) renew(ctx context.Context, s *Session) (err error) {
	g.kept.mu.Lock()
	defer g.kept.mu.Unlock()
	if !g.kept.released {
		return nil
	}
	defer func() {
		if err != nil { // it stays released
			err = errors.Join(err, g.closeMaps())
		}
	}()
	spec := g.spec
	spec.Maps = maps.Clone(spec.Maps)
	if g.cells != nil {
		if err := g.cells.Renew(); err != nil {
			return err
		}
		spec.Maps["cells"] = g.cells.Map()
	}
	if g.code.ScratchSize > 0 {
		if g.scratch, err = newScratch(g.code.ScratchSize); err != nil {
			return err
		}
		spec.Maps["scratch"] = g.scratch
	}
	if g.code.UsesSyscalls {
		if g.syscalls, err = kinds.NewSyscalls(g.targets, s.ids.Cookie); err != nil {
			return err
		}
		spec.Maps["syscalls"] = g.syscalls.Map()
	}
	spec.Targets = g.targets
	if g.prog, err = bpf.LoadForTargets(ctx, spec, s.out.Progress("loaded")); err != nil {
		return err
	}
	g.kept.released = false
	return nil
}

// stats returns the program's statistics, including those from earlier loads.
func (g *program) stats() (bpf.Stats, error) {
	g.kept.mu.Lock()
	defer g.kept.mu.Unlock()
	old := g.kept.stats
	if g.kept.released {
		return old, nil
	}
	st, err := g.liveStats()
	return bpf.Stats{Runs: old.Runs + st.Runs, Missed: old.Missed + st.Missed, Time: old.Time + st.Time}, err
}

// liveStats returns the statistics of a loaded program. For a program that runs for all system
// calls, only the runs for its targets are counted.
func (g *program) liveStats() (bpf.Stats, error) {
	st, err := g.prog.Stats()
	if g.frozen != nil {
		st = *g.frozen
	}
	if err != nil || g.syscalls == nil || st.Runs == 0 {
		return st, err
	}
	n, err := g.syscalls.Runs()
	st.Runs = n - g.runs
	return st, err
}

// close closes the program and its maps.
func (g *program) close() error {
	var errs []error
	if g.prog != nil {
		errs = append(errs, g.prog.Close())
	}
	if g.cells != nil {
		errs = append(errs, g.cells.Close())
	}
	if g.scratch != nil {
		errs = append(errs, g.scratch.Close())
	}
	if g.syscalls != nil {
		errs = append(errs, g.syscalls.Close())
	}
	return errors.Join(errs...)
}
