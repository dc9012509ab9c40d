// Package assert implements the assertions of tests of scripts: assert.eq() and the others. They
// exist only in files that `bpfrepl test` runs.
//
//	assert.go      the table of assertions, Failure
//	difference.go  where two values differ
package assert

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/diag"
)

// A Failure is the error of an assertion that does not hold. It ends the test: neither attempt()
// nor assert.fails() catches it.
type Failure struct {
	What    string // which assertion does not hold, on one line
	Details []Detail
}

// A Detail is a line of a failure, such as {"got", "1"}.
type Detail struct{ Label, Text string }

func (f *Failure) Error() string { return f.What }

// OneLine returns the failure with its details on one line.
func (f *Failure) OneLine() string {
	text := f.What
	for _, d := range f.Details {
		text += "; " + d.Label + ": " + d.Text
	}
	return text
}

// Lines returns the details, one line each, with their texts in one column.
func (f *Failure) Lines() (lines []string) {
	width := 0
	for _, d := range f.Details {
		if d.Label != firstDifference {
			width = max(width, len(d.Label))
		}
	}
	for _, d := range f.Details {
		lines = append(lines, fmt.Sprintf("%-*s %s", width+1, d.Label+":", d.Text))
	}
	return lines
}

// An Env is what assertions need of their session.
type Env struct {
	// Plain returns a snapshot of a live map, and any other value unchanged.
	Plain func(starlark.Value) starlark.Value
	// Repr formats a value as repr() does. The error, if any, is that of an interrupt.
	Repr func(starlark.Value) (string, error)
	// Caught returns the value that attempt() would have as its error, and false for an error that
	// nothing catches, such as Ctrl-C.
	Caught func(error) (starlark.Value, bool)
}

// A Row is one assertion.
type Row struct {
	Name, Sig, Doc, Example string

	call func(e *Env, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) error
	give func(e *Env, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error)
}

// Rows lists the assertions.
var Rows = []Row{
	{Name: "eq", Sig: `eq(got, want, message="")`, Doc: "the values are equal; a map is compared as its snapshot", Example: `assert.eq(bucket(20), "fast")`, call: eq},
	{Name: "ne", Sig: `ne(got, other, message="")`, Doc: "the values differ", Example: "assert.ne(p.name, \"\")", call: ne},
	{Name: "true", Sig: `true(x, message="")`, Doc: "x is true, or a value that if takes as true", Example: `assert.true("sh" in calls.snapshot())`, call: truth(true)},
	{Name: "false", Sig: `false(x, message="")`, Doc: "x is false, or a value that if takes as false", Example: "assert.false(errors())", call: truth(false)},
	{Name: "lt", Sig: `lt(got, limit, message="")`, Doc: "got is less than limit", Example: "assert.lt(p.stats().ns_per_hit, 1000)", call: lt},
	{Name: "contains", Sig: `contains(got, x, message="")`, Doc: "x is in a list, a tuple, a set, the keys of a dict or of a map, or the text of a string", Example: `assert.contains(calls, "sh")`, call: contains},
	{Name: "fails", Sig: `fails(fn, pattern="", message="")`, Doc: "a call of fn fails, with an error that the regular expression pattern matches; returns the error, as attempt() does", Example: `err = assert.fails(lambda: probe("tracepoint:no:such", handler), "no tracepoint")`, give: fails},
	{Name: "raises_compile", Sig: `raises_compile(fn, pattern="", message="")`, Doc: "like fails, for a call that fails because a handler does not compile", Example: `assert.raises_compile(lambda: probe("tracepoint:syscalls:sys_enter_read", lambda e: c.add(by=e.coom)), "no field coom")`, give: raisesCompile},
	{Name: "approx", Sig: `approx(got, want, rel=0.000001, abs=0, message="")`, Doc: "the numbers differ by at most rel times want, or by at most abs", Example: "assert.approx(calls.value, 1000, rel=0.05)", call: approx},
}

// New returns the value of the name assert.
func New(e *Env) *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "assert", Members: starlark.StringDict{}}
	for _, r := range Rows {
		m.Members[r.Name] = starlark.NewBuiltin("assert."+r.Name, func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			if r.give != nil {
				return r.give(e, t, b, args, kw)
			}
			return starlark.None, r.call(e, t, b, args, kw)
		})
	}
	return m
}

// longest is the number of bytes of a value that a failure shows.
const longest = 500

// show returns a value as a failure shows it, on one line.
func (e *Env) show(v starlark.Value) (string, error) {
	text, err := e.Repr(v)
	if err != nil {
		return "", err
	}
	text = strings.ReplaceAll(text, "\n", `\n`) // of values whose repr has several lines
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + fmt.Sprintf("... (%d bytes)", len(text))
	}
	return text, nil
}

// A detail is a line of a failure: a label and a value.
type detail struct {
	label string
	value starlark.Value
}

// failure returns the error of an assertion that does not hold.
func (e *Env) failure(b *starlark.Builtin, what, message string, details ...detail) error {
	f := &Failure{What: b.Name() + ": " + what}
	if message != "" {
		f.What += ": " + message
	}
	for _, d := range details {
		text, err := e.show(d.value)
		if err != nil {
			return err
		}
		f.Details = append(f.Details, Detail{d.label, text})
	}
	return f
}

