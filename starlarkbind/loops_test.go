package starlarkbind

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// loopGlobals defines the globals that the handlers in testdata/loops use.
const loopGlobals = `PAT = b"needle!!"
DIGITS = {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9}
HEX = {"a": 10, "b": 11, "c": 12, "d": 13, "e": 14, "f": 15}
str_of = {0: "zero", 1: "one", 2: "two", 3: "three"}
`

// loopFields are the fields of their event: two texts, arrays, a linked list and numbers.
var loopFields = func() (fs []abi.Field) {
	for i, name := range []string{"p", "q", "fds", "list", "nums", "x", "y", "n", "run"} {
		f := abi.Field{Name: name, CType: "void *", Kind: abi.FieldPointer, Offset: 8 * i, Size: 8, User: true}
		if i >= 5 {
			f = abi.Field{Name: name, Kind: abi.FieldInt, Offset: 8 * i, Size: 8}
		}
		fs = append(fs, f)
	}
	return fs
}()

// loopMaps are the maps of these handlers: two tables, and counts.
var loopMaps = []string{"out", "bytes_of", "per_letter", "seen", "states"}

// A loopInput is the input of one run of such a handler: two texts, arrays, a linked list and
// numbers.
type loopInput struct {
	text    [2][]byte
	fds     []uint64
	list    []uint64
	sorted  []uint32
	numbers [3]uint64
}

func loopInputs() []*loopInput {
	texts := []string{"", "needle!!", "a needle!! in a haystack", "nneneedle!", "/usr/lib//x/../libc.so.6", "abcba", "-1234567x", "192.168.0.255",
		"deadBEEF 0xff", "Host: example.org\r\n", "\x03www\x07example\x03org\x00", `a,"b,c",d\,e`, "grün 漢字 😀 \x80z", "  two  words ",
		"\x01\x02\x10\x20\x02\x01\x07\x00", strings.Repeat("abcdez", 10), "xxaXcYYe", "/"}
	var out []*loopInput
	for i, s := range texts {
		in := &loopInput{numbers: [3]uint64{uint64(i)*7919 + 48, uint64(i)*104729 + 36, uint64(i) * 9}}
		for k, t := range []string{s, texts[(i*5+1)%len(texts)]} {
			in.text[k] = append([]byte(t), make([]byte, 128-len(t))...)
		}
		for k := range 64 {
			in.fds = append(in.fds, uint64((k*(i+3))%5)*uint64(k))
			in.sorted = append(in.sorted, uint32(k*(i+1)/2))
		}
		in.list = make([]uint64, 8)
		out = append(out, in)
	}
	return out
}

func addrOf[T any](xs []T) uint64 { return uint64(uintptr(unsafe.Pointer(&xs[0]))) }

// words returns the arguments of a run. It links the list by addresses.
func (in *loopInput) words(run int) []uint64 {
	for i := range len(in.list) - 1 {
		in.list[i] = addrOf(in.list[i+1:])
	}
	return []uint64{addrOf(in.text[0]), addrOf(in.text[1]), addrOf(in.fds), addrOf(in.list), addrOf(in.sorted), in.numbers[0], in.numbers[1], in.numbers[2], uint64(run), 0, 0, 0}
}

// memory returns builtins with which the interpreter reads the memory that the kernel reads.
func (in *loopInput) memory() starlark.StringDict {
	bytesAt := func(addr uint64, n int) []byte {
		for _, m := range [][]byte{in.text[0], in.text[1], wordsAsBytes(in.fds), wordsAsBytes(in.list), wordsAsBytes(in.sorted)} {
			if off := addr - addrOf(m); off < uint64(len(m)) {
				return m[off:min(off+uint64(n), uint64(len(m)))]
			}
		}
		panic(fmt.Sprintf("no memory at %#x", addr))
	}
	arg := func(a starlark.Tuple, i int) uint64 { n, _ := a[i].(starlark.Int).Uint64(); return n }
	type fn = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)
	out := starlark.StringDict{}
	for name, f := range map[string]fn{
		"buf": func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return starlark.Bytes(bytesAt(arg(a, 0), int(arg(a, 1)))), nil
		},
		"str": func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			s, _, _ := strings.Cut(string(bytesAt(arg(a, 0), int(arg(a, 1))-1)), "\x00")
			return starlark.String(s), nil
		},
		"cast": func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			size := 8
			if strings.HasPrefix(string(a[1].(starlark.String)), "u32") {
				size = 4
			}
			return &modelPointer{addr: arg(a, 0), size: size, read: bytesAt}, nil
		},
	} {
		out[name] = starlark.NewBuiltin(name, f)
	}
	return out
}

func wordsAsBytes[T any](xs []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&xs[0])), len(xs)*int(unsafe.Sizeof(xs[0])))
}

// A modelPointer is a pointer to numbers, for the interpreter.
type modelPointer struct {
	starlark.NoneType
	addr uint64
	size int
	read func(addr uint64, n int) []byte
}

func (p *modelPointer) Len() int { return 1 << 20 }
func (p *modelPointer) Index(i int) starlark.Value {
	b := p.read(p.addr+uint64(i*p.size), p.size)
	if p.size == 4 {
		return starlark.MakeUint64(uint64(binary.NativeEndian.Uint32(b)))
	}
	return starlark.MakeUint64(binary.NativeEndian.Uint64(b))
}

