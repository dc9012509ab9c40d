// Package hints says what to write instead of a line that is not Starlark. Users come from
// bpftrace, Python, C and the shell. A bpftrace clause is translated as a whole, anything else is
// looked up in the table of package wordlist.
package hints

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

var (
	// HEAD { ACTION }
	clause = lazyregexp.Regexp(`^\s*([^{]+?)\s*\{\s*(.*?)\s*;?\s*\}\s*$`)
	// SPEC[, SPEC...] /FILTER/: the filter follows a blank, except where no spec has a path
	pathSpecs = lazyregexp.Regexp(`^(` + oneSpec + `(?:\s*,\s*` + oneSpec + `)*)(?:\s+/(.*)/)?$`)
	plain     = lazyregexp.Regexp(`^([A-Za-z]+(?::[^\s/{,]+)?)\s*/(.*)/$`)
	// @NAME[KEY] = FUNCTION(ARGUMENT), @NAME[KEY]++
	update    = lazyregexp.Regexp(`^@(\w*)(?:\[(.*)\])?\s*(?:=\s*(count|sum|avg|min|max|stats|hist|lhist)\((.*)\)|\+\+)$`)
	printCall = lazyregexp.Regexp(`^printf\((.*)\)$`)
	shell     = lazyregexp.Regexp(`^\s*(sudo|bpftrace|ls|cd|cat|ps|top|vi|vim|man|apt|dnf|bash|clear|pwd|grep)\b(\s|$)`)

	stackDepth = lazyregexp.Regexp(`\b([ku]stack)\((?:\w+\s*,\s*)?(\d+)\)`)
	stackMode  = lazyregexp.Regexp(`\b([ku]stack)\([a-z]*\)`)
	identifier = lazyregexp.Regexp(`[A-Za-z_]\w*`)
	negation   = lazyregexp.Regexp(`!([^=])`)
)

const oneSpec = `(?:BEGIN|END|[A-Za-z]+:[^\s{,]+)`

// Bpftrace returns a hint for a line written in another language, or "".
func Bpftrace(line string) string {
	if m := clause().FindStringSubmatch(line); m != nil {
		if specs, filter, ok := clauseHead(m[1]); ok {
			return "this is bpftrace syntax; in bpfrepl, write " + fromBpftrace(specs, filter, m[2])
		}
	}
	if shell().MatchString(line) {
		return "this is not a shell; Ctrl-D exits, help() lists what is available"
	}
	return ""
}

// clauseHead splits the text before the braces of a clause into its specs and its filter.
func clauseHead(head string) (specs, filter string, ok bool) {
	for _, form := range []func() *regexp.Regexp{plain, pathSpecs} {
		if m := form().FindStringSubmatch(head); m != nil {
			return m[1], m[2], true
		}
	}
	return "", "", false
}

// fromBpftrace translates a clause with one simple action to a line of Starlark.
func fromBpftrace(specs, filter, action string) string {
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
		filter = ", filter=lambda e: " + translate(filter)
	}
	if m := printCall().FindStringSubmatch(action); m != nil && !strings.Contains(action, ";") {
		return fmt.Sprintf("probe(%s, lambda e: printf(%s)%s)", spec, translate(m[1]), filter)
	}
	m := update().FindStringSubmatch(action)
	if m == nil || strings.Contains(action, ";") {
		return fmt.Sprintf("probe(%s, lambda e: print(e.comm)%s), with a function of your own", spec, filter)
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
		args = append(args, translate(arg))
	}
	if key != "" {
		key = translate(key)
		if strings.Contains(key, ",") && !strings.HasSuffix(key, ")") || strings.Count(key, ",") > strings.Count(key, "(") {
			key = "(" + key + ")"
		}
		args = append(args, "by="+key)
	}
	return fmt.Sprintf("%s = %s; probe(%s, lambda e: %s.add(%s)%s)", name, construct, spec, name, strings.Join(args, ", "), filter)
}

// translate translates an expression from bpftrace to Starlark. String literals are unchanged.
func translate(s string) string {
	parts := strings.Split(s, `"`)
	for i := 0; i < len(parts); i += 2 {
		parts[i] = translateCode(parts[i])
	}
	return strings.Join(parts, `"`)
}

func translateCode(s string) string {
	s = stackDepth().ReplaceAllString(s, "${1}(${2})")
	s = stackMode().ReplaceAllString(s, "${1}")
	s = strings.NewReplacer("->", ".", "&&", "and", "||", "or").Replace(s)
	s = negation().ReplaceAllString(s, "not ${1}")
	var b strings.Builder
	end := 0
	for _, at := range identifier().FindAllStringIndex(s, -1) {
		id := s[at[0]:at[1]]
		b.WriteString(s[end:at[0]])
		end = at[1]
		member := at[0] > 0 && (s[at[0]-1] == '.' || s[at[0]-1] >= '0' && s[at[0]-1] <= '9')
		call := strings.HasPrefix(s[at[1]:], "(")
		switch w := wordlist.Name(id); {
		case member || call:
			b.WriteString(id)
		case id == "args":
			b.WriteString("e.args")
		case w != nil && w.From == wordlist.Bpftrace && w.Wrong == "" && w.Code != "":
			b.WriteString(w.Code)
		default:
			b.WriteString(id)
		}
	}
	return b.String() + s[end:]
}
