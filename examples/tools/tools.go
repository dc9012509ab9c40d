// Package tools embeds the tools: scripts that `bpfrepl NAME` runs. A tool describes itself in the
// docstring of its file: a line, an empty line, and one field on each further line. A field may
// continue on the next line, indented.
//
//	"""Show each program that is started.
//
//	subject: processes
//	kernels: 5.10 or newer
//	original: bpftrace 0.27, 12 lines
//	wrong there: failed calls look like successful ones
//	instead of: forksnoop, vforksnoop
//	"""
//
// The last field is optional: it names tools of others whose work this tool does.
//
// `bpfrepl tools`, `bpfrepl NAME --help` and the table in docs/tools.md are made from these fields.
//
//	tools.go  the embedded files and their descriptions
//	*.star    one tool each
package tools

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

//go:embed *.star
var files embed.FS

// Ext is the extension of a tool's file.
const Ext = ".star"

// Subjects lists what tools are about, in the order in which they are shown.
var Subjects = []string{"processes", "CPUs", "memory", "files", "disks", "network", "system calls", "libraries", "functions"}

// A Tool is the description of a tool.
type Tool struct {
	Name     string
	Summary  string // one line: what it shows
	Subject  string // one of Subjects
	Kernels  string // where it works
	Original string // where the tool of this name that it follows is from, and the lines of code of that
	Wrong    string // what is wrong in the original
	Lines    int    // its lines of code, without comments, docstring and empty lines

	InsteadOf []string // tools of others whose work this one does
}

// Source returns the text of a tool. The error is fs.ErrNotExist if there is no such tool.
func Source(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	src, err := files.ReadFile(name + Ext)
	if errors.Is(err, fs.ErrNotExist) {
		err = fs.ErrNotExist
	}
	return src, err
}

// Names returns the names of all tools, sorted.
func Names() []string {
	list, err := fs.Glob(files, "*"+Ext)
	if err != nil {
		panic(err) // the pattern is malformed
	}
	for i := range list {
		list[i] = strings.TrimSuffix(list[i], Ext)
	}
	return list
}

// Describe returns the description of a tool.
func Describe(name string) (Tool, error) {
	src, err := Source(name)
	if err != nil {
		return Tool{}, err
	}
	return parse(name, string(src))
}

// Replacement returns the tool that does the work of a tool of others, or "".
func Replacement(name string) (string, error) {
	all, err := All()
	for _, t := range all {
		if slices.Contains(t.InsteadOf, name) {
			return t.Name, nil
		}
	}
	return "", err
}

// All returns the descriptions of all tools, by subject and then by name.
func All() ([]Tool, error) {
	var out []Tool
	for _, name := range Names() {
		t, err := Describe(name)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b Tool) int {
		return slices.Index(Subjects, a.Subject) - slices.Index(Subjects, b.Subject)
	})
	return out, nil
}

// docstring matches a file's docstring, after comments.
var docstring = regexp.MustCompile(`(?s)^(?:#[^\n]*\n)*"""(.*?)"""\n`)

// parse reads the description at the beginning of a tool's text.
func parse(name, src string) (Tool, error) {
	bad := func(format string, args ...any) (Tool, error) {
		return Tool{}, fmt.Errorf("%s%s: %s", name, Ext, fmt.Sprintf(format, args...))
	}
	m := docstring.FindStringSubmatch(src)
	if m == nil {
		return bad("the file does not begin with a docstring")
	}
	t := Tool{Name: name, Lines: codeLines(src[len(m[0]):])}
	insteadOf := ""
	fields := map[string]*string{"subject": &t.Subject, "kernels": &t.Kernels, "original": &t.Original, "wrong there": &t.Wrong, "instead of": &insteadOf}
	summary, rest, _ := strings.Cut(m[1], "\n")
	t.Summary = strings.TrimSuffix(summary, ".")
	var last *string
	for line := range strings.Lines(strings.TrimSpace(rest)) {
		line = strings.TrimSuffix(line, "\n")
		if more, ok := strings.CutPrefix(line, "    "); ok && last != nil {
			*last += " " + more
			continue
		}
		key, value, _ := strings.Cut(line, ": ")
		if last = fields[key]; last == nil {
			return bad("unknown field in the docstring: %q", line)
		}
		*last = value
	}
	if insteadOf != "" {
		t.InsteadOf = strings.Split(insteadOf, ", ")
	}
	for _, key := range []string{"subject", "kernels", "original", "wrong there"} {
		if *fields[key] == "" {
			return bad("the docstring has no field %q", key)
		}
	}
	if !slices.Contains(Subjects, t.Subject) {
		return bad("no such subject: %q", t.Subject)
	}
	return t, nil
}

// codeLines counts the lines that are neither empty nor comments.
func codeLines(src string) int {
	n := 0
	for line := range strings.Lines(src) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			n++
		}
	}
	return n
}
