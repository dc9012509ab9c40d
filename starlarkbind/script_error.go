package starlarkbind

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/kmap"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/internal/paint"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/assert"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hints"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hostrun"
	"github.com/bpfrepl/bpfrepl/starlarkbind/modules"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
)

// A ScriptError is an error that stops a script unless attempt() catches it.
type ScriptError struct {
	Kind    string // "compile", "verifier", "attach", "privilege", "map", "probe", "error"
	Message string
	Hint    string
	Pos     string
	Source  string
	Log     string
	List    diag.List // kind "compile": all errors in the handler
	Err     error
}

func (e *ScriptError) Error() string { return e.Err.Error() }
func (e *ScriptError) Unwrap() error { return e.Err }

// scriptError converts an error to a ScriptError of the matching kind. It returns nil for nil.
func scriptError(err error) error {
	if err == nil {
		return nil
	}
	var already *ScriptError
	if errors.As(err, &already) {
		return err
	}
	e := &ScriptError{Kind: "error", Message: err.Error(), Err: err}
	var (
		list      diag.List
		refusal   *bpf.VerifierError
		load      *bpf.LoadError
		attach    *bpf.AttachError
		privilege *sys.PrivilegeError
		mount     *sys.MountError
		mapErr    *kmap.Error
		notFound  *kinds.NotFoundError
		spec      *kinds.SpecError
		rng       *kinds.RangeError
	)
	switch {
	case errors.As(err, &list) && len(list) > 0:
		d := list[0]
		e.Kind, e.Message, e.Hint, e.Pos, e.Source = "compile", d.Msg, d.Hint, d.Pos.String(), strings.TrimSpace(d.Line)
		e.List = list
	case errors.As(err, &refusal):
		e.Kind, e.Message = "verifier", refusal.Reason
		e.Pos, e.Source, _ = strings.Cut(refusal.Source, ": ")
		if refusal.TooComplex() {
			e.Message, e.Hint = refusal.Error(), "split it, or test less"
			break
		}
		e.Hint = "this is a bug in bpfrepl's compiler: please report it, with the output of --verbose"
		e.Log = strings.Join(refusal.Log, "\n")
	case errors.As(err, &privilege):
		e.Kind, e.Message = "privilege", privilege.Error()
		e.Hint = "run it with sudo"
	case errors.As(err, &mount):
		e.Kind, e.Message = "privilege", mount.Error()
	case errors.As(err, &attach):
		e.Kind, e.Message, e.Hint = "attach", attach.Error(), attach.Hint
	case errors.As(err, &load):
		e.Kind = "attach"
	case errors.As(err, &mapErr):
		e.Kind, e.Message, e.Hint = "map", mapErr.Error(), mapErr.Hint
	case errors.As(err, &notFound):
		e.Kind, e.Hint = "probe", notFound.Hint
		if len(notFound.Suggestions) > 0 {
			e.Hint = fmt.Sprintf("did you mean %q?", notFound.Suggestions[0])
		}
	case errors.As(err, &spec), errors.As(err, &rng):
		e.Kind = "probe"
	}
	e.Message = strings.TrimSuffix(e.Message, "; "+e.Hint) // the hint has a field of its own
	return e
}

// value returns the error as the struct that scripts see.
func (e *ScriptError) value() starlark.Value {
	str := func(name, s string) structs.Field { return structs.Field{Name: name, Value: starlark.String(s)} }
	all := make([]starlark.Value, len(e.List))
	for i, d := range e.List {
		var also starlark.Value = starlark.None
		if p := d.Also; p.Pos.IsValid() {
			also = structs.New("place", str("label", p.Label), str("pos", p.Pos.String()), str("source", strings.TrimSpace(p.Line)))
		}
		all[i] = structs.New("diagnostic", str("message", d.Msg), str("hint", d.Hint), str("pos", d.Pos.String()), str("source", strings.TrimSpace(d.Line)), structs.Field{Name: "also", Value: also})
	}
	return structs.New("error", str("kind", e.Kind), str("message", e.Message), str("hint", e.Hint), str("pos", e.Pos), str("source", e.Source),
		structs.Field{Name: "diagnostics", Value: starlark.NewList(all)}, str("log", e.Log))
}

