// Package export implements the builtins that turn values into text, plots and files: to_csv(),
// plot(), flamegraph() and pprof(). Package files writes the files. How each format is encoded is
// in package flame, plot, pprof or render.
//
//	exporter.go    the Exporter and its options
//	csv.go         to_csv()
//	plot.go        plot()
//	flamegraph.go  flamegraph()
//	pprof.go       pprof()
package export

import (
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/files"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// An Exporter implements the builtins that turn values into plots, text and files.
type Exporter struct {
	Used bool // the script called to_csv() or to_json()

	run     *runner.Runner
	out     *terminal.Output
	symbols *codec.Symbols
	report  func(error)             // called for symbols that cannot be read
	screen  func() (cols, rows int) // terminal size; may be nil
	ascii   bool                    // draw with ASCII only
	files   *files.Files
}

// Options configure an Exporter.
type Options struct {
	Run     *runner.Runner
	Out     *terminal.Output
	Symbols *codec.Symbols
	Report  func(error)             // called for symbols that cannot be read
	Screen  func() (cols, rows int) // terminal size; may be nil
	ASCII   bool                    // draw with ASCII only
	Files   *files.Files
}

// New returns an Exporter.
func New(o Options) *Exporter {
	return &Exporter{run: o.Run, out: o.Out, symbols: o.Symbols, report: o.Report, screen: o.Screen, ascii: o.ASCII, files: o.Files}
}
