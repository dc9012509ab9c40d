// Command bpfrepl is an interactive prompt and a script runner for tracing Linux. Scripts are
// written in Starlark; their handlers are compiled to eBPF and run in the kernel.
//
//	main.go      flags, scripts, exit status
//	prompt.go    the prompt
//	testcmd.go   bpfrepl test; package scripttest runs the tests
//	tools.go     bpfrepl tools, and the tools by their names
//	info.go      --info, -l
//	timezone.go  the time zone of a static binary
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/bpfrepl/bpfrepl/examples/tools"
	"github.com/bpfrepl/bpfrepl/internal/paint"
	"github.com/bpfrepl/bpfrepl/internal/stall"
	"github.com/bpfrepl/bpfrepl/starlarkbind"
	"github.com/bpfrepl/bpfrepl/starlarkbind/flags"
	"github.com/bpfrepl/bpfrepl/starlarkbind/proc"
	"github.com/bpfrepl/bpfrepl/starlarkbind/warnings"
)

// version is set by the linker in releases.
var version = "0.1.0"

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1 // an error of the script or the kernel
	exitUsage = 2
)

// config is the parsed command line.
type config struct {
	code                              []string
	interactive, list, verbose, check bool
	info, version, help, noWarnings   bool
	allowRun, unsafe, noSummary       bool
	command, emit, warnings, format   string
	output                            string
	script                            string
	tool                              bool // script is the name of a tool
	pid                               int
	maxOverhead                       float64 // percent
	allowRead, allowWrite, loadDirs   []string
	limited                           bool // -p was given
	starts                            bool // -c was given
	commandStatus                     bool // --exit-code-from-command was given
	args                              []string
	out                               *os.File // the file of -o
}

func main() { os.Exit(run(os.Args[1:])) }

// subcommands are the words that, in front of all flags, are not scripts. A file of such a name is
// run with a path, as ./test.
var subcommands = map[string]func(argv []string) int{"test": runTests, "tools": runTools}

func run(argv []string) int {
	if len(argv) > 0 && subcommands[argv[0]] != nil {
		return subcommands[argv[0]](argv[1:])
	}
	c, flags, err := parse(argv)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bpfrepl: %v\nbpfrepl --help lists the flags\n", err)
		return exitUsage
	}
	switch {
	case c.help:
		fmt.Print(usage(flags))
		return exitOK
	case c.version:
		fmt.Println("bpfrepl", version)
		return exitOK
	case c.info:
		return status(printInfo(os.Stdout))
	case c.list:
		return status(list(os.Stdout, c.script, c.verbose))
	}
	if warning := setTimeZone(); warning != "" && c.warnings != "none" && !c.noWarnings {
		fmt.Fprintln(os.Stderr, "WARNING:", warning)
	}
	return execute(c)
}

func status(err error) int {
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return exitError
	}
	return exitOK
}

