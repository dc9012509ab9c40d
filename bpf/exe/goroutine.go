package exe

import (
	"debug/dwarf"
	"fmt"
	"strconv"
	"strings"
)

// goidOffsets maps minor versions of Go to the offset of the goroutine number in runtime.g, for
// programs without debug information. A test compares the offset for the running version with
// DWARF.
var goidOffsets = map[int]int64{18: 152, 21: 152, 22: 152, 23: 160, 24: 160, 25: 152, 26: 152}

// GoroutineOffset returns the offset in bytes of the goroutine number in the runtime's struct g.
// The error is a *FileError.
func (x *File) GoroutineOffset() (int64, error) {
	if off, ok := x.goidFromDWARF(); ok {
		return off, nil
	}
	minor := 0
	if v := strings.Split(strings.TrimPrefix(x.GoVersion, "go"), "."); len(v) > 1 {
		n, err := strconv.Atoi(v[1])
		if err == nil {
			minor = n
		}
	}
	if off, ok := goidOffsets[minor]; ok {
		return off, nil
	}
	return 0, &FileError{Path: x.Path, Reason: fmt.Sprintf("its debug information is stripped, and where %s keeps the goroutine id is unknown", x.GoVersion),
		Hint: `build it without -ldflags=-w; the address of the goroutine, reg("r14") on amd64 and reg("x28") on arm64, tells goroutines apart while they live`}
}

func (x *File) goidFromDWARF() (int64, bool) {
	data, err := x.elf.DWARF()
	if err != nil {
		return 0, false
	}
	r := data.Reader()
	in := false // inside runtime.g
	for {
		e, err := r.Next()
		if err != nil || e == nil {
			return 0, false
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		switch {
		case in && e.Tag == dwarf.TagMember && name == "goid":
			off, ok := e.Val(dwarf.AttrDataMemberLoc).(int64)
			return off, ok
		case in && e.Tag == 0:
			return 0, false
		case e.Tag == dwarf.TagStructType && name == "runtime.g":
			in = true
			continue
		case e.Tag == dwarf.TagCompileUnit && name == "runtime":
			continue // descend into its children
		}
		if e.Children {
			r.SkipChildren()
		}
	}
}
