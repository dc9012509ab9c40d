package kernelinfo

import (
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/kbtf"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
)

// isTypeName reports whether a pattern names a kernel type, not probes: "struct sock", "enum
// tcp_state".
func isTypeName(pattern string) bool {
	kind, name, ok := strings.Cut(strings.TrimSpace(pattern), " ")
	switch kind {
	case "struct", "union", "enum", "typedef":
		return ok && sys.IsIdent(strings.TrimSpace(name))
	}
	return false
}

// typeText returns the C declaration of a kernel type such as "struct sock", from BTF. Each member
// of a struct is followed by its offset in bytes.
func typeText(text string) (string, error) {
	keyword, name, _ := strings.Cut(strings.TrimSpace(text), " ")
	name = strings.TrimSpace(name)
	types, err := kbtf.Kernel()
	if err != nil {
		return "", err
	}
	if decls := types.Declarations(keyword, name); decls != nil {
		return strings.Join(decls, "\n"), nil
	}
	e := &kinds.NotFoundError{Spec: text, Reason: "the kernel has no such type"}
	for _, other := range []string{"struct", "union", "enum", "typedef"} {
		if types.Declarations(other, name) != nil {
			e.Suggestions = append(e.Suggestions, other+" "+name)
		}
	}
	if e.Suggestions == nil {
		for _, n := range suggest.Nearest(name, types.Declared(keyword), 3) {
			e.Suggestions = append(e.Suggestions, keyword+" "+n)
		}
	}
	return "", e
}
