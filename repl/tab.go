package repl

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bpfrepl/bpfrepl/internal/cellwidth"
	"github.com/bpfrepl/bpfrepl/internal/pathcomplete"
)

// tab handles Tab. It completes the word before the cursor up to the point where the candidates
// differ, then lists them. A second Tab in the same place shows the signature of the call that the
// cursor is in. At the start of a line Tab indents.
func (e *editor) tab(p view, again bool) view {
	cols, height := size(e.in.in)
	from, _ := lineAt(p.text, p.pos)
	if in := string(p.text[from:p.pos]); strings.TrimSpace(in) == "" {
		return p.insert([]rune(indent[len(in)%len(indent):]))
	}
	text := decodeNewlines(p.text[:p.pos])
	if again {
		if sig := e.interp.Signature(text); sig != "" {
			p.below = cut(sig, cols-1, height/2)
			e.tabPressed = true
			return p
		}
	}
	words, at := completions(e.interp, e.commands, text)
	if len(words) == 0 {
		e.tabPressed = true // a second Tab may show a signature
		e.rl.Terminal.Bell()
		return p
	}
	typed := text[at:]
	// The words are sorted: the common prefix of the first and the last is common to all.
	common := words[0]
	for !strings.HasPrefix(words[len(words)-1], common) {
		_, n := utf8.DecodeLastRuneInString(common)
		common = common[:len(common)-n]
	}
	if rest := strings.TrimPrefix(common, typed); rest != "" && len(common) > len(typed) {
		return p.insert([]rune(rest))
	}
	e.tabPressed = true
	if len(words) > 1 || again {
		p.below = table(words, typed, cols-1, max(height/2, 2))
	}
	return p
}

func (p view) insert(text []rune) view {
	p.text = slices.Concat(p.text[:p.pos], text, p.text[p.pos:])
	p.pos += len(text)
	return p
}

// completions returns the candidates for the word at the end of text, and the byte offset of that
// word.
func completions(interp Interpreter, commands []Command, text string) (words []string, from int) {
	if !isMagic(text) {
		return interp.Completions(text, len(text))
	}
	name, arg, isArg := strings.Cut(strings.TrimLeft(text, " "), " ")
	if !isArg {
		for _, m := range magics(commands) {
			if w := "%" + m.name; strings.HasPrefix(w, name) {
				words = append(words, w)
			}
		}
		slices.Sort(words)
		return words, len(text) - len(name)
	}
	for _, m := range magics(commands) {
		switch {
		case "%"+m.name != name:
		case m.args == "ITEM", m.args == "[NAME]":
			words, from = interp.Completions(arg, len(arg))
			return words, len(text) - len(arg) + from
		case m.args == "FILE", m.args == "[DIR]", strings.HasPrefix(arg, "on "):
			typed := strings.TrimPrefix(strings.TrimLeft(arg, " "), map[bool]string{true: "on "}[strings.HasPrefix(m.args, "on ")])
			return pathcomplete.Complete(typed), len(text) - len(typed)
		}
	}
	return nil, len(text)
}

// table arranges words in columns, as many words as fit into the given number of rows. It omits the
// part of the words up to the last colon or slash in typed, which they share.
func table(words []string, typed string, cols, rows int) []string {
	from, width := strings.LastIndexAny(typed, ":/")+1, 0
	short := make([]string, min(len(words), rows*cols))
	for i := range short {
		short[i] = words[i][from:]
		width = max(width, cellwidth.Width(short[i]))
	}
	width = min(width+2, cols)
	across := max(cols/width, 1)
	down := (len(short) + across - 1) / across
	if down > rows {
		down = rows - 1
		short = short[:across*down]
	}
	var out []string
	for y := range down {
		var b strings.Builder
		for i := y; i < len(short); i += down {
			w := cut(short[i], width, 1)[0]
			b.WriteString(w + strings.Repeat(" ", width-cellwidth.Width(w)))
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	if more := len(words) - len(short); more > 0 {
		out = append(out, cut(fmt.Sprintf("... and %d more", more), cols, 1)[0])
	}
	return out
}