func parse(argv []string) (*config, *pflag.FlagSet, error) {
	c := &config{}
	f := pflag.NewFlagSet("bpfrepl", pflag.ContinueOnError)
	f.SetInterspersed(false) // arguments after the script belong to the script
	f.SortFlags = false
	f.Usage = func() {}
	f.StringArrayVarP(&c.code, "execute", "e", nil, "run `CODE`; may be repeated, one line each")
	f.BoolVarP(&c.interactive, "interactive", "i", false, "start the prompt after the script")
	f.BoolVarP(&c.list, "list", "l", false, "list the probes that match a PATTERN; with -v their arguments")
	f.StringVarP(&c.command, "command", "c", "", "start `CMD`, stopped until run(), which ends when it exits; limits probes as -p does")
	f.StringArrayVarP(&c.loadDirs, "load-dir", "I", nil, "search `DIR` for files that load() names, then $BPFREPL_PATH; may be repeated")
	f.BoolVar(&c.commandStatus, "exit-code-from-command", false, "exit with the status of the command of -c, unless the script fails or calls exit()")
	f.IntVarP(&c.pid, "pid", "p", 0, "limit probes to the process `PID` and its threads; run() ends when it exits")
	f.BoolVar(&c.check, "check", false, "compile and load the probes without attaching them")
	f.StringVar(&c.emit, "emit", "", "print each probe's program: `asm`")
	f.StringVarP(&c.format, "format", "f", "text", "`text`, or json for one JSON object per line")
	f.StringVarP(&c.output, "output", "o", "", "write output to `FILE`")
	f.StringVar(&c.warnings, "warnings", "default", "which helper errors to warn about: `LEVEL` is all, default or none")
	f.BoolVar(&c.noWarnings, "no-warnings", false, "the same as --warnings=none")
	f.BoolVar(&c.noSummary, "no-summary", false, "do not print, at the end, what a script counted but never read")
	f.BoolVar(&c.allowRun, "allow-run", false, "allow the script to start processes: spawn(), run_command()")
	f.StringArrayVar(&c.allowRead, "allow-read", nil, "allow the script to read files in `DIR` and below: read_file(), read_lines(); may be repeated")
	f.StringArrayVar(&c.allowWrite, "allow-write", nil, "allow the script to write files in `DIR` and below: write_file(), append_file(), flamegraph(), pprof(); may be repeated")
	f.BoolVar(&c.unsafe, "unsafe", false, "allow handlers to affect other processes: signal(), override(), deny(); allow probes that can harm programs")
	f.Float64Var(&c.maxOverhead, "max-overhead", 0, "detach the most expensive probe when all probes together take more than `PERCENT` of CPU time")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "print errors in full, with the verifier's log")
	f.BoolVar(&c.info, "info", false, "show what this kernel supports")
	f.BoolVar(&c.version, "version", false, "print the version")
	f.BoolVarP(&c.help, "help", "h", false, "print this help")
	given := map[string]bool{}
	set := func(flag *pflag.Flag, value string) error {
		if t := flag.Value.Type(); given[flag.Name] && t != "stringArray" && t != "bool" {
			return twice(flag)
		}
		given[flag.Name] = true
		return f.Set(flag.Name, value)
	}
	if err := f.ParseAll(argv, set); err != nil {
		return nil, nil, err
	}
	rest := f.Args()
	if c.list {
		if len(rest) > 1 {
			return nil, nil, errors.New("-l takes one pattern; quote it")
		}
		c.script = "*"
	}
	if len(rest) > 0 && len(c.code) == 0 {
		c.script, rest = rest[0], rest[1:]
		if c.tool = !c.list && isTool(c.script); c.tool {
			var ours []string
			ours, rest = splitToolArgs(f, rest)
			if err := f.ParseAll(ours, set); err != nil {
				return nil, nil, err
			}
		}
	}
	c.args = rest
	c.limited, c.starts = f.Changed("pid"), f.Changed("command")
	switch {
	case c.starts && c.limited:
		return nil, nil, errors.New("-c and -p cannot be combined: probes are limited to one process")
	case c.commandStatus && !c.starts:
		return nil, nil, errors.New("--exit-code-from-command needs -c: it is the exit status of that command")
	case c.commandStatus && (c.interactive || c.script == "" && len(c.code) == 0):
		return nil, nil, errors.New("--exit-code-from-command needs a script: the prompt has a status of its own")
	case slices.Contains(c.loadDirs, ""):
		return nil, nil, errNoLoadDir
	case c.emit != "" && c.emit != "asm":
		return nil, nil, fmt.Errorf("--emit supports only asm, got %q", c.emit)
	case f.Changed("max-overhead") && !(c.maxOverhead > 0 && c.maxOverhead <= 100):
		return nil, nil, fmt.Errorf("--max-overhead must be a percentage above 0 and at most 100, got %g", c.maxOverhead)
	case c.format != "text" && c.format != "json":
		return nil, nil, fmt.Errorf("--format must be text or json, got %q", c.format)
	case c.warnings != "all" && c.warnings != "default" && c.warnings != "none":
		return nil, nil, fmt.Errorf("--warnings must be all, default or none, got %q", c.warnings)
	}
	return c, f, cmp.Or(allowedDirs("--allow-read", c.allowRead), allowedDirs("--allow-write", c.allowWrite))
}

