package modules

import (
	"maps"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Reload reads the modules of the session again. It runs those whose text has changed, and those
// that load one of them, and binds the names that were loaded from them again, unless they have
// been assigned another value since. It returns the files of the modules that ran. If it returns an
// error, the old modules and names stay.
func (l *Loader) Reload(thread *starlark.Thread) (files []string, err error) {
	byID, loads := l.byID, maps.Clone(l.loads)
	defer func() {
		if err != nil {
			l.byID, l.loads = byID, loads
		}
	}()
	l.byID = map[string]*module{}
	r := &reader{Loader: l, old: byID, oldLoads: loads}
	for _, f := range l.mains {
		if err := r.main(f.loaded(), f.dir); err != nil {
			return nil, err
		}
	}
	bound := starlark.StringDict{}
	for _, f := range l.mains {
		for _, st := range f.loaded().Stmts {
			st := st.(*syntax.LoadStmt)
			was, now := loads[f.tree.Path][st.ModuleName()], l.loads[f.tree.Path][st.ModuleName()]
			if err := l.run(thread, now); err != nil {
				return nil, err
			}
			for i, from := range st.From {
				if name := st.To[i].Name; same(l.names.Globals[name], was.globals[from.Name]) {
					bound[name] = now.globals[from.Name]
				}
			}
		}
	}
	for name, v := range bound {
		l.names.Globals[name] = v
	}
	for _, m := range r.added {
		files = append(files, m.file)
	}
	slices.Sort(files)
	return files, nil
}

// same reports whether two values are the same object, or equal if they are immutable.
func same(a, b starlark.Value) bool {
	if ta, ok := a.(starlark.Tuple); ok { // Go cannot compare it
		tb, ok := b.(starlark.Tuple)
		return ok && slices.EqualFunc(ta, tb, same)
	}
	if _, ok := b.(starlark.Tuple); ok {
		return false
	}
	return a == b
}