// loopHandlers returns the names of the handlers in testdata/loops, and their text by name.
func loopHandlers(t *testing.T) (names []string, text map[string]string) {
	t.Helper()
	files, err := filepath.Glob("testdata/loops/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	text = map[string]string{}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(src), "\ndef ")[1:] {
			name, rest, _ := strings.Cut(part, "(")
			name = strings.TrimSuffix(filepath.Base(f), ".star") + "." + name
			names = append(names, name)
			text[name] = "def handler(" + rest
		}
	}
	return names, text
}

// runLoops runs a handler in the kernel on all inputs, and returns the contents of the maps and the
// errors.
func runLoops(text string, inputs []*loopInput, form compiler.Variant) (out []string, err error) {
	k, err := newKernelRun()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	if err := k.ExecFile(context.Background(), "loops.star", []byte(loopGlobals+"out = table()\nbytes_of = table()\nper_letter = count()\nseen = count()\nstates = count()\n"+text)); err != nil {
		return nil, errors.New(k.FormatError(err))
	}
	h, err := k.names.Function(k.names.Globals["handler"].(*starlark.Function))
	if err != nil {
		return nil, err
	}
	p := &Probe{s: k.Session, name: "loops"}
	l := &loader{s: k.Session, p: p, variant: form, targetless: k.request("loops", h, &compiler.Event{Probe: "loops", Event: abi.Event{Fields: loopFields}})}
	if err := l.loadOne(nil, nil, ebpf.RawTracepoint, nil); err != nil {
		return nil, errors.Join(err, l.rollback())
	}
	l.commit()
	k.reg.probes = append(k.reg.probes, p)
	for i, in := range inputs {
		if _, err := p.programs[0].prog.TestRun(in.words(i)); err != nil {
			return nil, err
		}
		runtime.KeepAlive(in)
	}
	for _, name := range loopMaps {
		v, err := starlark.Call(&starlark.Thread{}, mustAttr(k.names.Globals[name], "snapshot"), nil, nil)
		if err != nil {
			return nil, err
		}
		if d, ok := v.(*starlark.Dict); ok && d.Len() > 0 {
			out = append(out, name+":", dictText(d))
		}
	}
	es, err := k.allErrors(k.reg.allProbes())
	if err != nil {
		return nil, err
	}
	for _, e := range es {
		out = append(out, fmt.Sprintf("%s ×%d at %s: %s", e.Errno, e.Count, e.Pos, e.Message))
	}
	return out, nil
}

func mustAttr(v starlark.Value, name string) starlark.Value {
	x, err := v.(starlark.HasAttrs).Attr(name)
	if err != nil {
		panic(err)
	}
	return x
}

// interpretLoops is like runLoops, but uses the interpreter.
func interpretLoops(text string, inputs []*loopInput) (out []string, err error) {
	tabs, aggs := map[string]*modelTable{}, map[string]*modelAgg{}
	for _, name := range loopMaps[:2] {
		tabs[name] = &modelTable{starlark.NewDict(8)}
	}
	for _, name := range loopMaps[2:] {
		aggs[name] = newModelAgg(agg.Spec{Kind: agg.Count})
	}
	for i, in := range inputs {
		pre := in.memory()
		for name, t := range tabs {
			pre[name] = t
		}
		for name, a := range aggs {
			pre[name] = a
		}
		globals, err := starlark.ExecFileOptions(source.Options, &starlark.Thread{}, "loops.star", loopGlobals+text, pre)
		if err != nil {
			return nil, err
		}
		args := starlark.StringDict{}
		words := in.words(i)
		for k, f := range loopFields {
			args[f.Name] = starlark.MakeUint64(words[k])
		}
		e := starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{"args": starlarkstruct.FromStringDict(starlarkstruct.Default, args)})
		if _, err := starlark.Call(&starlark.Thread{}, globals["handler"], starlark.Tuple{e}, nil); err != nil {
			return nil, err
		}
	}
	for _, name := range loopMaps {
		if t := tabs[name]; t != nil && t.Len() > 0 {
			out = append(out, name+":", dictText(t.Dict))
		}
		if a := aggs[name]; a != nil && len(a.keys) > 0 {
			out = append(out, name+":", dictText(a.counts()))
		}
	}
	return out, nil
}

// TestHandLoops runs loops that people write by hand, and compares the results with the
// interpreter. Each is compiled in all forms that this kernel supports.
func TestHandLoops(t *testing.T) {
	if err := sys.Prepare(); err != nil {
		t.Fatal(err)
	}
	names, text := loopHandlers(t)
	inputs := loopInputs()
	older := ifOlder(t)
	k, err := sys.Running()
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			want, err := interpretLoops(text[name], inputs)
			if err != nil {
				t.Fatal(err)
			}
			for form := compiler.VariantDefault; form <= compiler.VariantCallbacks; form++ {
				if form == compiler.VariantCallbacks && older == nil || form > compiler.VariantDefault && testing.Short() {
					continue // this kernel has no callbacks, or is emulated
				}
				got, err := runLoops(text[name], inputs, form)
				if err != nil {
					if tooOld(k, err.Error()) {
						refused++
						return
					}
					t.Errorf("form %d: %v", form, err)
					continue
				}
				if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
					t.Errorf("form %d:\nkernel\n%s\ninterpreter\n%s", form, g, w)
				}
			}
		})
	}
	t.Logf("%d of %d handlers need a newer kernel", refused, len(names))
}
