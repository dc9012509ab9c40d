package repl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// history stores items in a file, one JSON string per line, so that blocks keep their lines and
// indentation. The file is only appended to, so two sessions that run at once do not lose each
// other's items.
type history struct {
	file  string
	items []string
	// at is the index of the item shown. len(items) stands for the item being typed.
	at    int
	draft string // the item being typed
}

// maxHistory is the number of items that can be recalled.
const maxHistory = 1000

// HistoryFile returns the path of the history in the user's state directory (XDG base directories),
// or "" if the user has no home directory.
func HistoryFile() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "bpfrepl", "history")
}

func (h *history) load() error {
	if h.file == "" {
		return nil
	}
	b, err := os.ReadFile(h.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	for _, line := range bytes.Split(b, []byte("\n")) {
		var item string
		if json.Unmarshal(line, &item) == nil && item != "" { // skip lines that another program has damaged
			h.items = append(h.items, item)
		}
	}
	h.items = h.items[max(0, len(h.items)-maxHistory):]
	return nil
}

// rewind selects the item being typed.
func (h *history) rewind() { h.at, h.draft = len(h.items), "" }

// step selects an earlier (by < 0) or later (by > 0) item and returns it. It returns false if no
// such item exists. shown is the text on the screen; if that is the item being typed, step keeps it
// so that a later step can return to it.
func (h *history) step(shown string, by int) (string, bool) {
	to := h.at + by
	if to < 0 || to > len(h.items) {
		return "", false
	}
	if h.at == len(h.items) {
		h.draft = shown
	}
	h.at = to
	if to == len(h.items) {
		return h.draft, true
	}
	return h.items[to], true
}

// find returns the index of the first item that contains text, searching from index from in steps
// of by, or -1.
func (h *history) find(text string, from, by int) int {
	for i := from; i >= 0 && (i < len(h.items) || by < 0); i += by {
		if i < len(h.items) && strings.Contains(h.items[i], text) {
			return i
		}
	}
	return -1
}

// continuation returns the rest of the latest item that begins with text, or "".
func (h *history) continuation(text string) string {
	for i := len(h.items) - 1; i >= 0; i-- {
		if rest, ok := strings.CutPrefix(h.items[i], text); ok && rest != "" {
			return rest
		}
	}
	return ""
}

func (h *history) add(item string) error {
	if n := len(h.items); n > 0 && h.items[n-1] == item {
		return nil
	}
	h.items = append(h.items, item)
	if h.file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	line, err := json.Marshal(item)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	return errors.Join(err, f.Close())
}
