// Package expect has checks that the tests of several packages share.
package expect

import "testing"

// Text reports an error of the test if a text is not exactly the wanted one.
func Text(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// NoError calls fn, such as a Close method at the end of a test, and reports its error.
func NoError(t testing.TB, fn func() error) {
	t.Helper()
	if err := fn(); err != nil {
		t.Error(err)
	}
}
