package ctype

import (
	"strings"
)

// kindsOf returns the name without its keyword, and the kinds that the C name can refer to.
func kindsOf(name string) (bare string, kinds []uint32) {
	word, rest, ok := strings.Cut(name, " ")
	if ok {
		switch word {
		case "struct":
			return rest, []uint32{btfStruct}
		case "union":
			return rest, []uint32{btfUnion}
		case "enum":
			return rest, []uint32{btfEnum, btfEnum64}
		}
	}
	return name, []uint32{btfTypedef, btfInt}
}

// Lookup returns the type with a C name: "struct sock", "enum hrtimer_mode", "pid_t", "unsigned
// int".
func (t *Table) Lookup(name string) (*Type, bool) {
	bare, kinds := kindsOf(name)
	id, ok := t.find(bare, kinds...)
	if !ok {
		return nil, false
	}
	return t.get(id), true
}

// Names returns the names, in the form that Lookup takes, of all types with the same keyword as
// name.
func (t *Table) Names(name string) []string {
	bare, kinds := kindsOf(name)
	prefix := strings.TrimSuffix(name, bare)
	var out []string
	for id := range t.own() {
		h := t.headAt(int(t.offsets[id-t.first]))
		for _, k := range kinds {
			if h.kind() == k && h.name != 0 {
				out = append(out, prefix+t.str(h.name))
			}
		}
	}
	return out
}

// Enumerator returns the enumerator with the given name, of any enum, with its value.
func (t *Table) Enumerator(name string) (*Type, int64, bool) {
	for id := range t.own() {
		off := int(t.offsets[id-t.first])
		h := t.headAt(off)
		if k := h.kind(); k != btfEnum && k != btfEnum64 {
			continue
		}
		for e := range t.enumerators(h, t.types[off+headLen:]) {
			if t.is(e.name, name) {
				return t.get(id), e.n, true
			}
		}
	}
	return nil, 0, false
}
