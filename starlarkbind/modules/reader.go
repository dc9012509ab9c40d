package modules

import (
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// A reader reads the modules of one file.
type reader struct {
	*Loader
	stack []*module // the files that are being read, outermost first
	added []*module
}

// readLoads reads the modules that m loads. f is the tree of m.
func (r *reader) readLoads(m *module, f *syntax.File) error {
	r.loads[m.file] = map[string]*module{}
	for _, st := range f.Stmts {
		st, ok := st.(*syntax.LoadStmt)
		if !ok {
			continue
		}
		to, err := r.module(m, st)
		if err != nil {
			return err
		}
		r.loads[m.file][st.ModuleName()] = to
		for i, from := range st.From {
			if err := to.lacks(from); err != nil {
				return err
			}
			m.passed[st.To[i].Name] = st.ModuleName()
			r.sources.AddLoad(source.Global{File: m.file, Name: st.To[i].Name}, source.Global{File: to.file, Name: from.Name})
		}
	}
	return nil
}

// module returns the module that a load statement of the file from refers to. It reads the module
// unless that has been done.
func (r *reader) module(from *module, st *syntax.LoadStmt) (*module, error) {
	at, err := r.search.find(from.place, st.ModuleName())
	if err != nil {
		return nil, errorAt(st.Module.TokenPos, err)
	}
	if slices.ContainsFunc(r.stack, func(m *module) bool { return m.id == at.id }) {
		return nil, r.cycle(at.id, st)
	}
	if m := r.byID[at.id]; m != nil {
		return m, nil
	}
	src, err := at.read(st.ModuleName())
	if err != nil {
		return nil, errorAt(st.Module.TokenPos, err)
	}
	if id, ok := r.ids[at.file]; ok && id != at.id {
		at.file = at.id // another file has this name in positions
	}
	m := &module{place: at, passed: map[string]string{}}
	r.byID[m.id], r.ids[m.file] = m, m.id
	r.stack, r.added = append(r.stack, m), append(r.added, m)
	r.names.AddModule(m.file)
	if err := r.read(m, src); err != nil {
		return nil, &InModule{err, st.Module.TokenPos}
	}
	r.stack = r.stack[:len(r.stack)-1]
	return m, nil
}

// read parses and resolves a module, and reads what it loads.
func (r *reader) read(m *module, src []byte) error {
	var err error
	if m.tree, err = source.Parse(m.file, src); err != nil {
		r.sources.Keep(m.file, src)
		return err
	}
	r.sources.Add(m.file, src, m.tree)
	if err := r.readLoads(m, m.tree); err != nil {
		return err
	}
	if m.prog, err = starlark.FileProgram(m.tree, r.names.Known); err != nil {
		return err
	}
	r.sources.Resolved(m.tree)
	if err := source.CheckFormats(m.tree); err != nil {
		return err
	}
	loaded := map[*syntax.Ident]bool{}
	for _, st := range m.tree.Stmts {
		if st, ok := st.(*syntax.LoadStmt); ok {
			for _, id := range st.To {
				loaded[id] = true
			}
		}
	}
	for _, b := range m.tree.Module.(*resolve.Module).Globals {
		if name := b.First.Name; !loaded[b.First] && !strings.HasPrefix(name, "_") {
			m.defines = append(m.defines, name)
		}
	}
	slices.Sort(m.defines)
	return nil
}
