package modules

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// A reader reads the modules of a file, or all modules again.
type reader struct {
	*Loader
	stack []*module // the files that are being read, outermost first
	added []*module

	// What there was before, if all modules are read again.
	old      map[string]*module
	oldLoads map[string]map[string]*module
}

// main reads the modules that a script or an item of the prompt loads.
func (r *reader) main(f *syntax.File, dir string) error {
	m := &module{place: place{file: f.Path, dir: dir, id: realPath(f.Path)}, passed: map[string]string{}}
	r.ids[m.file], r.stack = m.id, []*module{m}
	return r.readLoads(m, f)
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
	if m := r.old[at.id]; m != nil {
		if ok, err := r.unchanged(m, src); ok {
			r.byID[m.id] = m
			return m, nil
		} else if err != nil {
			return nil, err
		}
	}
	if id, ok := r.ids[at.file]; ok && id != at.id {
		at.file = at.id // another file has this name in positions
	}
	m := &module{place: at, src: src, passed: map[string]string{}}
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

// cycle returns the error for a load of the file id, which is being read.
func (r *reader) cycle(id string, st *syntax.LoadStmt) error {
	first := slices.IndexFunc(r.stack, func(m *module) bool { return m.id == id })
	var b strings.Builder
	fmt.Fprintf(&b, "cannot load %q: ", st.ModuleName())
	for i, m := range r.stack[first:] {
		switch i {
		case 0:
			b.WriteString(m.file + " loads ")
		default:
			b.WriteString(m.file + ", which loads ")
		}
	}
	if len(r.stack) == first+1 {
		b.WriteString("itself")
	} else {
		b.WriteString(r.stack[first].file)
	}
	return &Error{Pos: st.Module.TokenPos, Msg: b.String(), Hint: "move what both need into a file that both load"}
}

// lacks returns an error if the module does not define a name that is loaded from it.
func (m *module) lacks(from *syntax.Ident) error {
	if slices.Contains(m.defines, from.Name) || strings.HasPrefix(from.Name, "_") { // the resolver reports names with _
		return nil
	}
	e := &Error{Pos: from.NamePos, Msg: fmt.Sprintf("%s does not define %s", m.file, from.Name)}
	near := suggest.Nearest(from.Name, m.defines, 1)
	switch other := m.passed[from.Name]; {
	case other != "":
		e.Hint = fmt.Sprintf("%s loads it from %q; load it from there", m.file, other)
	case near != nil:
		e.Hint = fmt.Sprintf("did you mean %s?", near[0])
	case len(m.defines) > 0:
		e.Hint = "it defines " + strings.Join(m.defines, ", ")
	}
	return e
}

// unchanged reports whether a module that was read before has the text src, and whether those that
// it loads are unchanged too. If so, it stays as it is.
func (r *reader) unchanged(m *module, src []byte) (bool, error) {
	if !bytes.Equal(m.src, src) {
		return false, nil
	}
	r.stack = append(r.stack, m)
	defer func() { r.stack = r.stack[:len(r.stack)-1] }()
	for _, st := range m.tree.Stmts {
		st, ok := st.(*syntax.LoadStmt)
		if !ok {
			continue
		}
		to, err := r.module(m, st)
		if err != nil {
			return false, &InModule{err, st.Module.TokenPos}
		}
		if to != r.oldLoads[m.file][st.ModuleName()] {
			return false, nil
		}
	}
	return true, nil
}
