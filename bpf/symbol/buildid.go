package symbol

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
)

// maxNotes is how much of a file's notes is read: one that is there to identify the file is short.
const maxNotes = 64 << 10

// ntGNUBuildID is the type of the note that holds a build id.
const ntGNUBuildID = 3

// KernelBuildID gives the id of the running kernel's build in hexadecimal; "" where it has none.
func KernelBuildID() string {
	b, err := os.ReadFile("/sys/kernel/notes")
	if err != nil {
		return ""
	}
	return parseBuildID(b, binary.NativeEndian)
}

// buildID gives the id of a file's build; "" where it has none.
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

// parseBuildID finds a build id among notes: sizes of name and content, type, name, content, each filled up to four bytes.
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