// allowedDirs returns an error if the name of a directory that a flag allows is empty, or that of
// a file. A directory that does not exist yet may be created later.
func allowedDirs(flag string, dirs []string) error {
	for _, dir := range dirs {
		if dir == "" {
			return fmt.Errorf("%s needs a directory, got an empty name; write %s . for the current one", flag, flag)
		}
		if st, err := os.Stat(dir); err == nil && !st.IsDir() {
			return fmt.Errorf("%s needs a directory, but %s is a file; write %s %s", flag, dir, flag, filepath.Dir(dir))
		}
	}
	return nil
}

// twice returns the error for a flag that takes one value and is given twice.
func twice(f *pflag.Flag) error {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand
	}
	if f.Name == "pid" || f.Name == "command" {
		return fmt.Errorf("%s is given twice: probes are limited to one process; leave it out and write filter=lambda e: e.pid in (A, B)", name)
	}
	return fmt.Errorf("%s is given twice", name)
}

func usage(f *pflag.FlagSet) string {
	return `usage: bpfrepl                          start the prompt
       bpfrepl [flags] SCRIPT [args]    run a script
       bpfrepl [flags] -e CODE [args]   run code
       bpfrepl -l [-v] [PATTERN]        list probes
       bpfrepl tools                    list the tools; bpfrepl tools --help says more
       bpfrepl NAME [flags]             run a tool
       bpfrepl test [flags] [FILES]     run the tests of scripts; bpfrepl test --help lists the flags

` + flagUsages(f)
}

// flagUsages is like pflag's FlagUsages, without "[=true|false]" after each boolean flag.
func flagUsages(f *pflag.FlagSet) string {
	var b strings.Builder
	f.VisitAll(func(fl *pflag.Flag) {
		short := "    "
		if fl.Shorthand != "" {
			short = "-" + fl.Shorthand + ", "
		}
		value, text := pflag.UnquoteUsage(fl)
		long := "--" + fl.Name
		if fl.Value.Type() != "bool" {
			long += " " + value
		}
		if fl.DefValue != "" && fl.Value.Type() == "string" {
			text += fmt.Sprintf(" (default %q)", fl.DefValue)
		}
		fmt.Fprintf(&b, "  %s%-20s %s\n", short, long, text)
	})
	return b.String()
}

// codeName is the script name for code given by -e.
const codeName = "<code>"

// source returns the script's name and text.
func (c *config) source() (name string, src []byte, err error) {
	if len(c.code) > 0 {
		return codeName, []byte(strings.Join(c.code, "\n") + "\n"), nil
	}
	if c.tool {
		src, err = tools.Source(c.script)
		return c.script + tools.Ext, src, err
	}
	src, err = os.ReadFile(c.script)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = nearTool(c.script)
			if subcommands[c.script] != nil {
				hint = fmt.Sprintf("; bpfrepl %s takes its flags after that word", c.script)
			}
		}
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", nil, fmt.Errorf("cannot read the script %s: %w%s", c.script, err, hint)
	}
	return c.script, src, nil
}

var errNoLoadDir = errors.New("-I needs a directory, got an empty name; write -I . for the current one")

// searched returns the folders in which load() searches: those of -I, and of $BPFREPL_PATH.
func searched(dirs []string) []string {
	path := filepath.SplitList(os.Getenv("BPFREPL_PATH"))
	return append(dirs, slices.DeleteFunc(path, func(dir string) bool { return dir == "" })...)
}

