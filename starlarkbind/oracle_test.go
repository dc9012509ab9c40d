package starlarkbind

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"
	"pgregory.net/rapid"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/records"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// The oracle compares two runs of a random handler on the same events: one by the interpreter on a
// model of the maps, and one compiled, in the kernel. Maps, errors and prints must be the same. See
// docs/testing.md.
//
//	go test ./starlarkbind -run TestOracle -rapid.checks=100000

// oracleFields defines the layout of an event's fields in the context of a raw tracepoint.
var oracleFields = []abi.Field{
	{Name: "i64", Kind: abi.FieldInt, Offset: 0, Size: 8, Signed: true},
	{Name: "j64", Kind: abi.FieldInt, Offset: 8, Size: 8, Signed: true},
	{Name: "u64", Kind: abi.FieldInt, Offset: 16, Size: 8},
	{Name: "v64", Kind: abi.FieldInt, Offset: 24, Size: 8},
	{Name: "i32", Kind: abi.FieldInt, Offset: 32, Size: 4, Signed: true},
	{Name: "u32", Kind: abi.FieldInt, Offset: 36, Size: 4},
	{Name: "flag", Kind: abi.FieldBool, Offset: 40, Size: 8},
	{Name: "s", Kind: abi.FieldValue, Offset: 48, Size: sCap, Type: &types.Type{Kind: types.Str, Cap: sCap}},
	{Name: "raw", Kind: abi.FieldValue, Offset: 48, Size: sCap, Type: types.TBytes(sCap)},
	{Name: "raw8", Kind: abi.FieldValue, Offset: 64, Size: rCap, Type: types.TBytes(rCap)},
	{Name: "r", Kind: abi.FieldValue, Offset: 64, Size: rCap, Type: &types.Type{Kind: types.Str, Cap: rCap}},
	{Name: "mem", Kind: abi.FieldPointer, CType: "void *", Offset: 88, Size: 8, User: true},
	{Name: "long", Kind: abi.FieldValue, Offset: 72, Size: longCap, Type: &types.Type{Kind: types.Str, Cap: longCap}},
}

func (ev oracleEvent) words() []uint64 {
	b := make([]byte, 12*8)
	for i, v := range ev.ints {
		binary.NativeEndian.PutUint64(b[8*i:], v)
	}
	binary.NativeEndian.PutUint32(b[32:], ev.half[0])
	binary.NativeEndian.PutUint32(b[36:], ev.half[1])
	if ev.flag {
		b[40] = 1
	}
	copy(b[48:48+sCap], ev.s)
	copy(b[64:64+rCap], ev.r)
	out := make([]uint64, 12+memSize/8) // the memory follows the context
	mem := unsafe.Slice((*byte)(unsafe.Pointer(&out[12])), memSize)
	copy(mem, ev.memory())
	binary.NativeEndian.PutUint64(b[88:], uint64(uintptr(unsafe.Pointer(&out[12]))))
	for i := range 12 {
		out[i] = binary.NativeEndian.Uint64(b[8*i:])
	}
	return out[:12]
}

var edgeWords = []uint64{0, 1, 2, 3, 7, 8, 63, 64, 255, 1 << 31, 1<<32 - 1, 1 << 62, 1<<63 - 1, 1 << 63, 1<<63 + 1, ^uint64(0), ^uint64(1), ^uint64(6), ^uint64(7), 1 << 40}

func drawEvent(t *rapid.T) oracleEvent {
	data := rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "event")
	word := func(i int) uint64 {
		if n := int(data[i]); n < 3*len(edgeWords) {
			return edgeWords[n%len(edgeWords)]
		}
		return binary.NativeEndian.Uint64(data[:8]) * (uint64(i)*2 + 1)
	}
	strs := []string{"", "a", "ab", "abc", "abcdefg", "abcdefgh", "abcdefghi", "ünï", "xyz", "abcdefghijklmno"}
	return oracleEvent{[4]uint64{word(0), word(1), word(2), word(3)}, [2]uint32{uint32(word(4)), uint32(word(5))}, data[6]%2 == 1,
		strs[int(data[7])%len(strs)], strs[int(data[8])%5]}
}

// An outcome is what a run left behind, as text that can be compared.
type outcome map[string]string

