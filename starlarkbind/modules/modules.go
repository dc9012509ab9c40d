// Package modules implements load(): it finds the files that a script loads, parses and resolves
// all of them before the first runs, and runs each once per session, when it is first loaded.
//
// All files are read before anything runs for two reasons. Mistakes in them are reported at once,
// and decisions that depend on the whole text of a script (source.Files.Mentions, the types of
// maps) take its modules into account.
//
//	modules.go  the modules of a session, and their execution
//	reader.go   reading a file's modules
//	reload.go   reading them again
//	search.go   where files are searched, and which may be read
//	errors.go   errors
package modules

import (
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/starlarkbind/names"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// A Loader holds the modules of a session.
type Loader struct {
	sources *source.Files
	names   *names.Namespace
	search  search
	around  func(file string, run func() error) error

	byID map[string]*module
	// loads[file][name] is the module that load(name, ...) in file refers to.
	loads map[string]map[string]*module
	mains []*mainFile // in the order in which they ran
	// ids holds the file that each file name stands for in positions.
	ids map[string]string
}

// A module is a file that another file loads.
type module struct {
	place
	src     []byte
	tree    *syntax.File
	prog    *starlark.Program
	defines []string          // names that other files can load
	passed  map[string]string // names that it loads itself, and the modules these come from
	ran     bool
	globals starlark.StringDict // what it defines, once it ran
}

// A main file is a script, or an item of the prompt, that loads.
type mainFile struct {
	tree *syntax.File
	dir  string
	ran  map[string]bool // the modules whose loads have succeeded
}

// loaded returns a file with the loads that have succeeded and nothing else.
func (f *mainFile) loaded() *syntax.File {
	out := &syntax.File{Path: f.tree.Path, Options: f.tree.Options}
	for _, st := range f.tree.Stmts {
		if st, ok := st.(*syntax.LoadStmt); ok && f.ran[st.ModuleName()] {
			out.Stmts = append(out.Stmts, st)
		}
	}
	return out
}

// New returns a loader that searches in dirs after the folder of the file that loads. It runs the
// top level of each module through around, which gets the module's file name.
func New(sources *source.Files, names *names.Namespace, dirs []string, around func(file string, run func() error) error) *Loader {
	l := &Loader{sources: sources, names: names, search: search{dirs: dirs}, around: around, ids: map[string]string{}}
	for _, dir := range dirs {
		l.search.allow(dir)
	}
	l.Reset()
	return l
}

// Reset forgets all modules, so that they are read and run again when they are next loaded.
func (l *Loader) Reset() {
	l.byID, l.loads, l.mains = map[string]*module{}, map[string]map[string]*module{}, nil
}

// Prepare reads the modules that the file f loads, directly and indirectly. dir is the folder of
// the file: it is searched first, and files below it may be loaded.
func (l *Loader) Prepare(f *syntax.File, dir string) error {
	l.search.allow(dir)
	r := &reader{Loader: l}
	if err := r.main(f, dir); err != nil {
		for _, m := range r.added { // a later attempt reads them again
			delete(l.byID, m.id)
		}
		return err
	}
	if len(l.loads[f.Path]) > 0 {
		l.mains = append(l.mains, &mainFile{f, dir, map[string]bool{}})
	}
	return nil
}

// Trees returns the syntax trees of all modules.
func (l *Loader) Trees() []*syntax.File {
	var out []*syntax.File
	for _, m := range l.byID {
		out = append(out, m.tree)
	}
	return out
}

// Tree returns the tree of the file that load(name, ...) would load at the prompt. It resolves and
// runs nothing.
func (l *Loader) Tree(name string) (*syntax.File, error) {
	at, err := l.search.find(place{dir: "."}, name)
	if err != nil {
		return nil, plain(err)
	}
	src, err := at.read(name)
	if err != nil {
		return nil, plain(err)
	}
	return source.Parse(at.file, src)
}

// Complete returns the names of files for load() that begin with a prefix.
func (l *Loader) Complete(prefix string) []string { return l.search.complete(prefix) }

// Load implements the load function of a thread. Prepare has read the module.
func (l *Loader) Load(thread *starlark.Thread, name string) (starlark.StringDict, error) {
	top, ok := thread.DebugFrame(0).Callable().(*starlark.Function)
	if !ok {
		return nil, fmt.Errorf("%s cannot load", thread.DebugFrame(0).Callable().Name())
	}
	file := top.Position().Filename()
	l.names.SetGlobals(file, top.Globals)
	m := l.loads[file][name]
	if err := l.run(thread, m); err != nil {
		return nil, err
	}
	for _, f := range l.mains {
		if f.tree.Path == file {
			f.ran[name] = true
		}
	}
	return m.globals, nil
}

// run runs a module unless it has been run.
func (l *Loader) run(thread *starlark.Thread, m *module) error {
	if m.ran {
		return nil
	}
	var all starlark.StringDict
	err := l.around(m.file, func() (err error) {
		all, err = m.prog.Init(thread, l.names.Predeclared)
		return err
	})
	if err != nil {
		delete(l.byID, m.id) // a later attempt reads it again
		return &RunError{err}
	}
	l.names.SetGlobals(m.file, func() starlark.StringDict { return all })
	m.ran, m.globals = true, starlark.StringDict{}
	for _, name := range m.defines {
		if v, ok := all[name]; ok {
			m.globals[name] = v
		}
	}
	return nil
}
