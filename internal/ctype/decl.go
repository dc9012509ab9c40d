package ctype

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// declKinds holds the kinds of types that have a declaration of their own, by keyword.
var declKinds = map[string][]uint32{"struct": {btfStruct}, "union": {btfUnion}, "enum": {btfEnum, btfEnum64}, "typedef": {btfTypedef}}

// Declarations returns the C declarations of the types with the given keyword (struct, union, enum
// or typedef) and name. There may be several, as files of the kernel can declare different types of
// one name. Each member of a struct is followed by its offset in bytes.
func (t *Table) Declarations(keyword, name string) []string {
	var out []string
	for id := range t.named(name, declKinds[keyword]...) {
		if d := t.declaration(id); !slices.Contains(out, d) { // BTF contains some types twice
			out = append(out, d)
		}
	}
	return out
}

// Declared returns the names of all types with the given keyword, without the keyword.
func (t *Table) Declared(keyword string) []string {
	var out []string
	for id := range t.own() {
		if h, _ := t.head(id); h.name != 0 && slices.Contains(declKinds[keyword], h.kind()) {
			out = append(out, t.str(h.name))
		}
	}
	return out
}

// declaration returns the full declaration of a type.
func (t *Table) declaration(id uint32) string {
	var b strings.Builder
	h, data := t.head(id)
	name := t.str(h.name)
	switch h.kind() {
	case btfStruct, btfUnion:
		t.declareMembers(&b, t.recordWord(h)+" "+name, id, 0, "", 0)
		fmt.Fprintf(&b, "; /* %d bytes */\n", h.size)
	case btfEnum, btfEnum64:
		fmt.Fprintf(&b, "enum %s {\n", name)
		for e := range t.enumerators(h, data) {
			if h.flag() {
				fmt.Fprintf(&b, "\t%s = %d,\n", t.str(e.name), e.n)
			} else {
				fmt.Fprintf(&b, "\t%s = %d,\n", t.str(e.name), uint64(e.n))
			}
		}
		fmt.Fprintf(&b, "}; /* %d bytes */\n", h.size)
	case btfTypedef:
		if word, ok := t.unnamedRecord(h.size); ok {
			t.declareMembers(&b, "typedef "+word, h.size, 0, "", 0)
			fmt.Fprintf(&b, " %s;\n", name)
		} else {
			fmt.Fprintf(&b, "typedef %s;\n", t.decl(h.size, name))
		}
	}
	return b.String()
}

func (t *Table) recordWord(h head) string {
	if h.kind() == btfUnion {
		return "union"
	}
	return "struct"
}

// unnamedRecord returns the keyword of an anonymous struct or union. ok is false for other types.
func (t *Table) unnamedRecord(id uint32) (word string, ok bool) {
	h, _ := t.head(id)
	return t.recordWord(h), (h.kind() == btfStruct || h.kind() == btfUnion) && t.str(h.name) == ""
}

// declareMembers writes the body of a struct or union that starts at bit offset from.
func (t *Table) declareMembers(b *strings.Builder, start string, id uint32, from int, indent string, depth int) {
	fmt.Fprintf(b, "%s {\n", strings.TrimSpace(start))
	in := indent + "\t"
	h, data := t.head(id)
	for m := range slices.Chunk(data[:12*h.vlen()], 12) {
		name, typ, off := t.str(binary.NativeEndian.Uint32(m)), binary.NativeEndian.Uint32(m[4:]), binary.NativeEndian.Uint32(m[8:])
		bits, at := 0, from+int(off)
		if h.flag() { // bit fields have their size in the top byte
			bits, at = int(off>>24), from+int(off&0xffffff)
		}
		b.WriteString(in)
		if word, ok := t.unnamedRecord(typ); ok && depth < 16 {
			t.declareMembers(b, word, typ, at, in, depth+1)
			if name != "" {
				b.WriteString(" " + name)
			}
			b.WriteString(";\n")
			continue
		}
		b.WriteString(t.decl(typ, name))
		if bits > 0 {
			fmt.Fprintf(b, " : %d; /* %d, bit %d */\n", bits, at/8, at%8)
			continue
		}
		fmt.Fprintf(b, "; /* %d */\n", at/8)
	}
	b.WriteString(indent + "}")
}

