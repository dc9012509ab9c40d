// Package tracefmt parses the format files of the kernel's events, which tracefs has for each
// tracepoint (Documentation/trace/events.rst, written by trace_events.c: f_show). A file has one
// line per field:
//
//	field:TYPE NAME[LEN];	offset:16;	size:8;	signed:1;
//
// TYPE is what the event's author wrote in TP_STRUCT__entry, after preprocessing. It can be any C
// type, and LEN any expression. The kind of a field is determined by the size first, which is
// always right, and by the words second.
package tracefmt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// Parse parses a format file. It omits the fields whose names start with common_. syscalls is
// set for events of that subsystem: their arguments are 8-byte registers whatever their type, and
// their pointers are user addresses.
func Parse(text string, syscalls bool) (*abi.Event, error) {
	e := &abi.Event{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		rest, ok := strings.CutPrefix(line, "field:")
		if !ok {
			continue
		}
		f, err := parseField(rest)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		if strings.HasPrefix(f.Name, "common_") {
			continue
		}
		if syscalls {
			f = syscallField(f)
		}
		e.HasRet = e.HasRet || syscalls && f.Name == "ret"
		e.Fields = append(e.Fields, f)
	}
	return e, nil
}

func parseField(s string) (abi.Field, error) {
	// The declaration ends at the last ";" that is followed by attributes: a C type may itself
	// contain one.
	i := strings.LastIndex(s, ";\toffset:")
	if i < 0 {
		if i = strings.LastIndex(s, "; offset:"); i < 0 {
			return abi.Field{}, fmt.Errorf("no offset")
		}
	}
	var f abi.Field
	seen := map[string]bool{}
	for attr := range strings.SplitSeq(s[i+1:], ";") {
		key, value, ok := strings.Cut(strings.TrimSpace(attr), ":")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 16)
		if err != nil {
			return abi.Field{}, fmt.Errorf("%s: bad number %q", key, value)
		}
		seen[key] = true
		switch key {
		case "offset":
			f.Offset = int(n)
		case "size":
			f.Size = int(n)
		case "signed":
			f.Signed = n != 0
		}
	}
	if !seen["offset"] || !seen["size"] {
		return abi.Field{}, fmt.Errorf("no offset or size")
	}
	return declare(f, strings.TrimSpace(s[:i]))
}

// declare derives the name, type and kind of a field from its C declaration.
func declare(f abi.Field, decl string) (abi.Field, error) {
	typ, name, dims := splitDecl(decl)
	if name == "" {
		return abi.Field{}, fmt.Errorf("no name in %q", decl)
	}
	f.Name, f.CType = name, typ+dims
	for _, loc := range []struct {
		prefix     string
		str, array abi.FieldKind
	}{{"__data_loc ", abi.FieldDataLocString, abi.FieldDataLocArray}, {"__rel_loc ", abi.FieldRelLocString, abi.FieldRelLocArray}} {
		elem, ok := strings.CutPrefix(typ, loc.prefix)
		if !ok {
			continue
		}
		elem = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(elem), "[]"))
		f.Kind, f.ElemSize, f.Len = loc.array, cSize(elem), 0
		f.Signed = cSigned(elem, f.Signed)
		if isChar(elem) {
			f.Kind = loc.str
		}
		if f.Size != 4 { // must be the word with offset and length; otherwise the layout is unknown
			f.Kind, f.ElemSize = abi.FieldStruct, 0
		}
		return f, nil
	}
	switch {
	case dims != "":
		return declareArray(f, typ, dims), nil
	case strings.Contains(typ, "*") || strings.HasSuffix(typ, ")"):
		f.Kind, f.Signed = abi.FieldPointer, false
		if f.Size != 8 && f.Size != 4 {
			f.Kind = abi.FieldStruct
		}
	case isAggregate(typ) || f.Size != 1 && f.Size != 2 && f.Size != 4 && f.Size != 8:
		f.Kind, f.Signed = abi.FieldStruct, false
	case typ == "bool" || typ == "_Bool":
		f.Kind, f.Signed = abi.FieldBool, false
	default:
		f.Kind = abi.FieldInt
	}
	return f, nil
}

func declareArray(f abi.Field, typ, dims string) abi.Field {
	f.ElemSize = cSize(typ)
	if n := elements(dims); f.ElemSize == 0 && n > 0 && f.Size%n == 0 {
		f.ElemSize = f.Size / n
	}
	switch {
	case isChar(typ):
		f.Kind, f.ElemSize, f.Len = abi.FieldCharArray, 1, f.Size
		return f
	case isAggregate(typ), f.ElemSize == 0, f.Size%max(f.ElemSize, 1) != 0,
		f.ElemSize != 1 && f.ElemSize != 2 && f.ElemSize != 4 && f.ElemSize != 8:
		f.Kind, f.ElemSize, f.Signed = abi.FieldStruct, 0, false
		return f
	}
	f.Kind, f.Len, f.Signed = abi.FieldArray, f.Size/f.ElemSize, cSigned(typ, f.Signed)
	return f
}

// splitDecl splits a declaration: "unsigned long args[6]" becomes "unsigned long", "args", "[6]".
func splitDecl(decl string) (typ, name, dims string) {
	// void (*fn)(int): the name is in the parentheses.
	if i := strings.Index(decl, "(*"); i >= 0 {
		if j := strings.IndexByte(decl[i:], ')'); j > 2 && sys.IsIdent(decl[i+2:i+j]) {
			return decl[:i] + "(*)" + decl[i+j+1:], decl[i+2 : i+j], ""
		}
	}
	rest := decl
	for strings.HasSuffix(rest, "]") {
		i := openBracket(rest)
		if i < 0 {
			break
		}
		// "__data_loc char[] name" keeps its brackets in the type; only brackets after the name are
		// dimensions.
		rest, dims = strings.TrimSpace(rest[:i]), rest[i:]+dims
	}
	i := len(rest)
	for i > 0 && sys.IsIdentByte(rest[i-1]) {
		i--
	}
	return strings.TrimSpace(rest[:i]), rest[i:], dims
}

// openBracket returns the index of the [ that matches the ] at the end of s, or -1.
func openBracket(s string) int {
	depth := 0
	for i := len(s) - 1; i >= 0; i-- {
		switch s[i] {
		case ']':
			depth++
		case '[':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// elements returns the product of the dimensions "[2][3]", or 0 if one is not a number.
func elements(dims string) int {
	n := 1
	for d := range strings.SplitSeq(strings.Trim(dims, "[]"), "][") {
		v, err := strconv.ParseUint(strings.TrimSpace(d), 0, 16)
		if err != nil {
			return 0
		}
		n *= int(v)
		if n > 1<<16 {
			return 0
		}
	}
	return n
}

// syscallField gives an argument its own size. The record contains an 8-byte register, of which the
// system call uses the low bytes (all supported architectures are little-endian): int dfd = -100
// must not be read as 4294967196.
func syscallField(f abi.Field) abi.Field {
	switch f.Kind {
	case abi.FieldPointer:
		f.User = true
	case abi.FieldInt:
		if n := cSize(f.CType); f.Size == 8 && n > 0 && n < 8 {
			f.Size, f.Signed = n, cSigned(f.CType, f.Signed)
		} else {
			f.Signed = cSigned(f.CType, f.Signed)
		}
	}
	return f
}