// ErrHelp ends a script whose arguments ask for help.
var ErrHelp = errors.New("help")

// builtinAttempt implements attempt(fn) -> struct(ok, value, error).
func (s *Session) builtinAttempt(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var fn starlark.Callable
	if err := starlark.UnpackArgs("attempt", args, kw, "fn", &fn); err != nil {
		return nil, err
	}
	var value, failure starlark.Value = starlark.None, starlark.None
	v, err := starlark.Call(thread, fn, nil, nil)
	if err == nil {
		value = v
	} else {
		var ok bool
		if failure, ok = s.caught(err); !ok {
			return nil, err
		}
	}
	return structs.New("attempt", structs.Field{Name: "ok", Value: starlark.Bool(err == nil)}, structs.Field{Name: "value", Value: value}, structs.Field{Name: "error", Value: failure}), nil
}

// caught returns an error as the struct that scripts see. It returns false for what is not an error
// to handle: an interrupt, stop(), --help, an assertion that does not hold.
func (s *Session) caught(err error) (starlark.Value, bool) {
	var failed *assert.Failure
	if errors.Is(err, runner.ErrStop) || errors.Is(err, ErrHelp) || errors.As(err, &failed) || s.run.Context().Err() != nil {
		return nil, false
	}
	return s.Describe(err).value(), true
}

// Describe returns an error of the script with its kind, its message and its place.
func (s *Session) Describe(err error) *ScriptError {
	var se *ScriptError
	errors.As(scriptError(err), &se)
	var failed *assert.Failure
	if errors.As(err, &failed) {
		se.Message = failed.OneLine()
	}
	var pos syntax.Position
	var syn syntax.Error
	var names resolve.ErrorList
	switch frames := s.frames(err); {
	case se.Pos != "":
		return se
	case errors.As(err, &syn): // before the frames: the text may be that of expression()
		se.Message, pos = syn.Msg, s.endOfLine(syn)
	case errors.As(err, &names):
		se.Message, pos = names[0].Msg, names[0].Pos
	case len(frames) > 0:
		pos = frames.At(0).Pos
	default:
		return se
	}
	se.Pos, se.Source = pos.String(), s.sources.Trimmed(pos)
	return se
}

// FormatError formats an error for the terminal: the position, the source line with a caret, the
// hint, and a Starlark backtrace if there is more than one frame.
func (s *Session) FormatError(err error) string {
	text := s.warner.FitCarets(render.Escape(s.formatError(err)))
	if s.opt.ErrColour {
		text = paint.Message(text)
	}
	return text
}

func (s *Session) formatError(err error) string {
	if errors.Is(err, runner.ErrInterrupted) {
		return err.Error() // Ctrl-C is not a mistake in the script
	}
	err = modules.Cause(err)
	var inner *modules.InModule
	if errors.As(err, &inner) {
		return s.formatError(inner.Err) + "\n  loaded from " + s.quoted(inner.Loaded)
	}
	var noLoad *modules.Error
	if errors.As(err, &noLoad) {
		text := s.located(noLoad.Pos, noLoad.Msg)
		if noLoad.Hint != "" {
			text += "\n    hint: " + noLoad.Hint
		}
		return text
	}
	var se *ScriptError
	isScript := errors.As(err, &se)
	if isScript {
		var list diag.List
		if errors.As(err, &list) {
			return "error: " + list.Error()
		}
	}
	var syn syntax.Error
	if errors.As(err, &syn) {
		text, pos := s.at(s.endOfLine(syn), syn.Msg), syn.Pos
		if w := wordlist.Line(s.sources.Line(s.endOfLine(syn))); w != nil && hints.Bpftrace(s.sources.Line(pos)) == "" {
			text += "\n    hint: " + w.Hint()
		}
		return text
	}
	var b strings.Builder
	var names resolve.ErrorList
	if errors.As(err, &names) {
		var texts []string
		for _, e := range names {
			texts = append(texts, s.undefined(e))
		}
		return strings.Join(texts, "\n")
	}
	var ee *starlark.EvalError
	if frames := s.frames(err); len(frames) > 0 && errors.As(err, &ee) {
		b.WriteString(s.located(frames.At(0).Pos, ee.Msg))
		var failed *assert.Failure
		if errors.As(err, &failed) {
			for _, line := range failed.Lines() {
				b.WriteString("\n    " + line)
			}
		}
		for i := 1; i < len(frames); i++ {
			if pos := frames.At(i).Pos; pos.Filename() != "<builtin>" { // else the next line shows the call
				b.WriteString("\n  called from " + s.quoted(pos))
			}
		}
		if w := wordlist.Message(ee.Msg); w != nil {
			b.WriteString("\n    hint: " + w.Hint())
		}
	}
	if b.Len() == 0 {
		b.WriteString("error: " + err.Error())
	}
	if isScript && se.Kind == "verifier" {
		fmt.Fprintf(&b, "\n    hint: %s", se.Hint)
		if s.opt.Verbose {
			b.WriteString("\n" + se.Log)
		}
	}
	if (errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)) && !strings.Contains(b.String(), "ulimit -n") {
		b.WriteString("\n    hint: raise the limit of open files (ulimit -n)")
	}
	return b.String()
}

