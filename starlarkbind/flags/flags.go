// Package flags parses the command-line arguments of a script. A script defines its flags while it
// runs, so they are not known in advance: each definition looks up its value in the raw arguments,
// and unknown flags are reported at the end.
package flags

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// A UsageError reports a mistake on a script's command line.
type UsageError struct{ Msg string }

func (e *UsageError) Error() string { return e.Msg }

func usageError(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// A Set holds a script's arguments and the flags that it has defined so far.
type Set struct {
	args    []string
	used    []bool // the argument is a flag or the value of one
	defined []definition
}

type definition struct {
	name, help string
	def        starlark.Value
}

// New returns a Set for the arguments after the script's name. The argument "--" ends the flags.
func New(args []string) *Set { return &Set{args: args, used: make([]bool, len(args))} }

// Define defines a flag and returns its value: from the arguments, or else the default. The value
// has the type of the default: string, int, float, bool, or list of strings, for a flag that may be
// repeated. The error is a *UsageError if an argument is invalid.
func (s *Set) Define(name string, def starlark.Value, help string) (starlark.Value, error) {
	for _, d := range s.defined {
		if d.name == name {
			return nil, fmt.Errorf("flag: --%s is defined twice", name)
		}
	}
	s.defined = append(s.defined, definition{name, help, def})
	switch def.(type) {
	case starlark.String, starlark.Int, starlark.Float, starlark.Bool, *starlark.List:
	default:
		return nil, fmt.Errorf("flag: the default of --%s must be a string, int, float, bool or list, got %s", name, def.Type())
	}
	val := def
	var items []starlark.Value
	for i := 0; i < s.end(); i++ {
		given, text, hasText := match(s.args[i], name, def)
		if !given || s.used[i] {
			continue
		}
		s.used[i] = true
		if _, isBool := def.(starlark.Bool); !isBool && !hasText {
			if i+1 >= len(s.args) {
				return nil, usageError("flag --%s needs a value", name)
			}
			i++
			s.used[i] = true
			text = s.args[i]
		}
		v, err := parse(name, text, def)
		if err != nil {
			return nil, err
		}
		val = v
		items = append(items, v)
	}
	if _, ok := def.(*starlark.List); ok && items != nil {
		return starlark.NewList(items), nil
	}
	return val, nil
}

// end returns the index of "--", or the number of arguments if there is none.
func (s *Set) end() int {
	for i, a := range s.args {
		if a == "--" {
			return i
		}
	}
	return len(s.args)
}

// match reports whether an argument is the named flag, and returns the text of its value if that is
// part of the argument.
func match(arg, name string, def starlark.Value) (given bool, text string, hasText bool) {
	if v, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
		return true, v, true
	}
	if _, isBool := def.(starlark.Bool); isBool {
		switch arg {
		case "--" + name:
			return true, "true", true
		case "--no-" + name:
			return true, "false", true
		}
	}
	return arg == "--"+name, "", false
}

// parse converts the text of a value to the type of the default.
func parse(name, text string, def starlark.Value) (starlark.Value, error) {
	bad := func(want string) error { return usageError("flag --%s must be %s, got %q", name, want, text) }
	switch def.(type) {
	case starlark.Int:
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			return nil, bad("an int")
		}
		return starlark.MakeInt64(n), nil
	case starlark.Float:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, bad("a number")
		}
		return starlark.Float(x), nil
	case starlark.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, bad("true or false")
		}
		return starlark.Bool(b), nil
	}
	return starlark.String(text), nil
}

// Rest returns the arguments that do not belong to flags.
func (s *Set) Rest() []string {
	var out []string
	end := s.end()
	for i, a := range s.args {
		if i == end || s.used[i] || i < end && strings.HasPrefix(a, "--") {
			continue
		}
		out = append(out, a)
	}
	return out
}

// Check returns a *UsageError for an argument that is a flag not defined by the script.
func (s *Set) Check() error {
	var names []string
	for _, d := range s.defined {
		names = append(names, d.name)
	}
	return s.check(names)
}

// CheckBefore is like Check, but is called before the script runs. names are the flags that it is
// going to define.
func (s *Set) CheckBefore(names []string) error {
	// An argument after a flag may be that flag's value, so it is not checked yet.
	for i := range s.args[:s.end()] {
		if before := i - 1; before >= 0 && !s.used[before] && slices.Contains(names, strings.TrimPrefix(s.args[before], "--")) {
			s.used[i] = true
		}
	}
	err := s.check(names)
	clear(s.used)
	return err
}

func (s *Set) check(names []string) error {
	for i := 0; i < s.end(); i++ {
		a := s.args[i]
		if s.used[i] || !strings.HasPrefix(a, "--") {
			continue
		}
		name, _, _ := strings.Cut(a[2:], "=")
		if slices.Contains(names, name) || slices.Contains(names, strings.TrimPrefix(name, "no-")) {
			continue
		}
		hint := ""
		if near := suggest.Nearest(name, names, 1); len(near) > 0 {
			hint = fmt.Sprintf(" (did you mean --%s?)", near[0])
		}
		return usageError("unknown flag --%s%s", name, hint)
	}
	return nil
}

// Help reports whether the arguments include --help or -h.
func (s *Set) Help() bool {
	for _, a := range s.args[:s.end()] {
		if a == "--help" || a == "-h" {
			return true
		}
	}
	return false
}

// Usage returns a usage message with the flags defined so far.
func (s *Set) Usage(script string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: bpfrepl %s [flags] [args]\n", script)
	for _, d := range s.defined {
		fmt.Fprintf(&b, "  --%-16s %s (%s, default %s)\n", d.name, d.help, d.def.Type(), d.def.String())
	}
	return b.String()
}
