package starlarkbind

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

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
	args := map[string]string{"str": "1", "strftime": `"%H", 1`, "ksym": "1", "kaddr": `"schedule"`, "uaddr": `"main.main", "` + loadBinary + `"`, "ntop": "1", "macaddr": `b"123456"`, "errno_name": "2", "syscall_name": "0", "cgroup_path": "1",
		"cast": `1, "long"`, "buf": `b"abc", 2`, "sizeof": `"struct task_struct"`, "offsetof": `"struct task_struct", "comm"`, "container_of": `1 << 40, "struct task_struct", "comm"`,
		"usym": "1", "reg": `"ip"`, "path": "1", "signal": `"SIGUSR1"`, "override": "1"}
	l := newLive(t, nil)
	for _, name := range slices.Sorted(maps.Keys(handlerFuncs)) {
		if name == "kstack" || name == "ustack" || name == "signal" { // they do nothing without an event
			continue
		}
		_, err := starlark.EvalOptions(fileOptions, &starlark.Thread{}, "x", name+"("+args[name]+")", l.predeclared)
		where := free
		if err != nil {
			where = event
		}
		if !strings.Contains(where, "`"+name+"`") {
			t.Errorf("%s(%s): %v, and the document says otherwise", name, args[name], err)
		}
	}
}
