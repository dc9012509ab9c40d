package starlarkbind

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"go.starlark.net/starlark"
)

// docs/language.md names each handler function that a script can call, and which of them need an
// event.
func TestHostFunctionsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "These are `now`")
	section, _, _ = strings.Cut(section, "\n\n")
	free, event, ok := strings.Cut(section, "Those that need an event")
	if !ok {
		t.Fatal("docs/language.md has no list of the functions of both sides")
	}
	args := map[string]string{"str": "1", "strftime": `"%H", 1`, "ksym": "1", "kaddr": `"schedule"`, "uaddr": `"main.main", "` + loadBinary + `"`, "ntop": "1", "macaddr": `b"123456"`, "errno_name": "2", "join": `["a", "b"]`, "syscall_name": "0", "cgroup_path": "1",
		"cast": `1, "long"`, "buf": `b"abc", 2`, "sizeof": `"struct task_struct"`, "offsetof": `"struct task_struct", "comm"`, "container_of": `1 << 40, "struct task_struct", "comm"`,
		"usym": "1", "reg": `"ip"`, "path": "1", "signal": `"SIGUSR1"`, "override": "1", "deny": "1"}
	l := newLive(t, nil)
	for _, d := range compiler.Builtins() {
		name := d.Name
		if d.KernelOnly != "" && !strings.Contains(section, "`"+name+"`") {
			t.Errorf("%s() exists in handlers only, and the document does not say so", name)
		}
		if _, ok := compiler.HostParams(name); !ok {
			continue
		}
		if name == "kstack" || name == "ustack" || name == "signal" { // they do nothing without an event
			continue
		}
		_, err := starlark.EvalOptions(source.Options, &starlark.Thread{}, "x", name+"("+args[name]+")", l.names.Predeclared)
		where := free
		if err != nil {
			where = event
		}
		if !strings.Contains(where, "`"+name+"`") {
			t.Errorf("%s(%s): %v, and the document says otherwise", name, args[name], err)
		}
	}
}

// Each function of handlers works in a script as well, or says why it does not.
func TestHostHalves(t *testing.T) {
	own := map[string]bool{}
	for _, b := range Builtins {
		own[b.Name] = true
	}
	for _, d := range compiler.Builtins() {
		_, half := compiler.HostParams(d.Name)
		switch found := half || own[d.Name] || starlark.Universe.Has(d.Name); {
		case !found && d.KernelOnly == "":
			t.Errorf("%s() does nothing in a script: give its row in the compiler a host function, or a reason (kernelOnly)", d.Name)
		case found && d.KernelOnly != "":
			t.Errorf("%s() works in a script, but its row says that it does not: %s", d.Name, d.KernelOnly)
		case half && own[d.Name]:
			t.Errorf("%s() has two host halves: in its row in the compiler, and in Builtins", d.Name)
		}
	}
}

// Each format is shown either by the table of package types or by the session.
func TestFormatHalves(t *testing.T) {
	for _, name := range types.Formats() {
		_, own := codec.SessionFormats[name]
		if pure := (&types.Format{Name: name}).Row().Text != nil; pure == own {
			t.Errorf("format %s: Text in package types %t, a row in sessionFormats %t: want one of these", name, pure, own)
		}
	}
	for name := range codec.SessionFormats {
		if !slices.Contains(types.Formats(), name) {
			t.Errorf("sessionFormats has %s, which is not a format", name)
		}
	}
}