// screen returns the size of the terminal, or zeros if it is unknown.
func screen() (cols, rows int) {
	cols, rows, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0, 0
	}
	return cols, rows
}

// showsUnicode reports whether output may contain non-ASCII characters: the locale is UTF-8 and the
// terminal has the characters.
func showsUnicode() bool {
	if t := os.Getenv("TERM"); t == "dumb" || t == "linux" {
		return false
	}
	locale := strings.ToUpper(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")))
	return strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
}

func execute(c *config) int {
	interactive := len(c.code) == 0 && c.script == ""
	out := outputs{stall.New(os.Stdout), stall.New(os.Stderr)}
	opt := starlarkbind.Options{Stdout: out[0], Stderr: out[1], JSON: c.format == "json", Args: c.args, Interactive: interactive || c.interactive,
		Check: c.check, EmitAsm: c.emit != "", Verbose: c.verbose, AllowRun: c.allowRun, NoSummary: c.noSummary, AllowRead: c.allowRead, AllowWrite: c.allowWrite, LoadDirs: searched(c.loadDirs), Unsafe: c.unsafe, MaxOverhead: c.maxOverhead, ASCII: !showsUnicode(),
		Warnings: map[string]warnings.Level{"all": warnings.All, "default": warnings.Default, "none": warnings.None}[c.warnings]}
	if c.output == "" && term.IsTerminal(int(os.Stdout.Fd())) {
		opt.Screen = screen
	}
	opt.Colour = c.output == "" && paint.Wanted(os.Stdout)
	opt.ErrColour = paint.Wanted(os.Stderr)
	if c.noWarnings {
		opt.Warnings = warnings.None
	}
	if c.output != "" {
		f, err := os.OpenFile(c.output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return status(fmt.Errorf("cannot write the output: %w", err))
		}
		opt.Stdout = f
		c.out = f
	}
	if c.limited {
		if err := starlarkbind.CheckPID(c.pid); err != nil {
			return status(fmt.Errorf("-p: %w", err))
		}
		opt.PID = c.pid
	}
	if c.starts {
		words, err := split(c.command)
		if err == nil {
			opt.Command, err = proc.Start(words, os.Stdout, os.Stderr)
		}
		if err != nil {
			return status(fmt.Errorf("-c: %w", err))
		}
	}
	if c.tool {
		opt.AllowRead = append(opt.AllowRead, "/proc")
	}
	if interactive || c.interactive {
		return prompt(c, opt, out)
	}
	name, src, err := c.source()
	if err != nil {
		return status(err)
	}
	s, err := starlarkbind.New(opt)
	if err != nil {
		return status(err)
	}
	code := exitOK
	stop := onSignals(s, out)
	if err := s.ExecFile(context.Background(), name, src); err != nil {
		code = report(s, c, name, err)
	}
	exit, exits := s.Exit()
	if exits {
		code = exit
	}
	if c.commandStatus {
		if _, ended := opt.Command.ExitCode(); !ended {
			fmt.Fprintln(os.Stderr, "NOTE: the script ended before the -c command, which is killed: write run()")
		}
	}
	if err := s.Close(); err != nil && code == exitOK {
		code = exitError
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, stall.ErrStalled) {
			code = status(err)
		}
	}
	stop()
	if code == exitOK && !exits && c.commandStatus {
		code, _ = opt.Command.ExitCode() // it has ended: Close has killed it otherwise
	}
	return cmp.Or(code, c.closeOutput())
}

// closeOutput closes the file of -o and returns the exit status. A file system may report only on
// close that it could not store the data.
func (c *config) closeOutput() int {
	if c.out == nil {
		return exitOK
	}
	if err := c.out.Close(); err != nil {
		return status(fmt.Errorf("cannot write the output: %w", err))
	}
	return exitOK
}

