package repl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// Magics are commands of the prompt itself: lines that begin with %.

type magic struct {
	name, args, doc string
	run             func(r *REPL, ctx context.Context, arg string) error
}

func magics(more []Command) []magic {
	all := []magic{
		{"run", "FILE", "run a script here, with the names of the session", (*REPL).magicRun},
		{"save", "FILE", "write the items that succeeded as a script", (*REPL).magicSave},
		{"edit", "[NAME]", "edit the last item, or the one that defines NAME, in $EDITOR", (*REPL).magicEdit},
		{"time", "ITEM", "run an item and print how long it took", (*REPL).magicTime},
		{"log", "on FILE | off", "log items and their output to a file", (*REPL).magicLog},
		{"history", "[TEXT]", "list the items of this session, or those that contain TEXT", (*REPL).magicHistory},
		{"help", "", "list these commands", (*REPL).magicHelp},
	}
	for _, c := range more {
		all = append(all, magic{c.Name, c.Args, c.Doc, func(r *REPL, ctx context.Context, arg string) error {
			text, err := c.Run(ctx, arg)
			if err == nil && text != "" {
				_, err = fmt.Fprintln(r.out, text)
			}
			return err
		}})
	}
	return all
}

// isMagic reports whether a line is a % command.
func isMagic(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "%") }

// magic executes a % command and reports whether it succeeded.
func (r *REPL) magic(ctx context.Context, line string) bool {
	name, arg, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "%"), " ")
	var names []string
	for _, m := range magics(r.opt.Commands) {
		if m.name == name {
			err := m.run(r, ctx, strings.TrimSpace(arg))
			if err != nil && !errors.Is(err, errFailed) {
				fmt.Fprintf(r.errw, "error: %%%s: %v\n", name, err)
			}
			return err == nil
		}
		names = append(names, m.name)
	}
	hint := "%help lists the commands"
	if near := suggest.Nearest(name, names, 1); len(near) > 0 {
		hint = "did you mean %" + near[0] + "?"
	}
	fmt.Fprintf(r.errw, "error: no command %%%s; %s\n", name, hint)
	return false
}

// errFailed is returned for an item that failed and has reported why.
var errFailed = errors.New("failed")

func (r *REPL) item(ctx context.Context, src string) error {
	if !r.exec(ctx, src) {
		return errFailed
	}
	return nil
}

func (r *REPL) magicHelp(context.Context, string) error {
	for _, m := range magics(r.opt.Commands) {
		fmt.Fprintf(r.out, "%%%-11s %-14s %s\n", m.name, m.args, m.doc)
	}
	return nil
}

func (r *REPL) magicRun(ctx context.Context, file string) error {
	if file == "" {
		return errors.New("missing file: write %run FILE")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	run := func(ctx context.Context, src string) (starlark.Value, error) {
		return r.opt.Interp.RunFile(ctx, file, src)
	}
	if !r.execBy(ctx, string(b), run) {
		return errFailed
	}
	return nil
}

func (r *REPL) magicHistory(_ context.Context, text string) error {
	for i, item := range r.typed[:len(r.typed)-1] { // without this command
		if strings.Contains(item, text) {
			if _, err := fmt.Fprintf(r.out, "%4d  %s\n", i+1, strings.ReplaceAll(item, "\n", "\n      ")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *REPL) magicTime(ctx context.Context, src string) error {
	if src == "" {
		return errors.New("missing item: write %time ITEM")
	}
	start := time.Now()
	err := r.item(ctx, src)
	fmt.Fprintf(r.out, "took %v\n", time.Since(start).Round(time.Microsecond))
	return err
}

// magicEdit runs the user's editor on an item of the session, and executes the result.
func (r *REPL) magicEdit(ctx context.Context, name string) (err error) {
	src := ""
	for _, s := range r.done {
		if name == "" || strings.Contains(s.src, "def "+name+"(") || strings.HasPrefix(s.src, name+" =") {
			src = s.src
		}
	}
	if src == "" && name != "" {
		return fmt.Errorf("no item in this session defines %s", name)
	}
	dir, err := os.MkdirTemp("", "bpfrepl")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "item.star")
	if err := os.WriteFile(file, []byte(src+"\n"), 0o600); err != nil {
		return err
	}
	program := "vi"
	for _, v := range []string{"EDITOR", "VISUAL"} {
		if e := os.Getenv(v); e != "" {
			program = e
		}
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", program+` "$1"`, program, file) // EDITOR may have arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.opt.In, r.opt.Out, r.opt.Err
	if e, ok := r.items.(*editor); ok {
		err = e.suspendWhile(cmd.Run)
	} else {
		err = cmd.Run()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := strings.TrimRight(string(b), "\n")
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if r.items != nil {
		r.items.Remember(text)
	}
	fmt.Fprintln(r.out, shown(text))
	return r.item(ctx, text)
}

// shown returns an item with its prompts.
func shown(item string) string {
	return prompt1 + strings.ReplaceAll(item, "\n", "\n"+prompt2)
}

func (r *REPL) magicLog(_ context.Context, arg string) error {
	verb, file, _ := strings.Cut(arg, " ")
	switch {
	case verb == "on" && file != "":
		if err := r.log.stop(); err != nil {
			return err
		}
		f, err := os.OpenFile(strings.TrimSpace(file), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		r.log.start(f)
		return nil
	case verb == "off" && file == "":
		return r.log.stop()
	}
	return errors.New("write %log on FILE or %log off")
}
