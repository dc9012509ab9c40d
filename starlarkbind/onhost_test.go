package starlarkbind

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"pgregory.net/rapid"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// These tests compare a handler called by the script with the same handler in the kernel. Handlers
// of the oracle and of testdata/loops are loaded, so that their types are known, and then called
// with events instead of being run. The script has no memory to read, so buf, str and cast read
// memory of the test.

// hostRun loads a handler for events with the given fields. It returns the session and a function
// that calls the handler.
func hostRun(text string, fields []abi.Field, memory func() starlark.StringDict) (*kernelRun, func(args starlark.StringDict) error, error) {
	k, err := newKernelRun()
	if err != nil {
		return nil, nil, err
	}
	fail := func(err error) (*kernelRun, func(starlark.StringDict) error, error) {
		return nil, nil, errors.Join(err, k.Close())
	}
	if err := k.ExecFile(context.Background(), "host.star", []byte(text)); err != nil {
		return fail(errors.New(k.FormatError(err)))
	}
	fn := k.names.Globals["handler"].(*starlark.Function)
	h, err := k.names.Function(fn)
	if err != nil {
		return fail(err)
	}
	p := &Probe{s: k.Session, name: "host"}
	l := &loader{s: k.Session, p: p, targetless: k.request("host", h, &compiler.Event{Probe: "host", Event: abi.Event{Fields: fields}})}
	if err := l.loadOne(nil, nil, ebpf.RawTracepoint, nil); err != nil {
		return fail(errors.Join(err, l.rollback()))
	}
	l.commit()
	k.reg.probes = append(k.reg.probes, p)
	return k, func(args starlark.StringDict) error {
		for name, f := range memory() {
			own := k.names.Predeclared[name]
			k.names.Predeclared[name] = starlark.NewBuiltin(name, func(t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
				if n, ok := a[0].(starlark.Int); !ok || n.Sign() == 0 || name == "cast" && !strings.HasSuffix(string(a[1].(starlark.String)), "*") {
					return starlark.Call(t, own, a, kw)
				}
				return starlark.Call(t, f, a, kw)
			})
			defer func() { k.names.Predeclared[name] = own }()
		}
		named := starlark.NewDict(len(args))
		for name, v := range args {
			if err := named.SetKey(starlark.String(name), v); err != nil {
				return err
			}
		}
		ev, err := starlark.Call(new(starlark.Thread), k.names.Predeclared["event"], nil, []starlark.Tuple{{starlark.String("args"), named}})
		if err != nil {
			return err
		}
		return k.run.ExecAlone(context.Background(), "host", func(t *starlark.Thread) error {
			_, err := starlark.Call(t, fn, starlark.Tuple{ev}, nil)
			return err
		})
	}, nil
}

// A memoryRef is the result of cast() on memory of the test: the text of an expression so far, such
// as "struct iphdr *").tos, applied to the start of mem.
type memoryRef struct {
	starlark.NoneType
	mem  []byte
	text string
}

// Attr implements starlark.HasAttrs.
func (r memoryRef) Attr(name string) (starlark.Value, error) {
	text := r.text + "." + name
	for _, f := range oracleMembers {
		if f.text == text {
			return f.read(r.mem), nil
		}
	}
	return memoryRef{mem: r.mem, text: text}, nil
}

func (r memoryRef) AttrNames() []string { return nil }
func (r memoryRef) Len() int            { return 64 }

// Index implements starlark.Indexable.
func (r memoryRef) Index(i int) starlark.Value {
	for end, f := range map[string]member{`"u64 *")`: {size: 8}, `"s32 *")`: {size: 4, signed: true}, `"u32 *")`: {size: 4}, "u6_addr8": {size: 1}, "u6_addr16": {size: 2}, "u6_addr32": {size: 4}} {
		if strings.HasSuffix(r.text, end) {
			f.at = i * f.size
			return f.read(r.mem)
		}
	}
	return memoryRef{mem: r.mem[16*i:], text: r.text} // struct in6_addr
}

// memory returns the handler functions of the oracle that read memory.
func (m *modelRun) memory() starlark.StringDict {
	at := func(a starlark.Tuple) []byte {
		addr, _ := a[0].(starlark.Int).Uint64()
		return m.event.memory()[addr-memoryAt:]
	}
	out := m.readers()
	out["cast"] = starlark.NewBuiltin("cast", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return memoryRef{mem: at(a), text: a[1].String() + ")"}, nil
	})
	out["str"] = starlark.NewBuiltin("str", func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		s, _, _ := strings.Cut(string(at(a)), "\x00")
		if len(a) > 1 {
			n, _ := a[1].(starlark.Int).Int64()
			s = s[:min(len(s), max(0, int(n)-1))]
		}
		return starlark.String(s), nil
	})
	return out
}

