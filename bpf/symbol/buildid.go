package symbol

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
)

// maxNotes is the number of bytes of a file's notes that are read. A note that identifies the file
// is short.
const maxNotes = 64 << 10

// ntGNUBuildID is the type of the note that contains a build ID.
const ntGNUBuildID = 3

// KernelBuildID returns the build ID of the running kernel in hexadecimal, or "" if it has none.
func KernelBuildID() string {
	b, err := os.ReadFile("/sys/kernel/notes")
	if err != nil {
		return ""
	}
	return parseBuildID(b, binary.NativeEndian)
}

// buildID returns the build ID of a file, or "" if it has none.
func buildID(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(p.Open(), maxNotes))
		if err != nil {
			continue
		}
		if id := parseBuildID(b, f.ByteOrder); id != "" {
			return id
		}
	}
	return ""
}

// parseBuildID finds a build ID among notes. Each note consists of the sizes of name and content,
// the type, the name and the content. Name and content are padded to four bytes.
func parseBuildID(b []byte, order binary.ByteOrder) string {
	cut := func(n uint32) []byte {
		whole := min((int(n)+3)&^3, len(b))
		part := b[:min(int(n), whole)]
		b = b[whole:]
		return part
	}
	for len(b) >= 12 {
		nameSize, size, typ := order.Uint32(b), order.Uint32(b[4:]), order.Uint32(b[8:])
		b = b[12:]
		name, content := cut(nameSize), cut(size)
		if typ == ntGNUBuildID && string(name) == "GNU\x00" {
			return hex.EncodeToString(content)
		}
	}
	return ""
}