func eq(e *Env, _ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) error {
	var got, want starlark.Value
	var message string
	if err := starlark.UnpackArgs(b.Name(), args, kw, "got", &got, "want", &want, "message?", &message); err != nil {
		return err
	}
	got, want = e.Plain(got), e.Plain(want)
	same, err := starlark.Equal(got, want)
	if err != nil || same {
		return err
	}
	err = e.failure(b, "the values differ", message, detail{"got", got}, detail{"want", want})
	var f *Failure
	if !errors.As(err, &f) {
		return err
	}
	const short = 60 // bytes; in shorter values people see the difference themselves
	if len(f.Details[0].Text) <= short && len(f.Details[1].Text) <= short {
		return f
	}
	text, err := e.difference(got, want)
	if err != nil {
		return err
	}
	if text != "" {
		f.Details = append(f.Details, Detail{firstDifference, text})
	}
	return f
}

func ne(e *Env, _ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) error {
	var got, other starlark.Value
	var message string
	if err := starlark.UnpackArgs(b.Name(), args, kw, "got", &got, "other", &other, "message?", &message); err != nil {
		return err
	}
	got, other = e.Plain(got), e.Plain(other)
	if same, err := starlark.Equal(got, other); err != nil || !same {
		return err
	}
	return e.failure(b, "the values are equal", message, detail{"both", got})
}

// truth returns assert.true or assert.false.
func truth(want bool) func(e *Env, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) error {
	return func(e *Env, _ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) error {
		var x starlark.Value
		var message string
		if err := starlark.UnpackArgs(b.Name(), args, kw, "x", &x, "message?", &message); err != nil {
			return err
		}
		x = e.Plain(x)
		if bool(x.Truth()) == want {
			return nil
		}
		return e.failure(b, fmt.Sprintf("the value is not %t", want), message, detail{"got", x})
	}
}

func lt(e *Env, _ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) error {
	var got, limit starlark.Value
	var message string
	if err := starlark.UnpackArgs(b.Name(), args, kw, "got", &got, "limit", &limit, "message?", &message); err != nil {
		return err
	}
	if less, err := starlark.Compare(syntax.LT, got, limit); err != nil || less {
		return err
	}
	return e.failure(b, "the value is not less than the limit", message, detail{"got", got}, detail{"limit", limit})
}

func contains(e *Env, _ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) error {
	var got, x starlark.Value
	var message string
	if err := starlark.UnpackArgs(b.Name(), args, kw, "got", &got, "x", &x, "message?", &message); err != nil {
		return err
	}
	got = e.Plain(got)
	in, err := starlark.Binary(syntax.IN, x, got)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Name(), err)
	}
	if in.Truth() {
		return nil
	}
	return e.failure(b, "the value is not there", message, detail{"got", got}, detail{"want", x})
}

// attempted calls fn, which has to fail with an error that pattern matches. It returns the error,
// and the value that describes it.
func (e *Env) attempted(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (err error, value starlark.Value, failed error) {
	var fn starlark.Callable
	var pattern, message string
	if err := starlark.UnpackArgs(b.Name(), args, kw, "fn", &fn, "pattern?", &pattern, "message?", &message); err != nil {
		return nil, nil, err
	}
	re, bad := regexp.Compile(pattern)
	if bad != nil {
		return nil, nil, fmt.Errorf("%s: pattern: %w", b.Name(), bad)
	}
	v, err := starlark.Call(t, fn, nil, nil)
	if err == nil {
		return nil, nil, e.failure(b, "the call did not fail", message, detail{"got", v})
	}
	value, ok := e.Caught(err)
	if !ok {
		return nil, nil, err
	}
	if !re.MatchString(err.Error()) {
		return nil, nil, e.failure(b, "the call failed with another error", message, detail{"got", starlark.String(err.Error())}, detail{"want", starlark.String(pattern)})
	}
	return err, value, nil
}

func fails(e *Env, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	_, value, failed := e.attempted(t, b, args, kw)
	return value, failed
}

func raisesCompile(e *Env, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	err, value, failed := e.attempted(t, b, args, kw)
	if failed != nil {
		return nil, failed
	}
	var list diag.List
	if !errors.As(err, &list) {
		return nil, e.failure(b, "the call failed, but not because a handler does not compile", "", detail{"got", starlark.String(err.Error())})
	}
	return value, nil
}

func approx(e *Env, _ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) error {
	var got, want, rel, abs starlark.Value = nil, nil, starlark.Float(1e-6), starlark.Float(0)
	var message string
	if err := starlark.UnpackArgs(b.Name(), args, kw, "got", &got, "want", &want, "rel?", &rel, "abs?", &abs, "message?", &message); err != nil {
		return err
	}
	var x [4]float64
	for i, v := range []starlark.Value{got, want, rel, abs} {
		f, ok := starlark.AsFloat(v)
		if !ok {
			return fmt.Errorf("%s: %s must be a number, got %s", b.Name(), []string{"got", "want", "rel", "abs"}[i], v.Type())
		}
		x[i] = f
	}
	within := math.Max(x[2]*math.Abs(x[1]), x[3])
	if x[0] == x[1] || math.Abs(x[0]-x[1]) <= within {
		return nil
	}
	return e.failure(b, fmt.Sprintf("the values differ by %g, allowed are %g", math.Abs(x[0]-x[1]), within), message, detail{"got", got}, detail{"want", want})
}
