package starlarkbind

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// reserved lists member names that Starlark's syntax does not allow after a dot.
var reserved = map[string]bool{"and": true, "as": true, "assert": true, "break": true, "class": true, "continue": true, "def": true, "del": true, "elif": true,
	"else": true, "except": true, "finally": true, "for": true, "from": true, "global": true, "if": true, "import": true, "in": true, "is": true, "lambda": true,
	"load": true, "nonlocal": true, "not": true, "or": true, "pass": true, "raise": true, "return": true, "try": true, "while": true, "with": true, "yield": true}

// chain returns a random expression that starts at a struct and follows members, pointers and
// arrays to a value. It returns "" if the walk ends at something without a value.
func chain(r *rand.Rand, start string, t *ctype.Type) string {
	text := start
	for range 12 {
		switch t.Kind {
		case ctype.Struct, ctype.Union:
			names := t.MemberNames()
			if len(names) == 0 {
				return ""
			}
			name := names[r.Intn(len(names))]
			m, ok := t.Find(name)
			if !ok {
				return ""
			}
			if reserved[name] {
				text = fmt.Sprintf("getattr(%s, %q)", text, name)
			} else {
				text += "." + name
			}
			t = m.Type
		case ctype.Array:
			if t.Elem().Kind == ctype.Char {
				return text
			}
			if t.Elem().Size == 0 {
				return ""
			}
			i := "e.cpu"
			if r.Intn(2) == 0 || t.Len == 0 {
				i = fmt.Sprint(r.Intn(t.Len + 1))
				if t.Len > 0 {
					i = fmt.Sprint(r.Intn(t.Len))
				}
			}
			text += "[" + i + "]"
			t = t.Elem()
		case ctype.Pointer:
			to := t.Elem()
			if !to.IsRecord() || r.Intn(5) == 0 {
				return text
			}
			t = to
		case ctype.Other, ctype.Void:
			return ""
		default:
			return text
		}
	}
	if t.Kind == ctype.Pointer || t.Kind == ctype.Int {
		return text
	}
	return ""
}

// The verifier accepts every chain that a handler follows: random chains through the types of this
// kernel, read by plain loads where the compiler can.
func TestRandomChains(t *testing.T) {
	handlers := 30
	if testing.Short() {
		handlers = 8
	}
	l := newLive(t, nil)
	task, err := l.ktypes.Lookup("struct task_struct")
	if err != nil || task == nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewSource(1))
	plain := 0
	for n := range handlers {
		start := "e.args.prev"
		spec := "rawtracepoint:sched_switch"
		if n%2 == 1 {
			start, spec = "e.task", []string{"tracepoint:syscalls:sys_enter_getppid", "profile:hz:10", "tracepoint:sched:sched_switch"}[n%3]
		}
		var chains []string
		for len(chains) < 4 {
			if c := chain(r, start, task); c != "" && c != start {
				chains = append(chains, c)
			}
		}
		src := fmt.Sprintf("by%d = count()\np = probe(%q, lambda e: by%d.add(by=(%s)), attach=False)\nasm = p.asm()\n", n, spec, n, strings.Join(chains, ", "))
		if err := l.script(src); err != nil {
			t.Errorf("%s\n%s", src, l.FormatError(err))
			continue
		}
		asm := l.names.Globals["asm"].String()
		if n%2 == 0 && !strings.Contains(asm, "Tracing program") || n%2 == 1 && l.kernel.AtLeast(5, 11) && !strings.Contains(asm, "FnGetCurrentTaskBtf") {
			plain++
			t.Logf("read with helpers alone: %s", strings.Join(chains, ", "))
		}
	}
	if plain > handlers/10 {
		t.Errorf("%d of %d handlers were refused their plain loads", plain, handlers)
	}
}
