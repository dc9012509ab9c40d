package bpf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// IsTypeName reports whether a pattern names a kernel type, not probes: "struct sock", "enum
// tcp_state".
func IsTypeName(pattern string) bool {
	kind, name, ok := strings.Cut(strings.TrimSpace(pattern), " ")
	switch kind {
	case "struct", "union", "enum", "typedef":
		return ok && isIdent(strings.TrimSpace(name))
	}
	return false
}

// TypeText returns the C declaration of a kernel type such as "struct sock", from BTF. Each member
// of a struct is followed by its offset in bytes.
func TypeText(text string) (string, error) {
	kind, name, _ := strings.Cut(strings.TrimSpace(text), " ")
	name = strings.TrimSpace(name)
	spec, err := kernelTypes()
	if err != nil {
		return "", err
	}
	typesMu.Lock()
	defer typesMu.Unlock()
	found, err := spec.AnyTypesByName(name)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		return "", fmt.Errorf("look for %s: %w", text, err)
	}
	var out []string
	var others []string
	seen := map[string]bool{}
	for _, t := range found {
		k := typeKind(t)
		if k != kind {
			if k != "" {
				others = append(others, k+" "+name)
			}
			continue
		}
		if decl := declaration(t); !seen[decl] { // BTF contains some types twice
			seen[decl] = true
			out = append(out, decl)
		}
	}
	if out != nil {
		return strings.Join(out, "\n"), nil
	}
	e := &NotFoundError{Spec: text, Reason: "the kernel has no such type", Suggestions: others}
	if others == nil {
		var names []string
		for t, err := range spec.All() {
			if err != nil {
				return "", fmt.Errorf("look for %s: %w", text, err)
			}
			if typeKind(t) == kind && t.TypeName() != "" {
				names = append(names, t.TypeName())
			}
		}
		for _, n := range suggest.Nearest(name, names, 3) {
			e.Suggestions = append(e.Suggestions, kind+" "+n)
		}
	}
	return "", e
}

func typeKind(t btf.Type) string {
	switch t.(type) {
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Enum:
		return "enum"
	case *btf.Typedef:
		return "typedef"
	}
	return ""
}

// declaration returns the full declaration of a type.
func declaration(t btf.Type) string {
	var b strings.Builder
	switch t := t.(type) {
	case *btf.Struct:
		members(&b, "struct "+t.Name, t.Members, 0, "", 0)
		fmt.Fprintf(&b, "; /* %d bytes */\n", t.Size)
	case *btf.Union:
		members(&b, "union "+t.Name, t.Members, 0, "", 0)
		fmt.Fprintf(&b, "; /* %d bytes */\n", t.Size)
	case *btf.Enum:
		fmt.Fprintf(&b, "enum %s {\n", t.Name)
		for _, v := range t.Values {
			if t.Signed {
				fmt.Fprintf(&b, "\t%s = %d,\n", v.Name, int64(v.Value))
			} else {
				fmt.Fprintf(&b, "\t%s = %d,\n", v.Name, v.Value)
			}
		}
		fmt.Fprintf(&b, "}; /* %d bytes */\n", t.Size)
	case *btf.Typedef:
		if s := unnamed(t.Type); s != nil {
			members(&b, "typedef "+s.word, s.members, 0, "", 0)
			fmt.Fprintf(&b, " %s;\n", t.Name)
		} else {
			fmt.Fprintf(&b, "typedef %s;\n", cDecl(t.Type, t.Name))
		}
	}
	return b.String()
}

type aggregate struct {
	word    string
	members []btf.Member
}

// unnamed returns the members of an anonymous struct or union, or nil for other types.
func unnamed(t btf.Type) *aggregate {
	switch t := t.(type) {
	case *btf.Struct:
		if t.Name == "" {
			return &aggregate{"struct", t.Members}
		}
	case *btf.Union:
		if t.Name == "" {
			return &aggregate{"union", t.Members}
		}
	}
	return nil
}

// members writes the body of a struct or union that starts at bit offset from.
func members(b *strings.Builder, head string, ms []btf.Member, from btf.Bits, indent string, depth int) {
	fmt.Fprintf(b, "%s {\n", strings.TrimSpace(head))
	in := indent + "\t"
	for _, m := range ms {
		at := from + m.Offset
		b.WriteString(in)
		if s := unnamed(m.Type); s != nil && depth < 16 {
			members(b, s.word, s.members, at, in, depth+1)
			if m.Name != "" {
				b.WriteString(" " + m.Name)
			}
			b.WriteString(";\n")
			continue
		}
		b.WriteString(cDecl(m.Type, m.Name))
		if m.BitfieldSize > 0 {
			fmt.Fprintf(b, " : %d; /* %d, bit %d */\n", m.BitfieldSize, at/8, at%8)
			continue
		}
		fmt.Fprintf(b, "; /* %d */\n", at.Bytes())
	}
	b.WriteString(indent + "}")
}
