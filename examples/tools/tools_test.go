package tools

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// doc is the page that has the table of the tools.
const doc = "../../docs/tools.md"

// TestDoc checks the table in docs/tools.md: UPDATE=1 go test ./examples/tools -run TestDoc writes
// it.
func TestDoc(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- tools -->\n", "<!-- end of tools -->\n"
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", doc)
	}
	var b strings.Builder
	b.WriteString("| subject | tool | what it shows | kernels | lines | original | what the original gets wrong |\n|---|---|---|---|---|---|---|\n")
	for _, tool := range all {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %d | %s | %s |\n", tool.Subject, tool.Name, tool.Summary, tool.Kernels, tool.Lines, tool.Original, tool.Wrong)
	}
	want := head + begin + b.String() + end + tail
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(doc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(old) != want {
		t.Errorf("%s is not what the tools say: UPDATE=1 go test ./examples/tools -run TestDoc", doc)
	}
}

// TestParse checks the errors for a file that does not describe itself.
func TestParse(t *testing.T) {
	for src, want := range map[string]string{
		"x = 1\n":                                "x.star: the file does not begin with a docstring",
		"\"\"\"Show.\n\nsubjekt: CPUs\n\"\"\"\n": `x.star: unknown field in the docstring: "subjekt: CPUs"`,
		"\"\"\"Show.\n\nsubject: CPUs\n\"\"\"\n": `x.star: the docstring has no field "kernels"`,
		"\"\"\"Show.\n\nsubject: fun\nkernels: all\noriginal: none\nwrong there: nothing\n\"\"\"\n":             `x.star: no such subject: "fun"`,
		"#!x\n\"\"\"Show.\n\nsubject: CPUs\nkernels: all\noriginal: none\nwrong there: a\n    b\n\"\"\"\nx=1\n": "",
	} {
		tool, err := parse("x", src)
		switch {
		case want == "" && (err != nil || tool.Wrong != "a b" || tool.Lines != 1 || tool.Summary != "Show"):
			t.Errorf("%q: %v, %+v", src, err, tool)
		case want != "" && (err == nil || err.Error() != want):
			t.Errorf("%q: got %v, want %s", src, err, want)
		}
	}
}

// TestReplacement checks the tools that do the work of others.
func TestReplacement(t *testing.T) {
	for name, want := range map[string]string{"ext4slower": "fsslower", "btrfsdist": "fsdist", "fsslower": "", "": ""} {
		if got, err := Replacement(name); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range all {
		for _, name := range tool.InsteadOf {
			if slices.Contains(Names(), name) {
				t.Errorf("%s replaces %s, which is a tool here", tool.Name, name)
			}
		}
	}
}

// TestHelp checks that each tool explains itself without touching the kernel, and has no flag that
// bpfrepl itself has.
func TestHelp(t *testing.T) {
	own, err := exec.Command(bpfrepl, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		out, err := exec.Command(bpfrepl, name, "--help").CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("usage: bpfrepl "+name+" [flags]\n")) {
			t.Errorf("%s --help: %v\n%s", name, err, out)
		}
		for line := range strings.Lines(string(out)) {
			flag, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(flag, "--") && bytes.Contains(own, []byte(" "+flag+" ")) {
				t.Errorf("%s has a flag of bpfrepl: %s", name, flag)
			}
		}
	}
}

// functionTools are the tools that need probes of kernel functions, and what they print without.
var functionTools = map[string]string{
	"biolatency-kp": "this kernel has no functions for this tool; use biolatency",
	"dcsnoop":       `no probe "kprobe:d_lookup": this kernel has no kprobes`,
	"vfscount":      `no probe "kprobe:vfs_*": this kernel has no kprobes`,
	"capable":       `no tracepoint`,
	"funccount":     `this kernel has no kprobes`,
	"funclatency":   `this kernel has no kprobes`,
	"funcslower":    `this kernel has no kprobes`,
	"swapin":        `this kernel has no kprobes`,
}

// libraryTools are the tools that need a program or a library, and what they print without.
var libraryTools = map[string]string{
	"bashreadline":   `no probe "uretprobe:/bin/bash:readline, uretprobe:libreadline:readline": this kernel has none of these`,
	"gethostlatency": `no program "libc" in $PATH, and no library of that name`,
	"ssllatency":     `no program "libssl" in $PATH, and no library of that name`,
	"sslsnoop":       `no program "libssl" in $PATH, and no library of that name`,
}

// TestCheck compiles each tool for the running kernel.
func TestCheck(t *testing.T) {
	functions, err := bpftest.Table("kprobe")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			argv := []string{name, "--check"}
			if name == "memleak" {
				argv = append(argv, "--kernel") // otherwise it needs a process
			}
			out, err := exec.Command(bpfrepl, argv...).CombinedOutput()
			if err == nil {
				return
			}
			if name == "gorunqlat" {
				if !bytes.Contains(out, []byte("fail: which program? give --program PATH, or its process with -p or -c\n")) {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			message, library := functionTools[name], libraryTools[name]
			if library != "" && bytes.Contains(out, []byte(library)) {
				return
			}
			if message == "" || !bytes.Contains(out, []byte(message)) || functions && name != "biolatency-kp" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
