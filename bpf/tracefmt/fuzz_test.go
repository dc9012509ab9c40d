package tracefmt

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// FuzzFormat checks that the format parser never panics, and that the fields it returns are
// plausible.
func FuzzFormat(f *testing.F) {
	dir, err := sys.Tracefs()
	if err != nil {
		f.Fatal(err)
	}
	for _, pattern := range []string{"sched/*", "syscalls/sys_enter_o*", "raw_syscalls/*"} {
		files, err := filepath.Glob(filepath.Join(dir, "events", pattern, "format"))
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, files, err)
		}
		for _, file := range files[:min(len(files), 10)] {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text), true)
		}
	}
	f.Add("format:\n\tfield:__data_loc char[] x;\toffset:8;\tsize:4;\tsigned:0;\n", false)
	f.Add("format:\n\tfield:a b[-1];\toffset:-8;\tsize:99999999999999;\tsigned:0;\n", false)
	f.Fuzz(func(t *testing.T, text string, syscalls bool) {
		ev, err := Parse(text, syscalls)
		if err != nil {
			return
		}
		for _, fd := range ev.Fields {
			if fd.Offset < 0 || fd.Size < 0 || fd.ElemSize < 0 || fd.Len < 0 {
				t.Errorf("field %+v", fd)
			}
		}
	})
}