func (m *modelRun) outcome() outcome {
	out := outcome{"prints": m.printed.String()}
	for name, a := range m.aggs {
		var lines []string
		if name == "total" || name == "none" { // maps without keys have a value from the start
			a.values["None"] = append(a.values["None"], 0)
		}
		for k, vs := range a.values {
			lines = append(lines, k+" -> "+a.value(vs))
		}
		out[name] = sorted(lines)
	}
	for name, t := range m.tabs {
		out[name] = dictText(t.Dict)
	}
	out["sent"] = m.sent.String()
	var errs []string
	for name, n := range m.errors {
		errs = append(errs, fmt.Sprintf("%s %d", name, n))
	}
	out["errors"] = sorted(errs)
	return out
}

func sorted(lines []string) string {
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func dictText(d *starlark.Dict) string {
	var lines []string
	for _, it := range d.Items() {
		lines = append(lines, it[0].String()+" -> "+it[1].String())
	}
	return sorted(lines)
}

// A kernelRun is a session with the oracle's maps, which runs handlers one after the other.
type kernelRun struct {
	*Session
	out, err *buffer
}

func newKernelRun() (*kernelRun, error) {
	k := &kernelRun{out: &buffer{}, err: &buffer{}}
	var err error
	k.Session, err = New(Options{Stdout: k.out, Stderr: k.err, Warnings: warnings.None, pass: mustVerify})
	return k, err
}

// older is a kernel for which the compiler compiles loops to callbacks.
var older = &sys.Kernel{Release: "5.17", Major: 5, Minor: 17, Arch: runtime.GOARCH}

// ifOlder returns older if the running kernel has all of its features, and nil otherwise.
func ifOlder(t *testing.T) *sys.Kernel {
	k, err := sys.Running()
	if err != nil {
		t.Fatal(err)
	}
	if k.AtLeast(older.Major, older.Minor) {
		return older
	}
	return nil
}

// errConstant marks handlers that the compiler rejects because of constants, such as a division by
// a constant zero.
var errConstant = errors.New("a constant is wrong")

// errOlder marks handlers with loops that need a newer kernel.
var errOlder = errors.New("the kernel is too old")

var loopNeeds = regexp.MustCompile(`(?:while|range over .*|a loop over .*) needs kernel (\d+)\.(\d+) \(\w+\)`)

// tooOld reports whether text says that a loop needs a kernel newer than k.
func tooOld(k *sys.Kernel, text string) bool {
	m := loopNeeds.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	return err1 == nil && err2 == nil && !k.AtLeast(major, minor)
}

// errComplex marks handlers that the verifier gave up on, or that the compiler reports as too
// large.
var errComplex = errors.New("too complex for the verifier")

var tooLarge = regexp.MustCompile(`^the program is too large|^the handler needs \d+ bytes of stack|^the handler compares and searches too much text`)

// errRefused marks what must never happen: the verifier refused a handler that the compiler has
// accepted.
var errRefused = errors.New("the verifier refuses an accepted handler")

// withLRU starts the text of a handler whose large tables are of the kind from which the kernel
// evicts keys.
const withLRU = "# lru\n"

// evictsBelow is the size below which the kernel may evict keys from such a table although it is
// not full: each CPU reserves 128 free elements (kernel/bpf/bpf_lru_list.c).
const evictsBelow = 1024

func runKernel(text string, events []oracleEvent, as *sys.Kernel, form compiler.Variant) (out outcome, err error) {
	k, err := newKernelRun()
	if err != nil {
		return nil, err
	}
	if as != nil {
		k.kernel = as
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	var maps strings.Builder
	for _, m := range oracleMaps {
		fmt.Fprintf(&maps, "%s = %s\n", m.name, m.make)
	}
	for name, size := range oracleTables {
		lru := "False"
		if strings.HasPrefix(text, withLRU) && size >= evictsBelow {
			lru = "True"
		}
		fmt.Fprintf(&maps, "%s = table(max_keys=%d, lru=%s)\n", name, size, lru)
	}
	maps.WriteString("sent = stream()\n")
	var list diag.List
	if err := k.ExecFile(context.Background(), "kernel.star", []byte(maps.String()+text)); err != nil {
		return nil, errors.New(k.FormatError(err))
	}
	h, err := k.names.Function(k.names.Globals["handler"].(*starlark.Function))
	if err != nil {
		return nil, err
	}
	p := &Probe{s: k.Session, name: "oracle"}
	l := &loader{s: k.Session, p: p, variant: form, targetless: k.request("oracle", h, &compiler.Event{Probe: "oracle", Event: abi.Event{Fields: oracleFields}})}
	err = l.loadOne(nil, nil, ebpf.RawTracepoint, nil)
	if err != nil {
		err = errors.Join(err, l.rollback())
	}
	if errors.As(err, &list) {
		for _, d := range list {
			if strings.HasSuffix(d.Msg, " by zero") || strings.HasPrefix(d.Msg, "index out of range") || strings.Contains(d.Msg, "cannot end in a NUL") ||
				strings.HasPrefix(d.Msg, "the search is too long") || strings.Contains(d.Msg, " can never match: ") {
				return nil, errConstant
			}
			if tooLarge.MatchString(d.Msg) {
				return nil, errComplex
			}
			if tooOld(k.kernel, d.Msg) {
				return nil, errOlder
			}
		}
	}
	var refusal *bpf.VerifierError
	if errors.As(err, &refusal) && refusal.TooComplex() {
		return nil, errComplex
	}
	if errors.As(err, &refusal) {
		return nil, fmt.Errorf("%w: %+v", errRefused, refusal)
	}
	if err != nil {
		return nil, err
	}
	l.commit()
	k.reg.probes = append(k.reg.probes, p)
	for _, ev := range events {
		if _, err := p.programs[0].prog.TestRun(ev.words()); err != nil {
			return nil, err
		}
	}
	k.records.Drain()
	return k.outcome()
}

// budgetError is the name under which runs that the budget ended are counted.
const budgetError = "budget"

func (k *kernelRun) outcome() (outcome, error) {
	out := outcome{"prints": k.out.String()}
	for _, m := range oracleMaps {
		a := k.names.Globals[m.name].(*maps.Aggregation)
		w, err := a.Read(k.run.Context())
		if err != nil {
			return nil, err
		}
		var lines []string
		for i, key := range w.Keys {
			kv := starlark.Value(starlark.None)
			if !a.Keyless() {
				kv = a.Key(key)
			}
			if !slices.ContainsFunc(w.Vals[i], func(x uint64) bool { return x != 0 }) && a.Keyless() && m.spec.Kind != agg.Sum && m.spec.Kind != agg.Count {
				continue // nothing was added
			}
			lines = append(lines, kv.String()+" -> "+aggText(m.spec, w.Vals[i], a.Value(w.Vals[i])))
		}
		out[m.name] = sorted(lines)
	}
	sent := k.names.Globals["sent"].(*records.Stream)
	out["sent"] = ""
	for {
		v, err := sent.Next(time.Now())
		if err != nil {
			return nil, err
		}
		if v == nil {
			break
		}
		text, err := sentText(v.(starlark.HasAttrs))
		if err != nil {
			return nil, err
		}
		out["sent"] += text
	}
	for name := range oracleTables {
		t := k.names.Globals[name].(*maps.Table)
		d, err := t.Snapshot()
		if err != nil {
			return nil, err
		}
		if n, err := t.Evicted(k.run.Context()); err != nil || n > 0 {
			return nil, fmt.Errorf("%d keys of %s count as evicted, %v", n, name, err)
		}
		out[name] = dictText(d.(*starlark.Dict))
	}
	es, err := k.allErrors(k.reg.allProbes())
	if err != nil {
		return nil, err
	}
	count := map[string]uint64{}
	for _, e := range es {
		if e.Helper == "" && e.Errno == "E2BIG" {
			count[budgetError] += e.Count
		} else {
			count[e.Errno] += e.Count
		}
	}
	var errs []string
	for name, n := range count {
		errs = append(errs, fmt.Sprintf("%s %d", name, n))
	}
	out["errors"] = sorted(errs)
	return out, nil
}

// aggText formats a value as the model does.
func aggText(spec agg.Spec, words []uint64, v starlark.Value) string {
	switch spec.Kind {
	case agg.Avg:
		return fmt.Sprint("avg of ", words[0], " ", int64(words[1]))
	case agg.Stats:
		st := v.(*structs.Struct)
		var parts []string
		for _, f := range []string{"count", "sum", "min", "max"} {
			x, err := st.Attr(f)
			if err != nil {
				return err.Error()
			}
			parts = append(parts, x.String())
		}
		return strings.Join(parts, " ")
	case agg.Hist, agg.Lhist:
		return histText(spec, v.(*hist.Histogram))
	}
	return v.String()
}

// histText names buckets as modelAgg.bucket does.
func histText(spec agg.Spec, h *hist.Histogram) string {
	buckets := map[string]int{}
	for _, r := range h.Rows() {
		if r.N == 0 {
			continue
		}
		lo, isInt := r.Lo.(starlark.Int)
		name := "below"
		switch {
		case spec.Kind == agg.Hist:
			name = fmt.Sprint(lo.Sign() < 0, lo.BigInt().BitLen())
		case isInt && r.Hi == starlark.None:
			name = "above"
		case isInt:
			n, _ := lo.Int64()
			name = fmt.Sprint((n - spec.Lo) / spec.Step)
		}
		buckets[name] += int(r.N)
	}
	var parts []any
	for _, f := range []string{"count", "sum", "min", "max"} {
		x, err := h.Attr(f)
		if err != nil {
			return err.Error()
		}
		parts = append(parts, x.String())
	}
	return strings.TrimSpace(fmt.Sprintln(append(parts, buckets)...))
}

// TestOracle runs random handlers. `make oracle` sets how many.
func TestOracle(t *testing.T) {
	run, complex, old := 0, 0, 0
	defer func() {
		t.Logf("%d handlers compared, %d more too complex for the verifier, %d more with loops that this kernel does not have", run, complex, old)
		if complex > 2 && complex*100 > run {
			t.Errorf("%d of %d handlers were too complex for the verifier", complex, run+complex)
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		host, kernel := generate(rapid.SliceOfN(rapid.Byte(), 100, 800).Draw(rt, "choices"))
		var events []oracleEvent
		for range 1 + rapid.IntRange(0, 5).Draw(rt, "events") {
			events = append(events, drawEvent(rt))
		}
		var as *sys.Kernel
		if rapid.IntRange(0, 3).Draw(rt, "kernel") == 0 {
			as = ifOlder(t)
		}
		if rapid.Bool().Draw(rt, "lru") {
			kernel = withLRU + kernel
		}
		form := compiler.Variant(max(0, rapid.IntRange(-3, int(compiler.VariantCallbacks)).Draw(rt, "form")))
		if form == compiler.VariantCallbacks && (as != nil || ifOlder(t) == nil) {
			form = compiler.VariantDefault // there is no other form here
		}
		err := compareForm(host, kernel, events, as, form)
		switch {
		case errors.Is(err, errConstant):
			rt.Skip("what the compiler sees to be wrong is no handler")
		case errors.Is(err, errComplex):
			complex++
			rt.Skip("the verifier gave up")
		case errors.Is(err, errOlder):
			old++
			rt.Skip("this kernel does not have the loop")
		}
		run++
		if err != nil {
			rt.Fatalf("%v\n--- kernel\n%s\n--- host\n%s\n--- events\n%+v", err, kernel, host, events)
		}
	})
}

func compare(host, kernel string, events []oracleEvent, as *sys.Kernel) error {
	return compareForm(host, kernel, events, as, compiler.VariantDefault)
}

func compareForm(host, kernel string, events []oracleEvent, as *sys.Kernel, form compiler.Variant) error {
	m, err := runModel(host, events)
	if err != nil {
		return err
	}
	got, err := runKernel(kernel, events[:m.handled], as, form) // all, unless a run has no end
	if err != nil {
		return err
	}
	if m.endless {
		if !strings.Contains(got["errors"], budgetError) {
			return fmt.Errorf("the loop has no end, and the kernel's errors are %q", got["errors"])
		}
		return nil
	}
	var diffs []string
	for name, want := range m.outcome() {
		if got[name] != want {
			diffs = append(diffs, fmt.Sprintf("%s:\nkernel\n%s\ninterpreter\n%s", name, got[name], want))
		}
	}
	if diffs != nil {
		return errors.New(sorted(diffs))
	}
	return nil
}

// Every case that the oracle has found is kept in testdata/oracle: a handler in both texts and the
// events.
func TestOracleCases(t *testing.T) {
	files, err := filepath.Glob("testdata/oracle/*.star")
	if err != nil {
		t.Fatal(err)
	}
	events := []oracleEvent{}
	for i := range edgeWords {
		w := func(n int) uint64 { return edgeWords[(i*7+n*3)%len(edgeWords)] }
		events = append(events, oracleEvent{[4]uint64{w(0), w(1), w(2), w(3)}, [2]uint32{uint32(w(4)), uint32(w(5))}, i%2 == 0, []string{"", "a", "abc", "abcdefgh"}[i%4], []string{"", "a", "abcdefg"}[i%3]})
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			host, kernel, ok := strings.Cut(string(text), "\n---\n")
			if !ok {
				t.Fatal("want the host's text, a line of ---, and the kernel's")
			}
			for _, as := range []*sys.Kernel{nil, ifOlder(t)} {
				if err := compare(host, kernel, events, as); errors.Is(err, errOlder) {
					t.Log("without: ", err)
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
}
