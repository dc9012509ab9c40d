package tracefmt

import (
	"strings"
)

// cTypes holds C's integer types, as the kernel's events name them, on a 64-bit host. Other types
// have the size given in the format file.
var cTypes = map[string]struct {
	size   int
	signed bool
}{
	"char": {1, true}, "signed char": {1, true}, "unsigned char": {1, false}, "bool": {1, false}, "_Bool": {1, false},
	"s8": {1, true}, "__s8": {1, true}, "int8_t": {1, true}, "u8": {1, false}, "__u8": {1, false}, "uint8_t": {1, false},
	"short": {2, true}, "short int": {2, true}, "unsigned short": {2, false}, "short unsigned int": {2, false},
	"s16": {2, true}, "__s16": {2, true}, "u16": {2, false}, "__u16": {2, false}, "uint16_t": {2, false}, "__be16": {2, false},
	"__le16": {2, false}, "umode_t": {2, false},
	"int": {4, true}, "signed int": {4, true}, "unsigned": {4, false}, "unsigned int": {4, false}, "s32": {4, true}, "__s32": {4, true},
	"int32_t": {4, true}, "u32": {4, false}, "__u32": {4, false}, "uint32_t": {4, false}, "__be32": {4, false}, "__le32": {4, false},
	"pid_t": {4, true}, "uid_t": {4, false}, "gid_t": {4, false}, "dev_t": {4, false}, "key_t": {4, true}, "mqd_t": {4, true},
	"clockid_t": {4, true}, "timer_t": {4, true}, "qid_t": {4, false}, "key_serial_t": {4, true}, "rwf_t": {4, true}, "__poll_t": {4, false},
	"gfp_t": {4, false}, "uint": {4, false}, "compat_uint_t": {4, false},
	"long": {8, true}, "long int": {8, true}, "signed long": {8, true}, "unsigned long": {8, false}, "long unsigned int": {8, false},
	"long long": {8, true}, "unsigned long long": {8, false}, "s64": {8, true}, "__s64": {8, true}, "u64": {8, false}, "__u64": {8, false},
	"int64_t": {8, true}, "uint64_t": {8, false}, "__be64": {8, false}, "__le64": {8, false},
	"size_t": {8, false}, "ssize_t": {8, true}, "loff_t": {8, true}, "off_t": {8, true}, "sector_t": {8, false}, "aio_context_t": {8, false},
	"uintptr_t": {8, false}, "ino_t": {8, false}, "ktime_t": {8, true}, "pgoff_t": {8, false},
}

// stripQualifiers removes const and volatile: "const volatile int" becomes "int".
func stripQualifiers(typ string) string {
	words := strings.Fields(typ)
	out := words[:0]
	for _, w := range words {
		if w != "const" && w != "volatile" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// cSize returns the size of a type in bytes, or 0 if its name is not known.
func cSize(typ string) int {
	typ = stripQualifiers(typ)
	switch {
	case strings.HasSuffix(typ, "*"):
		return 8
	case strings.HasPrefix(typ, "enum "):
		return 4
	}
	return cTypes[typ].size
}

// cSigned reports whether a type is signed. It returns other if the name is not known and the type
// is not a pointer.
func cSigned(typ string, other bool) bool {
	if t, ok := cTypes[stripQualifiers(typ)]; ok {
		return t.signed
	}
	return other && !strings.HasSuffix(typ, "*")
}

func isChar(typ string) bool { return stripQualifiers(typ) == "char" }

func isAggregate(typ string) bool {
	typ = stripQualifiers(typ)
	return !strings.HasSuffix(typ, "*") && (strings.HasPrefix(typ, "struct ") || strings.HasPrefix(typ, "union "))
}
