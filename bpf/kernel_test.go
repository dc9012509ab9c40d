package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

func program(t *testing.T, typ ebpf.ProgramType, insns ...asm.Instruction) (*Program, error) {
	t.Helper()
	p, err := NewProgram(ProgramSpec{Name: "test", Type: typ, Instructions: insns})
	if err == nil {
		t.Cleanup(func() { mustClose(t, p.Close) })
	}
	return p, err
}

func mustClose(t *testing.T, fn func() error) {
	t.Helper()
	if err := fn(); err != nil {
		t.Error(err)
	}
}

func TestTestRun(t *testing.T) {
	p, err := program(t, ebpf.RawTracepoint, asm.LoadMem(asm.R0, asm.R1, 8, asm.DWord), asm.Return())
	if err != nil {
		t.Fatal(err)
	}
	if ret, err := p.TestRun([]uint64{1, 42}); err != nil || ret != 42 {
		t.Errorf("got %d, %v", ret, err)
	}
}

// A refusal tells the verifier's reason, the source line that it was at, and with %+v its whole log.
func TestVerifierRefusal(t *testing.T) {
	_, err := program(t, ebpf.RawTracepoint,
		asm.Mov.Imm(asm.R0, 0).WithSource(asm.Comment("x.star:1:1: def handler(e):")).WithSymbol("handler"),
		asm.LoadMem(asm.R2, asm.R3, 0, asm.DWord).WithSource(asm.Comment("x.star:2:5: bad()")), asm.Return())
	var r *VerifierRefusal
	if !errors.As(err, &r) {
		t.Fatalf("%#v", err)
	}
	wantText(t, "refusal", r.Error(), "the kernel's verifier refuses the program: R3 !read_ok (at x.star:2:5: bad())")
	if full := fmt.Sprintf("%+v", r); !strings.HasPrefix(full, r.Error()+"\n") || !strings.Contains(full, "r2 = *(u64 *)(r3 +0)") {
		t.Errorf("the whole log: %s", full)
	}
}

func TestLoadError(t *testing.T) {
	_, err := program(t, ebpf.ProgramType(250), asm.Mov.Imm(asm.R0, 0), asm.Return())
	var le *LoadError
	if !errors.As(err, &le) {
		t.Fatalf("%#v", err)
	}
	wantText(t, "unknown type", le.Error(), "load a ProgramType(250) program: this kernel has no programs of this type, or not of this form")
}

// What the kernel refuses to attach to.
func TestAttachErrors(t *testing.T) {
	p, err := program(t, ebpf.RawTracepoint, asm.Mov.Imm(asm.R0, 0), asm.Return())
	if err != nil {
		t.Fatal(err)
	}
	_, err = Attach(newTarget("rawtracepoint", "no_such_event"), p, AttachOptions{})
	if !errors.Is(err, ErrNoRawTracepoint) {
		t.Errorf("%#v", err)
	}
	wantText(t, "no raw tracepoint", err.Error(), "attach to rawtracepoint:no_such_event: no raw tracepoint of that name")
	_, err = Attach(newTarget("nix"), p, AttachOptions{})
	wantText(t, "no kind", err.Error(), "attach to nix: there is no such kind of probe")
}

// The kernel takes 64 programs for a tracepoint and refuses the next.
func TestAttachRefused(t *testing.T) {
	ts, err := Resolve("tracepoint:syscalls:sys_enter_getppid")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := 0; ; i++ {
		p, err := program(t, ebpf.TracePoint, asm.Mov.Imm(asm.R0, 0), asm.Return())
		if err != nil {
			t.Fatal(err)
		}
		a, err := Attach(ts[0], p, AttachOptions{})
		if err == nil {
			defer wg.Go(func() { mustClose(t, a.Close) })
			if i == 70 {
				t.Fatal("70 programs are attached")
			}
			continue
		}
		var ae *AttachError
		if !errors.As(err, &ae) || !errors.Is(err, unix.E2BIG) {
			t.Errorf("%#v", err)
		}
		wantText(t, "refused", err.Error(), "attach to tracepoint:syscalls:sys_enter_getppid: as many programs as the kernel allows (64) are attached there")
		return
	}
}

func newTestMap(t *testing.T, spec MapSpec) *Map {
	t.Helper()
	m, err := NewMap(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, m.Close) })
	return m
}

func TestMapErrors(t *testing.T) {
	_, err := NewMap(MapSpec{Name: "none", Type: ebpf.Hash, KeySize: 8, ValueSize: 8})
	wantText(t, "no room", err.Error(), `create map "none": it has room for no key; raise max_keys`)
	_, err = NewMap(MapSpec{Name: "huge", Type: ebpf.PerCPUHash, KeySize: 512, ValueSize: 8, MaxEntries: 1 << 30})
	var me *MapError
	if !errors.As(err, &me) || !strings.HasPrefix(me.Hint, "write max_keys=") || !strings.HasPrefix(me.Error(), `create map "huge": 1073741824 keys of 512 bytes with values of 8 bytes for each of `) {
		t.Errorf("huge: %v", err)
	}
	m := newTestMap(t, MapSpec{Name: "small", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 1})
	one, two := []byte("12345678"), []byte("abcdefgh")
	if err := m.Update(one, one, 0); err != nil {
		t.Fatal(err)
	}
	wantText(t, "full", fmt.Sprint(m.Update(two, two, 0)), `update map "small": it is full: it holds 1 keys; raise max_keys`)
	if _, err := m.Lookup(two); !errors.Is(err, ErrKeyNotExist) {
		t.Errorf("lookup of a missing key: %v", err)
	}
	if err := m.Update(one, two, 1); !errors.Is(err, ErrKeyExist) {
		t.Errorf("insert of a key that is there: %v", err)
	}
}

// A snapshot has every key once, with its value, of every type of map that we make.
func TestSnapshot(t *testing.T) {
	cpus, err := PossibleCPUs()
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
			m := newTestMap(t, MapSpec{Name: "snap", Type: typ, KeySize: keySize, ValueSize: 8, MaxEntries: 2 * n})
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

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string]string{"0": "[0]", "0-3": "[0 1 2 3]", "0-1,4,6-7": "[0 1 4 6 7]"} {
		got, err := parseCPUs(list)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "x", "1-", "3-1", "-"} {
		if got, err := parseCPUs(list); err == nil {
			t.Errorf("%q: %v, want an error", list, got)
		}
	}
}

func TestParseKernel(t *testing.T) {
	k, err := parseKernel("6.18.44-fc-v782")
	if err != nil || !k.AtLeast(6, 18) || !k.AtLeast(5, 99) || k.AtLeast(6, 19) || k.AtLeast(7, 0) {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := parseKernel("nonsense"); err == nil {
		t.Error("a release without numbers: no error")
	}
}
