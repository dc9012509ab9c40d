package codec

import (
	"encoding/binary"
	"strconv"

	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// Most records of print() are numbers and plain strings. A flood of them fills the ring buffer, and
// the end of a run waits until the buffer is printed. These records are therefore converted to text
// without allocating a Starlark value and a string for each.

// AppendPrinted appends the line of a record to text, identical to the line that the values would
// print. If the record contains a value of another type, it returns text unchanged and false.
func AppendPrinted(text []byte, args []*types.Type, b []byte) (_ []byte, ok bool) {
	line := text
	for i, t := range args {
		if len(b) < t.Size() {
			return text, false
		}
		if i > 0 {
			line = append(line, ' ')
		}
		switch t.Kind {
		case types.Int:
			line = strconv.AppendInt(line, int64(binary.NativeEndian.Uint64(b)), 10)
		case types.Uint:
			line = strconv.AppendUint(line, binary.NativeEndian.Uint64(b), 10)
		case types.Str:
			if t.NULs {
				return text, false
			}
			for _, c := range b[:t.Cap] {
				if c == 0 {
					break
				}
				if c < ' ' || c > '~' { // it may have to be escaped
					return text, false
				}
				line = append(line, c)
			}
		default:
			return text, false
		}
		b = b[t.Size():]
	}
	return append(line, '\n'), true
}
