package kernelfunc

import (
	"fmt"
	"testing"
)

// TestListsAreReadOnce checks that the lists of functions are read once, no matter how many unknown
// names are looked up.
func TestListsAreReadOnce(t *testing.T) {
	reads := map[string]int{}
	for name, l := range map[string]*nameList{"traceable": traceable, "symbols": symbols} {
		read := l.read
		l.mu.Lock()
		l.names = nil
		l.read = func() ([]string, error) { reads[name]++; return read() }
		l.mu.Unlock()
		defer func() { l.read = read }()
	}
	for i := range 8 {
		if known, err := Exists(fmt.Sprintf("no_such_function_%d", i)); err != nil || known {
			t.Fatal(known, err)
		}
		if names, err := Traceable(); err != nil || len(names) < 1000 {
			t.Fatal(len(names), err)
		}
	}
	if reads["traceable"] != 1 || reads["symbols"] != 1 {
		t.Errorf("the lists were read %v times", reads)
	}
}
