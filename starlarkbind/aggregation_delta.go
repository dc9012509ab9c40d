package starlarkbind

import (
	"context"
	"fmt"
	"time"

	"go.starlark.net/starlark"
)

// delta returns what was added since the last delta. For counts and sums that is the difference of two readings of the kernel's map,
// as long as it has room; the others, and a map that fills, exchange it for an empty one. So keys that come and go for ever do not fill
// it, and nothing that is kept here grows beyond max_keys.
func (a *Aggregation) delta() (starlark.Value, error) {
	if a.live() == nil || a.keyless() && a.spec().Subtractable() || a.spec().Subtractable() && !a.fills() {
		return a.difference()
	}
	w, err := a.exchange()
	if err != nil {
		return nil, err
	}
	a.remember(w)
	told := a.deltaBase
	a.deltaBase = nil
	d, err := a.beyond(context.Background(), w, told) // what the old map held is nowhere else: Ctrl-C must not lose it
	if err != nil {
		return nil, err
	}
	return a.plain(d)
}

// fills reports whether the map is to be exchanged before it is full.
func (a *Aggregation) fills() bool {
	return a.swap != nil && a.deltaBase != nil && 4*len(a.deltaBase.keys) > a.maxKeys
}

// difference is delta without an exchange.
func (a *Aggregation) difference() (starlark.Value, error) {
	w, err := a.readMap(a.s.ctx, a.live())
	if err != nil {
		return nil, err
	}
	d, err := a.beyond(a.s.ctx, w, a.deltaBase)
	if err != nil {
		return nil, err
	}
	v, err := a.plain(d)
	if err == nil { // else it was interrupted, and the next call gives it
		a.deltaBase = w
	}
	return v, err
}

// beyond returns what w has more than marks, which may be nil.
func (a *Aggregation) beyond(ctx context.Context, w, marks *rawValues) (*rawValues, error) {
	d := newRawValues(len(w.keys))
	for i, k := range w.keys {
		if err := interrupted(ctx, i); err != nil {
			return nil, err
		}
		v := append([]uint64{}, w.vals[i]...)
		if marks != nil {
			if m := marks.get(k); m != nil {
				a.spec().Diff(v, m)
			}
		}
		if a.keyless() || !a.spec().Subtractable() || !allZero(v) {
			d.add(a.spec(), k, v)
		}
	}
	return d, nil
}

// remember adds what an exchanged map held to the totals.
func (a *Aggregation) remember(w *rawValues) {
	if a.swappedOut == nil {
		a.swappedOut = newRawValues(0)
	}
	for i, k := range w.keys {
		if _, ok := a.swappedOut.find(k); !ok && len(a.swappedOut.keys) >= a.maxKeys {
			a.forgotten++
			continue
		}
		a.swappedOut.add(a.spec(), k, append([]uint64{}, w.vals[i]...))
	}
	if len(a.canonical) > 2*a.maxKeys {
		a.canonical, a.firstByText = nil, nil
		for _, k := range a.swappedOut.keys {
			a.canonicalKey(k)
		}
	}
}

// warnForgotten tells, once, that the totals lack keys that only delta() has told.
func (a *Aggregation) warnForgotten() {
	if a.forgotten == 0 || a.told || a.s.opt.Warnings == WarnNone {
		return
	}
	a.told = true
	hint := fmt.Sprintf("make it larger: max_keys=%d", nextSize(len(a.swappedOut.keys)+a.forgotten))
	text := fmt.Sprintf("%s remembers the totals of %d keys; of the others that it had only its delta()s have told", a.Name(), len(a.swappedOut.keys))
	a.s.out.warn("totals_forgotten", map[string]any{"map": a.Name(), "keys": len(a.swappedOut.keys), "message": text, "hint": hint}, text+"\n    hint: "+hint)
}

func allZero(v []uint64) bool {
	for _, w := range v {
		if w != 0 {
			return false
		}
	}
	return true
}

// exchange puts an empty map in the place of the live one, and gives what that held: all that was added before.
func (a *Aggregation) exchange() (*rawValues, error) {
	if a.swap == nil {
		return nil, fmt.Errorf("%s %q cannot be exchanged: the script does not name clear or delta", a.Type(), a.Name())
	}
	old, err := a.swap.Swap()
	if err != nil {
		return nil, err
	}
	w, err := a.readMap(context.Background(), old) // what it holds is nowhere else: Ctrl-C must not lose it
	if cerr := old.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = a.sweepStacks(w)
	}
	return w, err
}

// clear empties the aggregation; what is added meanwhile counts to what comes after.
func (a *Aggregation) clear() error {
	if a.live() != nil {
		if _, err := a.exchange(); err != nil {
			return err
		}
	}
	a.swappedOut, a.deltaBase, a.since, a.seen = nil, nil, time.Now(), false
	return nil
}
