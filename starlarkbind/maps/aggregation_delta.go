package maps

import (
	"context"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
)

// delta returns what was added since the last call of delta. For counts and sums that is the
// difference between two readings of the kernel map, as long as the map has room. For the other
// kinds, and when the map fills up, the map is exchanged for an empty one. So keys that come and go
// indefinitely do not fill the map, and the state kept here is bounded by max_keys.
func (a *Aggregation) delta() (starlark.Value, error) {
	if a.Live() == nil || a.Keyless() && a.spec().Subtractable() || a.spec().Subtractable() && !a.fills() {
		return a.difference()
	}
	w, err := a.exchange()
	if err != nil {
		return nil, err
	}
	a.remember(w)
	told := a.deltaBase
	a.deltaBase = nil
	// The contents of the old map exist nowhere else, so Ctrl-C must not interrupt this.
	d, err := a.beyond(context.Background(), w, told)
	if err != nil {
		return nil, err
	}
	return a.plain(d)
}

// fills reports whether the map is to be exchanged before it is full: the last difference found
// more than a quarter of max_keys in use.
func (a *Aggregation) fills() bool {
	return a.swap != nil && a.deltaBase != nil && 4*len(a.deltaBase.Keys) > a.maxKeys
}

// difference implements delta without exchanging the map.
func (a *Aggregation) difference() (starlark.Value, error) {
	w, err := a.readMap(a.env.Run.Context(), a.Live())
	if err != nil {
		return nil, err
	}
	d, err := a.beyond(a.env.Run.Context(), w, a.deltaBase)
	if err != nil {
		return nil, err
	}
	v, err := a.plain(d)
	if err == nil { // after an interrupt, the next call returns the difference
		a.deltaBase = w
	}
	return v, err
}

// beyond returns what was added to w since marks, which may be nil.
func (a *Aggregation) beyond(ctx context.Context, w, marks *RawValues) (*RawValues, error) {
	d := newRawValues(len(w.Keys))
	for i, k := range w.Keys {
		if err := runner.Interrupted(ctx, i); err != nil {
			return nil, err
		}
		v := append([]uint64{}, w.Vals[i]...)
		if marks != nil {
			if m := marks.Get(k); m != nil {
				a.spec().Diff(v, m)
			}
		}
		if a.Keyless() || !a.spec().Subtractable() || !allZero(v) {
			d.add(a.spec(), k, v)
		}
	}
	return d, nil
}

// remember adds the contents of an exchanged map to the totals in swappedOut.
func (a *Aggregation) remember(w *RawValues) {
	if a.swappedOut == nil {
		a.swappedOut = newRawValues(0)
	}
	for i, k := range w.Keys {
		if _, ok := a.swappedOut.find(k); !ok && len(a.swappedOut.Keys) >= a.maxKeys {
			a.forgotten++
			continue
		}
		a.swappedOut.add(a.spec(), k, append([]uint64{}, w.Vals[i]...))
	}
	if len(a.canonical) > 2*a.maxKeys {
		a.canonical, a.firstByText = nil, nil
		for _, k := range a.swappedOut.Keys {
			a.canonicalKey(k)
		}
	}
}

// warnForgotten warns, once, that the totals have no entry for keys that only delta() returned.
func (a *Aggregation) warnForgotten() {
	if a.forgotten == 0 || a.told || !a.env.Warns() {
		return
	}
	a.told = true
	hint := fmt.Sprintf("make it larger: max_keys=%d", helpererr.NextSize(len(a.swappedOut.Keys)+a.forgotten))
	text := fmt.Sprintf("%s keeps the totals of %d keys; other keys appeared only in the results of delta()", a.Name(), len(a.swappedOut.Keys))
	a.env.Out.Warn("totals_forgotten", map[string]any{"map": a.Name(), "keys": len(a.swappedOut.Keys), "message": text, "hint": hint}, text+"\n    hint: "+hint)
}

func allZero(v []uint64) bool {
	for _, w := range v {
		if w != 0 {
			return false
		}
	}
	return true
}

// exchange replaces the live map with an empty one and returns the contents of the old map, which
// is everything added before the exchange.
func (a *Aggregation) exchange() (*RawValues, error) {
	if a.swap == nil {
		return nil, fmt.Errorf("%s %q cannot be emptied while it is in use: the script mentions neither clear nor delta", a.Type(), a.Name())
	}
	old, err := a.swap.Swap()
	if err != nil {
		return nil, err
	}
	// The contents exist nowhere else, so Ctrl-C must not interrupt this.
	w, err := a.readMap(context.Background(), old)
	if cerr := old.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = a.sweepStacks(w)
	}
	return w, err
}

// clear empties the aggregation. Values added after the maps are exchanged are kept.
func (a *Aggregation) clear() error {
	if a.Live() != nil {
		if _, err := a.exchange(); err != nil {
			return err
		}
	}
	a.swappedOut, a.deltaBase, a.since, a.seen = nil, nil, time.Now(), false
	return nil
}
