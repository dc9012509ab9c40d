package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
)

// A large hash is read in shares, each key that stays once with its value, while others come and go; whether its buckets are full or
// next to empty.
func TestShares(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	n := uint64(200_000)
	if testing.Short() {
		n /= 2
	}
	for _, typ := range hashTypes {
		for _, room := range []uint32{2 * uint32(n), 16 * uint32(n)} {
			t.Run(typ.String(), func(t *testing.T) {
				m := newTestMap(t, MapSpec{Name: "shares", Type: typ, KeySize: 8, ValueSize: 8, MaxEntries: room})
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
					if len(s.parts) != 1+16+4 || expected < n*9/10 || expected > n*11/10 {
						t.Errorf("%d parts, %d keys were expected", len(s.parts), expected)
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

// What a share has of the next one's buckets is left out where that has it, in its first batch, or anywhere if it went that far.
func TestCut(t *testing.T) {
	shareOf := func(first, past, at int, keys string) *share {
		p := &part{keys: []byte(keys), values: []byte(keys), n: len(keys)}
		return &share{reader: reader{part: p, keySize: 1, valueSize: 1, from: binary.NativeEndian.AppendUint32(nil, uint32(at))}, first: first, past: past}
	}
	for _, c := range []struct {
		keys string
		last int // where the last batch begins
		at   int // the bucket where it ended
		want string
	}{
		{"abcdef", 4, 12, "abcd"},   // e and f are in the next share's first batch
		{"abcdxe", 4, 12, "abcdx"},  // x came to be there behind its back
		{"abcdex", 2, 12, "abcdx"},  // wherever in the batch
		{"abcdgz", 4, 30, "abcd"},   // far into the next two
		{"abcdgzy", 4, 30, "abcdy"}, // likewise
		{"abcdg", 4, 12, "abcdg"},   // g cannot be the same: it is not in what the first batch read
	} {
		sh := shareOf(0, 0, c.at, c.keys)
		sh.last = c.last
		sh.cut([]*share{shareOf(2, 20, 25, "efg"), shareOf(1, 40, 40, "z")})
		if got := string(sh.part.keys[:sh.part.n]); got != c.want || string(sh.part.values[:sh.part.n]) != c.want {
			t.Errorf("%s from %d on, to bucket %d: %s, want %s", c.keys, c.last, c.at, got, c.want)
		}
	}
}
