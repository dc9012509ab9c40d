package starlarkbind

import (
	"bytes"
	"errors"
	"strings"

	"go.starlark.net/syntax"
)

// byteOrderMark is what editors on Windows begin a file with.
var byteOrderMark = []byte("\ufeff")

// parse parses a script. The scanner takes `load` for the keyword wherever it stands; where the grammar has no load statement it
// is a name like any other here: a keyword argument, a field, a parameter.
func parse(name string, src []byte) (*syntax.File, error) {
	f, err := fileOptions.Parse(name, src, 0)
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
				case *syntax.Literal: // the parser notices some of them a token too late
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
		f, err = fileOptions.Parse(name, src, 0)
	}
}

// standIn is a name of the length of load that occurs nowhere.
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

// offsetOf is the place of a position in the text, or -1.
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

// loadBefore finds the word load that ends shortly before a place, where the parser noticed it.
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
