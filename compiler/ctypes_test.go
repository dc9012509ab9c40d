package compiler

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// noTypes is a kernel without BTF.
type noTypes struct{}

var errNoTypes = errors.New("this kernel has no type information")

func (noTypes) Lookup(string) (*ctype.Type, error) { return nil, errNoTypes }
func (noTypes) Names(string) ([]string, error)     { return nil, errNoTypes }

// On a kernel without BTF, handlers that need type information are rejected with a message that
// says so. Other handlers compile.
func TestWithoutTypes(t *testing.T) {
	compile := func(src string) error {
		req := parseSource(t, "h.star", src).request(t)
		req.Types = noTypes{}
		_, err := Compile(req)
		return err
	}
	for _, src := range []string{"return e.task.pid", "return e.ppid", `return cast(e.pid, "struct sock").x`, "return e.args.p.pid"} {
		err := compile("def h(e):\n    " + src + "\n")
		if err == nil || !strings.Contains(err.Error(), "this needs the kernel's types: this kernel has no type information") {
			t.Errorf("%s: %v", src, err)
		}
	}
	for _, src := range []string{"return e.task", `return cast(e.pid, "u8")`, `return cast(e.args.p, "char *")[2]`, `return sizeof("unsigned long")`, "return e.args.p == None"} {
		if err := compile("def h(e):\n    " + src + "\n"); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// typedEvent returns a raw tracepoint with typed arguments. Reading their types returns err.
func typedEvent(err error) *Event {
	return &Event{Probe: "rawtracepoint:test", Event: abi.Event{RawArgs: true}, Typed: func() ([]abi.Field, error) {
		types := newFakeTypes()
		return []abi.Field{abi.BTFField("task", 0, ctype.PointerTo(types["struct task_struct"])), abi.BTFField("mode", 8, types["enum mode"]), abi.BTFField("inner", 16, types["struct inner"])}, err
	}}
}

// TestTypedArgs tests the properties of a Program that determine how it is loaded.
func TestTypedArgs(t *testing.T) {
	for _, c := range []struct {
		src                    string
		typed, follows, direct bool
	}{
		{"return e.args[0]", false, false, false},
		{"return e.args.mode", true, false, false},
		{"return e.args.task", true, false, false},
		{"return e.args.task.pid", true, true, true},
		{"return e.args.task.cpus[1]", true, true, false},
		{"return e.args.task.wake", true, true, false},
		{"return e.args.task.inner.u.word", true, true, false},
		{"return cast(e.args[0], 'struct task_struct').pid", false, false, false},
		{"return e.task.pid", false, false, true},
		{"return e.task.uname[0]", false, false, true},
		{"return e.task.comm", false, false, false},
	} {
		req := parseSource(t, "h.star", "def h(e):\n    "+c.src+"\n").request(t)
		req.Event = typedEvent(nil)
		req.Event.BTFArgs, req.Features.TaskBTF = true, true
		p, err := Compile(req)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		if p.TypedArgs != c.typed || p.FollowsArgs != c.follows || p.TrustedLoads != c.direct {
			t.Errorf("%s: typed %v, follows %v, direct %v; want %v, %v, %v", c.src, p.TypedArgs, p.FollowsArgs, p.TrustedLoads, c.typed, c.follows, c.direct)
		}
	}
	for src, want := range map[string]string{
		"return e.args.tsk":   "tracepoint:test:event has no argument tsk",
		"return e.args.inner": "a handler cannot read inner: its type is struct inner",
	} {
		req := parseSource(t, "h.star", "def h(e):\n    "+src+"\n").request(t)
		req.Event = typedEvent(nil)
		if _, err := Compile(req); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", src, err)
		}
	}
	req := parseSource(t, "h.star", "def h(e):\n    return e.args.task\n").request(t)
	req.Event = typedEvent(errors.New("no BTF"))
	if _, err := Compile(req); err == nil || !strings.Contains(err.Error(), "the argument names of tracepoint:test:event are unknown: no BTF") {
		t.Error(err)
	}
}
