package kmap

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// TestParallelRead reads a large hash in ranges. Each key that stays must appear once with its
// value, while other keys come and go, whether the buckets are full or nearly empty.
func TestParallelRead(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	n := uint64(200_000)
	if testing.Short() {
		n /= 2
	}
	for _, typ := range hashTypes {
		for _, room := range []uint32{2 * uint32(n), 16 * uint32(n)} {
			t.Run(typ.String(), func(t *testing.T) {
				m := makeMap(t, Spec{Name: "ranges", Type: typ, KeySize: 8, ValueSize: 8, MaxEntries: room})
				put := func(k uint64) error {
					key, val := make([]byte, 8), make([]byte, m.ValueSize())
					binary.NativeEndian.PutUint64(key, k)
					for c := 0; c < len(val); c += 8 {
						binary.NativeEndian.PutUint64(val[c:], 3*k)
					}
					return m.Update(key, val, 0)
				}
				for k := range n {
					if err := put(k); err != nil {
						t.Fatal(err)
					}
				}
				quit, done := make(chan struct{}), make(chan error)
				go func() { // keys that come and go
					for i := uint64(0); ; i++ {
						select {
						case <-quit:
							done <- nil
							return
						default:
						}
						key := make([]byte, 8)
						binary.NativeEndian.PutUint64(key, n+i%10_000)
						err := put(n + (i+5_000)%10_000)
						if derr := m.Delete(key); !errors.Is(derr, ErrKeyNotExist) {
							err = errors.Join(err, derr)
						}
						if err != nil {
							<-quit
							done <- err
							return
						}
					}
				}()
				for range 3 {
					expected := uint64(0)
					s, err := m.Read(context.Background(), func(n int) { expected = uint64(n) })
					if err != nil {
						t.Fatal(err)
					}
					if len(s.chunks) != 1+16+4 || expected < n*9/10 || expected > n*11/10 {
						t.Errorf("%d parts, %d keys were expected", len(s.chunks), expected)
					}
					seen, stayed := make(map[uint64]bool, s.N), uint64(0)
					for i := range s.N {
						k := binary.NativeEndian.Uint64(s.Key(i))
						if seen[k] {
							t.Fatalf("key %d twice", k)
						}
						seen[k] = true
						if k < n {
							stayed++
						}
						if v := binary.NativeEndian.Uint64(s.Value(i)[m.ValueSize()-8:]); v != 3*k {
							t.Fatalf("key %d: %d, want %d", k, v, 3*k)
						}
					}
					if stayed != n {
						t.Errorf("%d keys of %d", stayed, n)
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
				close(quit)
				if err := <-done; err != nil {
					t.Error(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				if _, err := m.Read(ctx, func(int) { cancel() }); !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled in the middle: %v", err)
				}
			})
		}
	}
}

// TestParallelReadGrow checks that memory is found if there are far more keys than the first ones
// suggested.
func TestParallelReadGrow(t *testing.T) {
	const n = 50_000
	m := makeMap(t, Spec{Name: "grow", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: n})
	key := make([]byte, 8)
	for k := range uint64(n) {
		binary.NativeEndian.PutUint64(key, k)
		if err := m.Update(key, key, 0); err != nil {
			t.Fatal(err)
		}
	}
	all, err := m.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	const left = n / 2
	for i := sys.BatchFirst; i < n-left; i++ { // in the order of the buckets
		if err := m.Delete(all.Key(i)); err != nil {
			t.Fatal(err)
		}
	}
	r := m.newReader(&chunk{})
	s := &Snapshot{KeySize: 8, ValueSize: 8, chunks: []*chunk{r.chunk}}
	r.count = 64
	if err := r.next(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.from = binary.NativeEndian.AppendUint32(nil, uint32(m.buckets()*2/5)) // most of the remaining keys come after it
	if err := s.split(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	seen, grown := map[string]bool{}, 0
	for _, p := range s.chunks[1:] {
		if p.n > 0 && !p.borrowed {
			grown++
		}
		for i := range p.n {
			if k := string(p.keys[8*i : 8*i+8]); seen[k] || k != string(p.values[8*i:8*i+8]) {
				t.Fatalf("key %x twice, or with another's value", k)
			} else {
				seen[k] = true
			}
		}
	}
	for i := n - left; i < n; i++ {
		if !seen[string(all.Key(i))] {
			t.Fatalf("key %x is missing", all.Key(i))
		}
	}
	if grown == 0 {
		t.Error("no range grew: this test tests nothing")
	}
	if err := errors.Join(s.Close(), all.Close()); err != nil {
		t.Error(err)
	}
}

// TestParallelReadFail checks that the error of a range is returned once.
func TestParallelReadFail(t *testing.T) {
	m := makeMap(t, Spec{Name: "fail", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 1000})
	r := m.newReader(&chunk{})
	r.from = make([]byte, 4)
	if err := m.raw.Close(); err != nil {
		t.Fatal(err)
	}
	s := &Snapshot{KeySize: 8, ValueSize: 8, chunks: []*chunk{r.chunk}}
	if err := s.split(context.Background(), r); err == nil || err.Error() != `read map "fail": bad file descriptor` {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.split(ctx, r); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestTrimOverlap checks that keys of the next range's buckets are removed if that range has them
// too: in its first batch, or anywhere if the range went beyond that.
func TestTrimOverlap(t *testing.T) {
	rangeOf := func(first, past, at int, keys string) *bucketRange {
		p := &chunk{keys: []byte(keys), values: []byte(keys), n: len(keys)}
		return &bucketRange{reader: reader{chunk: p, keySize: 1, valueSize: 1, from: binary.NativeEndian.AppendUint32(nil, uint32(at))}, first: first, nextStart: past}
	}
	for _, c := range []struct {
		keys string
		last int // index of the first element of the last batch
		at   int // bucket at which it ended
		want string
	}{
		{"abcdef", 4, 12, "abcd"},   // e and f are in the next range's first batch
		{"abcdxe", 4, 12, "abcdx"},  // x was added after the next range had read its bucket
		{"abcdex", 2, 12, "abcdx"},  // at any position in the batch
		{"abcdgz", 4, 30, "abcd"},   // far into the next two ranges
		{"abcdgzy", 4, 30, "abcdy"}, // the same, with y, which the next two do not have
		{"abcdg", 4, 12, "abcdg"},   // g is no duplicate: the first batch did not read it
	} {
		r := rangeOf(0, 0, c.at, c.keys)
		r.last = c.last
		r.trimOverlap([]*bucketRange{rangeOf(2, 20, 25, "efg"), rangeOf(1, 40, 40, "z")})
		if got := string(r.chunk.keys[:r.chunk.n]); got != c.want || string(r.chunk.values[:r.chunk.n]) != c.want {
			t.Errorf("%s from %d on, to bucket %d: %s, want %s", c.keys, c.last, c.at, got, c.want)
		}
	}
}
