package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.starlark.net/syntax"
)

// An executed is an item that succeeded.
type executed struct {
	src   string
	shown bool // it had a value, and the prompt printed it
}

// script returns a session as a script. The script has to print explicitly what the prompt prints
// by itself. It also has to wait: at the prompt, probes run until the session ends. Unless the
// session called run() itself, script inserts run() after all items that define names and create
// probes, and before all items that look at results.
func script(steps []executed) string {
	c := callers{"run": waits, "watch": waits, "probe": traces, "each": traces, "every": traces, "help": helps}
	kinds := make([]effect, len(steps))
	all, last := effect(0), -1
	for i, s := range steps {
		kinds[i] = c.effects(s.src)
		all |= kinds[i]
		if kinds[i]&traces != 0 {
			last = i
		}
	}
	var before, after []string
	for i, s := range steps {
		text := s.src
		switch {
		case s.shown && recalled(steps, kinds, i):
			text = "_ = " + text + "\nprint(_)"
		case s.shown && strings.Contains(text, "#"):
			text = "print(" + text + "\n)"
		case s.shown:
			text = "print(" + text + ")"
		}
		switch {
		case kinds[i]&helps != 0:
		case all&waits != 0 || last < 0 || i <= last && kinds[i]&(defines|traces) != 0:
			before = append(before, text)
		default:
			after = append(after, text)
		}
	}
	if all&waits == 0 && last >= 0 {
		before = append(before, "run()  # until Ctrl-C")
	}
	return strings.Join(append(before, after...), "\n") + "\n"
}

// recalled reports whether a later step reads the value of step i as _.
func recalled(steps []executed, kinds []effect, i int) bool {
	for j := i + 1; j < len(steps); j++ {
		if kinds[j]&recalls != 0 || steps[j].shown {
			return kinds[j]&recalls != 0
		}
	}
	return false
}

// An effect is what an item does, as far as it matters to a script.
type effect int

const (
	defines effect = 1 << iota // only defines names
	traces                     // creates a probe or a callback
	waits                      // calls run()
	helps                      // calls help()
	recalls                    // reads _
)

// callers maps a function to the effect of calling it. It contains builtins and the functions that
// the session has defined so far.
type callers map[string]effect

func (c callers) effects(src string) effect {
	f, err := (&syntax.FileOptions{While: true, TopLevelControl: true, GlobalReassign: true, Set: true}).Parse("item", src, 0)
	if err != nil {
		return 0
	}
	all, only := effect(0), defines
	for _, st := range f.Stmts {
		e := c.called(st)
		switch st := st.(type) {
		case *syntax.DefStmt:
			c[st.Name.Name] = e
		case *syntax.AssignStmt, *syntax.LoadStmt:
		default:
			only = 0
		}
		all |= e
	}
	if all&recalls != 0 {
		only = 0
	}
	return all | only
}

// called returns the combined effects of the calls in a statement.
func (c callers) called(st syntax.Stmt) (all effect) {
	syntax.Walk(st, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			switch fn := n.Fn.(type) {
			case *syntax.Ident:
				all |= c[fn.Name]
			case *syntax.DotExpr:
				all |= c[fn.Name.Name] & traces // s.each()
			}
		case *syntax.Ident:
			if n.Name == "_" {
				all |= recalls
			}
		}
		return true
	})
	return all
}

func (r *REPL) magicSave(_ context.Context, file string) error {
	if file == "" {
		return errors.New("missing file: write %save FILE")
	}
	if len(r.done) == 0 {
		return errors.New("nothing to save yet")
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s already exists; choose another name", file)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, script(r.done))
	if err = errors.Join(err, f.Close()); err == nil {
		items := "1 item"
		if n := len(r.done); n != 1 {
			items = fmt.Sprintf("%d items", n)
		}
		fmt.Fprintf(r.out, "%s in %s\n", items, file)
	}
	return err
}