// decl returns a C declaration of name with the type, or of the type alone if name is "".
func (t *Table) decl(id uint32, name string) string { return t.declAt(id, name, 0) }

func (t *Table) declAt(id uint32, name string, depth int) string {
	h, b := t.head(id)
	join := func(s string) string {
		if name == "" || strings.HasSuffix(s, "*") {
			return s + name
		}
		return s + " " + name
	}
	tagged := func(word string) string {
		tag := t.str(h.name)
		if tag == "" {
			tag = "{...}"
		}
		return join(word + " " + tag)
	}
	if depth > maxChain {
		return join("...")
	}
	depth++
	switch h.kind() {
	case 0:
		return join("void")
	case btfStruct, btfUnion:
		return tagged(t.recordWord(h))
	case btfEnum, btfEnum64:
		return tagged("enum")
	case btfFwd:
		if h.flag() {
			return tagged("union")
		}
		return tagged("struct")
	case btfConst:
		return t.qualified(h.size, "const", name, depth)
	case btfVolatile:
		return t.qualified(h.size, "volatile", name, depth)
	case btfRestrict:
		return t.qualified(h.size, "restrict", name, depth)
	case btfTypeTag:
		return t.declAt(h.size, name, depth)
	case btfPtr:
		return t.declPointer(h.size, name, depth)
	case btfArray:
		return t.declAt(binary.NativeEndian.Uint32(b), fmt.Sprintf("%s[%d]", name, binary.NativeEndian.Uint32(b[8:])), depth)
	case btfFuncProto:
		var params []string
		for p := range slices.Chunk(b[:8*h.vlen()], 8) {
			typ := binary.NativeEndian.Uint32(p[4:])
			if typ == 0 {
				params = append(params, "...")
				continue
			}
			params = append(params, t.declAt(typ, t.str(binary.NativeEndian.Uint32(p)), depth))
		}
		if params == nil {
			params = []string{"void"}
		}
		return t.declAt(h.size, name+"("+strings.Join(params, ", ")+")", depth)
	case btfFunc:
		return t.declAt(h.size, t.str(h.name), depth)
	}
	return join(t.str(h.name))
}

// declPointer returns the declaration of name as a pointer to the type target.
func (t *Table) declPointer(target uint32, name string, depth int) string {
	to, _ := t.head(target)
	if to.kind() != btfTypedef {
		// The name of a pointer to a function or an array stands inside the declaration.
		under := t.underlying(target)
		if h, _ := t.head(under); h.kind() == btfFuncProto || h.kind() == btfArray {
			return t.declAt(under, "(*"+name+")", depth)
		}
	}
	s := t.declAt(target, "", depth)
	if to.kind() == btfTypeTag && t.str(to.name) == "user" {
		s += " __user"
	}
	if !strings.HasSuffix(s, "*") {
		s += " "
	}
	return s + "*" + name
}

// underlying returns the ID of a type without its typedefs, qualifiers and tags.
func (t *Table) underlying(id uint32) uint32 {
	for range maxChain {
		switch h, _ := t.head(id); h.kind() {
		case btfTypedef, btfConst, btfVolatile, btfRestrict, btfTypeTag:
			id = h.size
		default:
			return id
		}
	}
	return 0
}

// qualified places a qualifier before the qualified type or, for a pointer, after the star.
func (t *Table) qualified(id uint32, word, name string, depth int) string {
	if h, _ := t.head(id); h.kind() == btfPtr {
		if name != "" {
			name = " " + name
		}
		return t.declAt(id, word+name, depth)
	}
	return word + " " + t.declAt(id, name, depth)
}
