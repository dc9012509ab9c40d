package repl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// history keeps items in a file, one JSON string a line, so that blocks keep their lines and indentation. It is only
// ever appended to: two sessions at once do not lose each other's items.
type history struct {
	file string
	last string
}

// maxHistory is how many items are recalled.
const maxHistory = 1000

// HistoryFile is where items are kept: in the user's state directory (XDG base directories).
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

func (h *history) load() ([]string, error) {
	if h.file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(h.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	var out []string
	for _, line := range bytes.Split(b, []byte("\n")) {
		var item string
		if json.Unmarshal(line, &item) == nil && item != "" { // a line that another program has spoilt is passed over
			out = append(out, item)
		}
	}
	return out[max(0, len(out)-maxHistory):], nil
}

func (h *history) add(item string) error {
	if h.file == "" || item == h.last {
		return nil
	}
	h.last = item
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
