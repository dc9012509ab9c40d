package compiler

import "slices"

// tables has the rows of everything that a handler can call and read. The checker and the lowerer
// find in them what a name means; they know no row themselves.
type tables struct {
	list     []builtin
	builtins map[string]*builtin // list by name
	methods  []method
	fields   []eventField
}

// method returns the method of a kind of receiver, or nil.
func (t *tables) method(kind, name string) *method {
	i := slices.IndexFunc(t.methods, func(m method) bool { return m.recv == kind && m.name == name })
	if i < 0 {
		return nil
	}
	return &t.methods[i]
}

// field returns the builtin field of that name, which must exist.
func (t *tables) field(name string) *eventField {
	return &t.fields[slices.IndexFunc(t.fields, func(f eventField) bool { return f.name == name })]
}

var rows = newTables()

func newTables() tables {
	t := tables{
		list: slices.Concat(coreBuiltins(), timeBuiltins(), stackBuiltins(), symBuiltins(), netBuiltins(), nameBuiltins(),
			taskBuiltins(), ctypeBuiltins(), pathBuiltins()),
		builtins: map[string]*builtin{},
		methods:  methods(),
		fields:   eventFields(),
	}
	for i := range t.list {
		t.builtins[t.list[i].name] = &t.list[i]
	}
	return t
}
