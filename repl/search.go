package repl

import (
	"strings"

	"github.com/chzyer/readline"
)

// A search is Ctrl-R: for the items that hold a text, the latest first.
type search struct {
	before view // what was typed when it began
	query  []rune
	at     int // of the item that was found, in the history; its length: none yet
	failed bool
}

// searchKey is a key of the search, or Ctrl-R or Ctrl-S that begins it.
func (e *editor) searchKey(p view, key rune) view {
	s := e.search
	began := s == nil
	if began {
		s = &search{before: p, at: len(e.hist.items)}
		e.search = s
	}
	from, by := s.at, -1 // the item that is found already may go on to hold it
	switch key {
	case readline.CharBckSearch:
		if !began {
			from--
		}
	case readline.CharFwdSearch:
		from, by = s.at+1, 1
	case ctrlG:
		e.search = nil
		return s.before
	case readline.CharBackspace, readline.CharCtrlH:
		s.query = s.query[:max(len(s.query)-1, 0)]
		from = len(e.hist.items) - 1
	default:
		s.query = append(s.query, key)
	}
	s.failed = false
	if len(s.query) > 0 {
		at := e.hist.find(string(s.query), from, by)
		if s.failed = at < 0; !s.failed {
			s.at, e.hist.at = at, at
			item := e.hist.items[at]
			p = view{text: encodeNewlines(item)}
			p.pos = len([]rune(item[:strings.Index(item, string(s.query))]))
			e.whole = strings.Contains(item, "\n")
		}
	}
	below := "search: " + string(s.query)
	if s.failed {
		below = "no item has: " + string(s.query)
	}
	cols, _ := size(e.in.in)
	p.below = cut(below, cols-1, 1)
	return p
}
