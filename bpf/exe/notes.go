package exe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"io"
)

// eachNote calls fn for each note in b. A note consists of the sizes of name and content, the type,
// the name and the content. Name and content are padded to four bytes.
func eachNote(b []byte, order binary.ByteOrder, fn func(owner string, typ uint32, desc []byte)) {
	pad := func(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }
	for len(b) >= 12 {
		nameLen, descLen, typ := order.Uint32(b), order.Uint32(b[4:]), order.Uint32(b[8:])
		b = b[12:]
		if pad(nameLen)+uint64(descLen) > uint64(len(b)) {
			return
		}
		owner := string(bytes.TrimRight(b[:nameLen], "\x00"))
		desc := b[pad(nameLen):][:descLen]
		fn(owner, typ, desc)
		b = b[min(uint64(len(b)), pad(nameLen)+pad(descLen)):]
	}
}

// BuildIDOf returns the build ID that is among notes in hexadecimal, or "" if there is none.
func BuildIDOf(notes []byte, order binary.ByteOrder) string {
	const ntGNUBuildID = 3
	id := ""
	eachNote(notes, order, func(owner string, typ uint32, desc []byte) {
		if owner == "GNU" && typ == ntGNUBuildID && id == "" {
			id = hex.EncodeToString(desc)
		}
	})
	return id
}

// buildID returns the build ID of a file, or "" if it has none. It need not be in a segment: Go's
// linker puts only its own note there.
func buildID(f *elf.File) string {
	const maxNotes = 64 << 10 // a note that identifies the file is short
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(p.Open(), maxNotes))
		if err != nil {
			continue
		}
		if id := BuildIDOf(b, f.ByteOrder); id != "" {
			return id
		}
	}
	if s := f.Section(".note.gnu.build-id"); s != nil && s.Size <= maxNotes {
		if b, err := s.Data(); err == nil {
			return BuildIDOf(b, f.ByteOrder)
		}
	}
	return ""
}
