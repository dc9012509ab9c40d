package exe

import (
	"encoding/binary"
	"testing"
)

func TestBuildIDOf(t *testing.T) {
	const (
		other = "\x05\x00\x00\x00\x03\x00\x00\x00\x03\x00\x00\x00Xen1\x00\x00\x00\x00abc\x00" // a note whose name and content are padded
		abi   = "\x04\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00GNU\x00\x00\x00\x00\x00"
		id    = "\x04\x00\x00\x00\x04\x00\x00\x00\x03\x00\x00\x00GNU\x00\x01\x23\xab\xcd"
	)
	for _, c := range []struct{ notes, want string }{
		{other + abi + id + other, "0123abcd"},
		{other + abi, ""},
		{"", ""},
		{id[:11], ""},
		{id[:18], ""},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00\x00\x00GNU\x00", ""},
	} {
		if got := BuildIDOf([]byte(c.notes), binary.LittleEndian); got != c.want {
			t.Errorf("%q: got %q, want %q", c.notes, got, c.want)
		}
	}
}
