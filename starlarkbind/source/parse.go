package source

import (
	"bytes"
	"errors"
	"strings"

	"go.starlark.net/syntax"
)

// ByteOrderMark is the prefix that editors on Windows write at the start of a file.
var ByteOrderMark = []byte("\ufeff")

// Parse parses a script. The scanner treats `load` as a keyword everywhere. parse accepts it as an
// ordinary name wherever the grammar allows no load statement: as a keyword argument, a field or a
// parameter. It replaces each such `load` in the source by an unused name, parses again, and
// restores the name in the syntax tree.
func Parse(name string, src []byte) (*syntax.File, error) {
	f, err := Options.Parse(name, src, 0)
	stand := standIn(src)
	for changed := false; ; changed = true {
		var wrong syntax.Error
		if err == nil && changed {
			syntax.Walk(f, func(n syntax.Node) bool {
				switch n := n.(type) {
				case *syntax.Ident:
					if n.Name == stand {
						n.Name = "load"
					}
				// The parser reports some errors one token late, so a literal may have been
				// changed as well.
				case *syntax.Literal:
					if v, ok := n.Value.(string); ok {
						n.Raw, n.Value = strings.ReplaceAll(n.Raw, stand, "load"), strings.ReplaceAll(v, stand, "load")
					}
				}
				return true
			})
		}
		if err == nil || !errors.As(err, &wrong) {
			return f, err
		}
		at := offsetOf(src, wrong.Pos)
		if statement := strings.HasSuffix(wrong.Msg, "want '('"); statement && at >= 0 { // load = 3
			at = bytes.LastIndex(src[:at], []byte("load"))
		} else if at < 0 || !bytes.HasPrefix(src[at:], []byte("load")) {
			at = loadBefore(src, at)
		}
		if at < 0 || !strings.Contains(wrong.Msg, "load") && !strings.Contains(wrong.Msg, "not an identifier") && !strings.HasSuffix(wrong.Msg, "want '('") {
			return f, err
		}
		src = append(append(append([]byte{}, src[:at]...), stand...), src[at+len("load"):]...)
		f, err = Options.Parse(name, src, 0)
	}
}

// standIn returns a name of the same length as load that does not occur in the source.
func standIn(src []byte) string {
	for c := byte('a'); c <= 'z'; c++ {
		for d := byte('0'); d <= '9'; d++ {
			if s := "lo" + string(c) + string(d); !bytes.Contains(src, []byte(s)) {
				return s
			}
		}
	}
	return "load"
}

// offsetOf returns the byte offset of a position, or -1 if the source has no such position.
func offsetOf(src []byte, pos syntax.Position) int {
	at := 0
	for range pos.Line - 1 {
		n := bytes.IndexByte(src[at:], '\n')
		if n < 0 {
			return -1
		}
		at += n + 1
	}
	line := []rune(string(src[at:]))
	if int(pos.Col) < 1 || int(pos.Col)-1 > len(line) {
		return -1
	}
	return at + len(string(line[:pos.Col-1]))
}

// loadBefore returns the offset of the word load directly before an offset where the parser
// reported an error, or -1.
func loadBefore(src []byte, at int) int {
	if at < 0 {
		return -1
	}
	head := bytes.TrimRight(src[:at], " \t")
	if bytes.HasSuffix(head, []byte("load")) {
		return len(head) - len("load")
	}
	return -1
}
