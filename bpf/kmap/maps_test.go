package kmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

func makeMap(t *testing.T, spec Spec) *Map {
	t.Helper()
	m, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { expect.NoError(t, m.Close) })
	return m
}

func TestMapErrors(t *testing.T) {
	_, err := New(Spec{Name: "none", Type: ebpf.Hash, KeySize: 8, ValueSize: 8})
	expect.Text(t, "no room", err.Error(), `create map "none": it has no room for a key; raise max_keys`)
	_, err = New(Spec{Name: "huge", Type: ebpf.PerCPUHash, KeySize: 512, ValueSize: 8, MaxEntries: 1 << 30})
	var me *Error
	if !errors.As(err, &me) || !strings.HasPrefix(me.Hint, "write max_keys=") || !strings.HasPrefix(me.Error(), `create map "huge": 1073741824 keys of 512 bytes with values of 8 bytes for each of `) {
		t.Errorf("huge: %v", err)
	}
	m := makeMap(t, Spec{Name: "small", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 1})
	one, two := []byte("12345678"), []byte("abcdefgh")
	if err := m.Update(one, one, 0); err != nil {
		t.Fatal(err)
	}
	expect.Text(t, "full", fmt.Sprint(m.Update(two, two, 0)), `update map "small": it is full: it holds 1 keys; raise max_keys`)
	if _, err := m.Lookup(two); !errors.Is(err, ErrKeyNotExist) {
		t.Errorf("lookup of a missing key: %v", err)
	}
	if err := m.Update(one, two, 1); !errors.Is(err, ErrKeyExist) {
		t.Errorf("insert of a key that is there: %v", err)
	}
}

// TestSnapshot checks that a snapshot has every key once, with its value, for every type of map
// that we create.
func TestSnapshot(t *testing.T) {
	cpus, err := sys.PossibleCPUs()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []ebpf.MapType{ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash, ebpf.Array, ebpf.PerCPUArray} {
		t.Run(typ.String(), func(t *testing.T) {
			const n = 5000
			keySize := uint32(8)
			if typ == ebpf.Array || typ == ebpf.PerCPUArray {
				keySize = 4
			}
			m := makeMap(t, Spec{Name: "snap", Type: typ, KeySize: keySize, ValueSize: 8, MaxEntries: 2 * n})
			per := 1
			if isPerCPU(typ) {
				per = cpus
			}
			for i := 0; i < n; i++ {
				key, val := make([]byte, 8), make([]byte, 8*per)
				binary.NativeEndian.PutUint64(key, uint64(i))
				for c := 0; c < per; c++ {
					binary.NativeEndian.PutUint64(val[8*c:], uint64(3*i+c))
				}
				if err := m.Update(key[:keySize], val, 0); err != nil {
					t.Fatal(err)
				}
			}
			s, err := m.Snapshot(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			want := n
			if keySize == 4 {
				want = 2 * n // an array has all its elements
			}
			if s.N != want || s.ValueSize != 8*per {
				t.Fatalf("%d keys with %d bytes, want %d with %d", s.N, s.ValueSize, want, 8*per)
			}
			seen := map[uint64]bool{}
			for i := 0; i < s.N; i++ {
				key := make([]byte, 8)
				copy(key, s.Key(i))
				k := binary.NativeEndian.Uint64(key)
				if seen[k] {
					t.Fatalf("key %d twice", k)
				}
				seen[k] = true
				for c := 0; c < per; c++ {
					w := uint64(0)
					if k < n {
						w = 3*k + uint64(c)
					}
					if v := binary.NativeEndian.Uint64(s.Value(i)[8*c:]); v != w {
						t.Fatalf("key %d, CPU %d: %d, want %d", k, c, v, w)
					}
				}
			}
			if err := s.Close(); err != nil || s.N != 0 {
				t.Errorf("closed: %d keys, %v", s.N, err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if _, err := m.Snapshot(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("a snapshot that is cancelled: %v", err)
			}
		})
	}
}

// TestWaitBySwap checks that a kernel without membarrier can wait too: it accepts the maps.
func TestWaitBySwap(t *testing.T) {
	if err := waitBySwap(); err != nil {
		t.Error(err)
	}
}
