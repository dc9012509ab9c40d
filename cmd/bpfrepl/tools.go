package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/bpfrepl/bpfrepl/examples/tools"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// toolFlags lists bpfrepl's flags that may also follow the name of a tool.
var toolFlags = []string{"command", "exit-code-from-command", "pid", "check", "emit", "format", "output", "warnings", "no-warnings", "no-summary", "max-overhead", "unsafe", "verbose"}

// isTool reports whether the script on the command line is the name of a tool.
func isTool(script string) bool {
	_, err := tools.Source(script)
	return err == nil
}

// splitToolArgs splits the arguments after the name of a tool in flags of bpfrepl and arguments of
// the tool.
func splitToolArgs(f *pflag.FlagSet, args []string) (ours, theirs []string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return ours, append(theirs, args[i:]...)
		}
		var flag *pflag.Flag
		name, hasValue := "", false
		if long, ok := strings.CutPrefix(a, "--"); ok {
			name, _, hasValue = strings.Cut(long, "=")
			flag = f.Lookup(name)
		} else if len(a) > 1 && a[0] == '-' {
			flag, hasValue = f.ShorthandLookup(a[1:2]), len(a) > 2
		}
		if flag == nil || !slices.Contains(toolFlags, flag.Name) {
			theirs = append(theirs, a)
			continue
		}
		ours = append(ours, a)
		if flag.Value.Type() != "bool" && !hasValue && i+1 < len(args) {
			i++
			ours = append(ours, args[i])
		}
	}
	return ours, theirs
}

// nearTool returns "; did you mean NAME?" if the script on the command line may be a tool's name
// that was mistyped, or that of another project's tool whose work a tool does.
func nearTool(script string) string {
	if name, err := tools.Replacement(script); err == nil && name != "" {
		return fmt.Sprintf("; use the tool %s instead; bpfrepl tools lists all", name)
	}
	if near := suggest.Nearest(strings.TrimSuffix(script, tools.Ext), tools.Names(), 1); near != nil && !strings.Contains(script, "/") {
		return fmt.Sprintf("; did you mean the tool %s? bpfrepl tools lists all", near[0])
	}
	return ""
}

// toolUsage returns the help of a tool. flags is the usage of the flags that it defines.
func toolUsage(t tools.Tool, flags string) string {
	_, list, _ := strings.Cut(flags, "\n")
	return fmt.Sprintf(`%s.

usage: bpfrepl %s [flags]
%s
flags of bpfrepl, such as -p PID, -c CMD, -f json, -o FILE and --max-overhead PERCENT, may follow
the name too; bpfrepl --help lists them

kernels: %s
source: bpfrepl tools --show %s
`, t.Summary, t.Name, list, t.Kernels, t.Name)
}

const toolsHelp = `usage: bpfrepl tools                        list the tools
       bpfrepl tools --show NAME            print the source of a tool
       bpfrepl tools --copy DIR [NAMES]     write tools, by default all, to files in DIR
       bpfrepl NAME [flags]                 run a tool; bpfrepl NAME --help lists its flags
`

// runTools implements `bpfrepl tools` and returns the exit status.
func runTools(argv []string) int {
	f := pflag.NewFlagSet("bpfrepl tools", pflag.ContinueOnError)
	f.Usage = func() {}
	show := f.String("show", "", "")
	dir := f.String("copy", "", "")
	help := f.BoolP("help", "h", false, "")
	err := f.Parse(argv)
	switch {
	case err != nil:
	case *help:
		fmt.Print(toolsHelp)
	case f.Changed("show") && f.Changed("copy"):
		err = errors.New("--show and --copy cannot be combined")
	case f.Changed("show") && f.NArg() > 0:
		err = fmt.Errorf("--show takes one name, got also %q", f.Arg(0))
	case f.Changed("show"):
		var src []byte
		if src, err = toolSource(*show); err == nil {
			_, werr := os.Stdout.Write(src)
			return status(werr)
		}
	case f.Changed("copy"):
		names := f.Args()
		if len(names) == 0 {
			names = tools.Names()
		}
		for _, name := range names {
			if _, err = toolSource(name); err != nil {
				break
			}
		}
		if err == nil {
			return status(copyTools(*dir, names))
		}
	case f.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q; bpfrepl NAME runs a tool, bpfrepl tools --show NAME prints it", f.Arg(0))
	default:
		return status(listTools(os.Stdout))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bpfrepl tools: %v\nbpfrepl tools --help shows the usage\n", err)
		return exitUsage
	}
	return exitOK
}

// toolSource returns the text of a tool, or an error that names the one that was probably meant.
func toolSource(name string) ([]byte, error) {
	src, err := tools.Source(strings.TrimSuffix(name, tools.Ext))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("no tool %q%s", name, cmp.Or(nearTool(name), "; bpfrepl tools lists all"))
	}
	return src, err
}

// listTools prints the tools by subject.
func listTools(w io.Writer) error {
	all, err := tools.All()
	if err != nil {
		return err
	}
	var b strings.Builder
	for i, t := range all {
		if i == 0 || t.Subject != all[i-1].Subject {
			fmt.Fprintf(&b, "%s\n", t.Subject)
		}
		insteadOf := ""
		if len(t.InsteadOf) > 0 {
			insteadOf = " (instead of " + strings.Join(t.InsteadOf, ", ") + ")"
		}
		fmt.Fprintf(&b, "  %-15s %s%s\n", t.Name, t.Summary, insteadOf)
	}
	b.WriteString("bpfrepl NAME --help shows the flags of a tool, bpfrepl tools --show NAME its source\n")
	_, err = io.WriteString(w, b.String())
	return err
}

// copyTools writes the files of tools to a directory. It overwrites none.
func copyTools(dir string, names []string) error {
	for _, name := range names {
		src, err := toolSource(name)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, strings.TrimSuffix(name, tools.Ext)+tools.Ext)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o777)
		if err == nil {
			_, err = f.Write(src)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return fmt.Errorf("cannot copy the tool: %w", err)
		}
		fmt.Println(path)
	}
	return nil
}