// report prints the error that ended a script, and returns the exit status.
func report(s *starlarkbind.Session, c *config, name string, err error) int {
	switch {
	case errors.Is(err, starlarkbind.ErrHelp):
		text := s.Flags().Usage(name)
		if c.tool {
			t, err := tools.Describe(c.script)
			if err != nil {
				return status(err)
			}
			text = toolUsage(t, text)
		}
		fmt.Print(text)
		return exitOK
	case errors.Is(err, syscall.EPIPE), errors.Is(err, stall.ErrStalled):
		// The reader of our output is gone, or we have given up waiting for it.
		return exitError
	}
	var usage *flags.UsageError
	if errors.As(err, &usage) {
		fmt.Fprintf(os.Stderr, "error: %v\n", usage)
		if name != codeName {
			fmt.Fprintf(os.Stderr, "bpfrepl %s --help lists the flags\n", c.script)
		}
		return exitUsage
	}
	fmt.Fprintln(os.Stderr, s.FormatError(err))
	return exitError
}

// outputs are stdout and stderr.
type outputs [2]*stall.Writer

// How long a script that ends waits for the readers of its output.
const (
	stalledNote = 100 * time.Millisecond // after Ctrl-C, until a message says that it waits
	lastWait    = 30 * time.Millisecond  // after SIGTERM or the second Ctrl-C, until it stops waiting
)

// giveUp makes writes fail that wait for a reader that does not read.
func (o outputs) giveUp() {
	for _, w := range o {
		if err := w.GiveUp(lastWait); err != nil {
			return // closed already: nothing more is written
		}
	}
}

// onSignals makes Ctrl-C, SIGTERM and SIGHUP end the session in order. The first Ctrl-C waits for
// the reader of the recorded and counted data, as programs usually do; SIGTERM and the second
// Ctrl-C do not wait. The third signal gets the default action.
func onSignals(s *starlarkbind.Session, out outputs) (stop func()) {
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of the write
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, append(endings(), os.Interrupt)...)
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case sig := <-ch:
				s.Interrupt()
				if n >= 1 {
					signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
				}
				if n >= 1 || sig != os.Interrupt {
					out.giveUp()
				} else {
					time.AfterFunc(stalledNote, func() { noteStalled(out) })
				}
				if sig == os.Interrupt && term.IsTerminal(int(os.Stderr.Fd())) {
					fmt.Fprintln(os.Stderr) // after the ^C that the terminal echoes
				}
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(ch); close(done) }
}

// noteStalled explains, after Ctrl-C, why the program has not ended.
func noteStalled(out outputs) {
	if out[0].Stalled(stalledNote) {
		fmt.Fprintln(os.Stderr, "waiting for the output to be read; press Ctrl-C again to exit without waiting")
	}
}

// endings returns the signals that end the process in order. A SIGHUP that nohup made us ignore
// stays ignored.
func endings() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGTERM, syscall.SIGHUP}
}

// split splits a command like a shell does, but supports only blanks, quotes and backslashes.
func split(s string) ([]string, error) {
	var out []string
	var cur strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		ch := s[i]
		switch {
		case quote != 0:
			if ch == quote {
				quote = 0
			} else if ch == '\\' && quote == '"' && i+1 < len(s) {
				i++
				cur.WriteByte(s[i])
			} else {
				cur.WriteByte(ch)
			}
		case ch == '\'' || ch == '"':
			quote, in = ch, true
		case ch == '\\' && i+1 < len(s):
			i++
			cur.WriteByte(s[i])
			in = true
		case ch == ' ' || ch == '\t' || ch == '\n':
			if in {
				out = append(out, cur.String())
				cur.Reset()
				in = false
			}
		default:
			cur.WriteByte(ch)
			in = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the command %q has no closing %c", s, quote)
	}
	if in {
		out = append(out, cur.String())
	}
	if len(out) == 0 {
		return nil, errors.New("the command is empty")
	}
	return out, nil
}