// callOracle calls a handler of the oracle on the events.
func callOracle(text string, events []oracleEvent) (out outcome, err error) {
	var maps strings.Builder
	for _, m := range oracleMaps {
		fmt.Fprintf(&maps, "%s = %s\n", m.name, m.make)
	}
	for name, size := range oracleTables {
		fmt.Fprintf(&maps, "%s = table(max_keys=%d)\n", name, size)
	}
	m := &modelRun{errors: map[string]int{}}
	k, call, err := hostRun(maps.String()+"sent = stream()\n"+text, oracleFields, m.memory)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	for _, m.event = range events {
		args, err := m.event.value().(*starlarkstruct.Struct).Attr("args")
		if err != nil {
			return nil, err
		}
		d := starlark.StringDict{}
		args.(*starlarkstruct.Struct).ToStringDict(d)
		if err := call(d); err != nil {
			errno := ""
			for text, name := range map[string]string{"division by zero": "EDOM", "modulo by zero": "EDOM", "not in ": "ENOENT", "negative shift count": "EINVAL", "out of range": "ERANGE"} {
				if strings.Contains(err.Error(), text) {
					errno = name
				}
			}
			if errno == "" {
				return nil, errors.New(k.FormatError(err))
			}
			m.errors[errno]++
		}
	}
	if out, err = k.outcome(); err != nil {
		return nil, err
	}
	var errs []string
	for name, n := range m.errors {
		errs = append(errs, fmt.Sprintf("%s %d", name, n))
	}
	out["errors"] = sorted(append(errs, strings.Fields(out["errors"])...))
	return out, nil
}

// sameOnHost compares the results of a handler of the oracle in the kernel and called by the
// script.
func sameOnHost(text string, events []oracleEvent) error {
	want, err := runKernel(text, events, nil, compiler.VariantDefault)
	if err != nil {
		return err
	}
	got, err := callOracle(text, events)
	if err != nil {
		return fmt.Errorf("called by the script: %w", err)
	}
	var diffs []string
	for name := range want {
		if got[name] != want[name] {
			diffs = append(diffs, fmt.Sprintf("%s:\nkernel\n%s\nhost\n%s", name, want[name], got[name]))
		}
	}
	if diffs != nil {
		return errors.New(sorted(diffs))
	}
	return nil
}

func TestOracleOnHost(t *testing.T) {
	files, err := filepath.Glob("testdata/oracle/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, kernel, _ := strings.Cut(string(text), "\n---\n")
			if err := sameOnHost(kernel, edgeEvents()); errors.Is(err, errOlder) {
				t.Log("without: ", err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRandomOnHost compares random handlers in the kernel and called by the script, a quarter of
// the number given by the flag:
//
//	go test ./starlarkbind -run TestRandomOnHost -rapid.checks=1000
func TestRandomOnHost(t *testing.T) {
	checks := flag.Lookup("rapid.checks").Value
	all := checks.String()
	if n, err := strconv.Atoi(all); err != nil || checks.Set(fmt.Sprint(max(n/4, 1))) != nil {
		t.Fatal(all)
	}
	defer func() {
		if err := checks.Set(all); err != nil {
			t.Error(err)
		}
	}()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		_, kernel := generate(rapid.SliceOfN(rapid.Byte(), 100, 800).Draw(rt, "choices"))
		var events []oracleEvent
		for range 1 + rapid.IntRange(0, 5).Draw(rt, "events") {
			events = append(events, drawEvent(rt))
		}
		err := sameOnHost(kernel, events)
		if errors.Is(err, errConstant) || errors.Is(err, errComplex) || errors.Is(err, errOlder) {
			rt.Skip(err)
		}
		run++
		if err != nil {
			rt.Fatalf("%v\n--- kernel\n%s\n--- events\n%+v", err, kernel, events)
		}
	})
	t.Logf("%d handlers compared", run)
}

func TestLoopsOnHost(t *testing.T) {
	names, text := loopHandlers(t)
	inputs := loopInputs()
	running, err := sys.Running()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			want, err := interpretLoops(text[name], inputs)
			if err != nil {
				t.Fatal(err)
			}
			var in *loopInput
			k, call, err := hostRun(loopGlobals+"out = table()\nbytes_of = table()\nper_letter = count()\nseen = count()\nstates = count()\n"+text[name], loopFields,
				func() starlark.StringDict { return in.memory() })
			if err != nil {
				if tooOld(running, err.Error()) {
					return
				}
				t.Fatal(err)
			}
			defer func() {
				if err := k.Close(); err != nil {
					t.Error(err)
				}
			}()
			for i := range inputs {
				in = inputs[i]
				args := starlark.StringDict{}
				words := in.words(i)
				for n, f := range loopFields {
					args[f.Name] = starlark.MakeUint64(words[n])
				}
				if err := call(args); err != nil {
					t.Fatal(k.FormatError(err))
				}
			}
			var got []string
			for _, name := range loopMaps {
				v, err := starlark.Call(&starlark.Thread{}, mustAttr(k.names.Globals[name], "snapshot"), nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if d, ok := v.(*starlark.Dict); ok && d.Len() > 0 {
					got = append(got, name+":", dictText(d))
				}
			}
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
				t.Errorf("host\n%s\nmodel\n%s", g, w)
			}
		})
	}
}