// undefined formats an error of the resolver.
func (s *Session) undefined(e resolve.Error) string {
	name, ok := strings.CutPrefix(e.Msg, "undefined: ")
	if !ok {
		return s.at(e.Pos, e.Msg)
	}
	name, _, _ = strings.Cut(name, " ") // drop the resolver's own suggestion
	text := s.at(e.Pos, "undefined: "+name)
	if name == "load" { // source.Parse takes it for a name unless it is a load statement
		return s.at(e.Pos, "load needs a file and at least one name") + "\n    hint: write load(\"lib.star\", \"f\"), in a line of its own"
	}
	if hints.Bpftrace(s.sources.Line(e.Pos)) != "" {
		return text // at has already added a hint
	}
	if w := wordlist.Name(name); w != nil {
		return text + "\n    hint: " + w.Hint()
	}
	if near := suggest.Nearest(name, s.names.Visible(e.Pos.Filename()), 1); len(near) > 0 {
		text += fmt.Sprintf("\n    hint: did you mean %s?", near[0])
	}
	return text
}

// frames returns the call stack of an error, starting at the script's innermost frame.
func (s *Session) frames(err error) starlark.CallStack {
	var ee *starlark.EvalError
	if !errors.As(err, &ee) {
		return nil
	}
	frames := hostrun.WithoutOriginals(ee.CallStack)
	for len(frames) > 0 && frames.At(0).Pos.Filename() == "<builtin>" {
		frames.Pop()
	}
	return frames
}

// endOfLine returns the end of a line that ends too early, where the parser reports the start of
// the next line. It returns the position of any other error unchanged.
func (s *Session) endOfLine(e syntax.Error) syntax.Position {
	pos := e.Pos
	if strings.HasPrefix(e.Msg, "got newline") && pos.Col == 1 && pos.Line > 1 {
		pos.Line--
		pos.Col = int32(len([]rune(s.sources.Line(pos)))) + 1
	}
	return pos
}

// located formats an error with its source line and a caret.
func (s *Session) located(pos syntax.Position, msg string) string {
	return fmt.Sprintf("error: %s: %s%s", pos, msg, diag.Caret(s.sources.Line(pos), int(pos.Col)))
}

// quoted returns a position with its source line.
func (s *Session) quoted(pos syntax.Position) string {
	if l := s.sources.Trimmed(pos); l != "" {
		return fmt.Sprintf("%s: %s", pos, l)
	}
	return pos.String()
}

// at is located for a line that is not valid Starlark: it adds a hint if the line looks like
// another language.
func (s *Session) at(pos syntax.Position, msg string) string {
	text := s.located(pos, msg)
	if hint := hints.Bpftrace(s.sources.Line(pos)); hint != "" {
		text += "\n    hint: " + hint
	}
	return text
}
