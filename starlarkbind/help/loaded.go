package help

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// onFile describes a file that scripts can load. name is how they name it.
func onFile(name string, f *syntax.File) string {
	doc, funcs := source.Docs(f)
	var b strings.Builder
	b.WriteString(name + "\n")
	if doc.Text != "" {
		b.WriteString(paragraphs(doc.Text))
	}
	if len(funcs) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\n%s", indented(fmt.Sprintf("load(%q, %q)", name, funcs[0].Name)))
	for _, fn := range funcs {
		b.WriteString("\n" + signature(fn.Sig) + described(fn.Doc))
	}
	return b.String()
}

// onLoaded describes a function of a module.
func onLoaded(fn *starlark.Function) string {
	return signature(signatureOf(fn)) + described(source.NewDoc(fn.Doc())) + "\n" + indented("defined at "+fn.Position().String())
}

// signatureOf returns a function with its parameters. The interpreter has *args behind the
// parameters that follow it.
func signatureOf(fn *starlark.Function) string {
	var params []string
	add := func(stars string, i int) {
		name, _ := fn.Param(i)
		if d := fn.ParamDefault(i); d != nil {
			name += "=" + d.String()
		}
		params = append(params, stars+name)
	}
	n := fn.NumParams()
	if fn.HasKwargs() {
		n--
	}
	rest := n - 1 // *args
	if fn.HasVarargs() {
		n--
	}
	regular := n - fn.NumKwonlyParams()
	for i := range regular {
		add("", i)
	}
	switch {
	case fn.HasVarargs():
		add("*", rest)
	case regular < n:
		params = append(params, "*")
	}
	for i := regular; i < n; i++ {
		add("", i)
	}
	if fn.HasKwargs() {
		add("**", fn.NumParams()-1)
	}
	return fn.Name() + "(" + strings.Join(params, ", ") + ")"
}

// described returns a docstring, with its example further indented.
func described(d source.Doc) string {
	text := ""
	if d.Text != "" {
		text = paragraphs(d.Text)
	}
	if d.Example != "" {
		text += "\n" + indented(d.Example)
	}
	return text
}

// paragraphs joins the lines of each paragraph, and wraps it like prose.
func paragraphs(text string) string {
	var out []string
	for p := range strings.SplitSeq(text, "\n\n") {
		out = append(out, prose(strings.ReplaceAll(p, "\n", " ")))
	}
	return strings.Join(out, "\n")
}
