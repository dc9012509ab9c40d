package abi

import "encoding/binary"

// A record of a ring buffer is a word that identifies it, followed by the arguments without gaps,
// each in the layout of map values. The word is the number of a site in the program, or RecordStop.

const (
	// RecordHead is the size of the first word in bytes.
	RecordHead = 8
	// RecordStop is the first word of the record that stop() sends.
	RecordStop = 1<<63 - 1
)

// ParseRecord returns the first word of a record and its arguments. It returns false if the record
// is too short to have one.
func ParseRecord(b []byte) (id uint64, args []byte, ok bool) {
	if len(b) < RecordHead {
		return 0, nil, false
	}
	return binary.NativeEndian.Uint64(b), b[RecordHead:], true
}
