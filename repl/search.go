package repl

import (
	"strings"

	"github.com/chzyer/readline"
)

// A search is the state of Ctrl-R, which searches for items that contain a text, latest first.
type search struct {
	before view // state before the search
	query  []rune
	// at is the index in the history of the item found, or the length of the history if none has
	// been found yet.
	at     int
	failed bool
}

// searchKey handles a key of the search, including the Ctrl-R or Ctrl-S that starts it.
func (e *editor) searchKey(p view, key rune) view {
	s := e.search
	began := s == nil
	if began {
		s = &search{before: p, at: len(e.hist.items)}
		e.search = s
	}
	from, by := s.at, -1 // the current item may match the longer query too
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
		below = "no item contains: " + string(s.query)
	}
	cols, _ := size(e.in.in)
	p.below = cut(below, cols-1, 1)
	return p
}
