package starlarkbind

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/lazy"
)

// People come from bpftrace, and from the shell. What they type is no Starlark; the error says what to write instead.

var (
	// SPEC[, SPEC...] [/FILTER/] { ACTION }
	clause = lazy.Regexp(`^\s*([A-Za-z]+(?::[^\s/{,]+)?(?:\s*,\s*[A-Za-z]+:[^\s/{,]+)*)\s*(?:/(.*)/)?\s*\{\s*(.*?)\s*;?\s*\}\s*$`)
	// @NAME[KEY] = FUNCTION(ARGUMENT), @NAME[KEY]++
	update = lazy.Regexp(`^@(\w*)(?:\[(.*)\])?\s*(?:=\s*(count|sum|avg|min|max|stats|hist|lhist)\((.*)\)|\+\+)$`)
	aMap   = lazy.Regexp(`@\w*\s*(\[|=|\+\+)|@\w+`)
	shell  = lazy.Regexp(`^\s*(sudo|bpftrace|ls|cd|cat|ps|top|vi|vim|man|apt|dnf|bash|clear|pwd|grep)\b(\s|$)`)
)

// words of bpftrace, and what they are here.
var bpftraceWords = []struct {
	from func() *regexp.Regexp
	to   string
}{
	{lazy.Regexp(`\bargs(?:->|\.)`), "e.args."},
	{lazy.Regexp(`\bstr\(`), "str("},
	{lazy.Regexp(`(^|[^.\w])(pid|tid|comm|uid|gid|cpu|cgroup|probe|func)\b`), "${1}e.${2}"},
	{lazy.Regexp(`\bretval\b`), "e.ret"},
	{lazy.Regexp(`\bnsecs\b`), "now()"},
	{lazy.Regexp(`\b(kstack|ustack)\b`), "e.${1}"},
	{lazy.Regexp(`\barg(\d)\b`), "e.args[${1}]"},
	{lazy.Regexp(`&&`), "and"},
	{lazy.Regexp(`\|\|`), "or"},
	{lazy.Regexp(`!([^=])`), "not ${1}"},
}

// foreign gives a hint for a line of another language, or "".
func foreign(line string) string {
	if m := clause().FindStringSubmatch(line); m != nil {
		return "that is bpftrace's language; here it is " + fromBpftrace(m[1], m[2], m[3])
	}
	switch {
	case aMap().MatchString(line):
		return `that is bpftrace's language; here a map has a name: calls = count(); probe("tracepoint:raw_syscalls:sys_enter", lambda e: calls.add(by=e.comm))`
	case shell().MatchString(line):
		return "this is no shell: leave with Ctrl-D; help() tells what there is"
	}
	return ""
}

// fromBpftrace writes a clause of one simple action as a script.
func fromBpftrace(specs, filter, action string) string {
	words := func(s string) string {
		for _, w := range bpftraceWords {
			s = w.from().ReplaceAllString(s, w.to)
		}
		return s
	}
	if specs == "BEGIN" || specs == "END" {
		specs = strings.ToLower(specs)
	}
	spec := fmt.Sprintf("%q", specs)
	if parts := strings.Split(specs, ","); len(parts) > 1 {
		for i, p := range parts {
			parts[i] = fmt.Sprintf("%q", strings.TrimSpace(p))
		}
		spec = "[" + strings.Join(parts, ", ") + "]"
	}
	if filter != "" {
		filter = ", filter=lambda e: " + words(filter)
	}
	m := update().FindStringSubmatch(action)
	if m == nil {
		return fmt.Sprintf("probe(%s, handler%s), where handler is a function: def handler(e): ...", spec, filter)
	}
	name, key, fn, arg := m[1], m[2], m[3], m[4]
	if name == "" {
		name = "m"
	}
	if fn == "" {
		fn = "count"
	}
	construct := fn + "()"
	if fn == "lhist" {
		if v, rest, ok := strings.Cut(arg, ","); ok {
			construct, arg = "lhist("+strings.TrimSpace(rest)+")", v
		}
	}
	var args []string
	if arg != "" && fn != "count" {
		args = append(args, words(arg))
	}
	if key != "" {
		key = words(key)
		if strings.Contains(key, ",") {
			key = "(" + key + ")"
		}
		args = append(args, "by="+key)
	}
	return fmt.Sprintf("%s = %s; probe(%s, lambda e: %s.add(%s)%s)", name, construct, spec, name, strings.Join(args, ", "), filter)
}
