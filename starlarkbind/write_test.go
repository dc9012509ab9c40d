package starlarkbind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A flame graph of kernel stacks under names: the outermost frames are at the bottom.
func TestFlamegraph(t *testing.T) {
	dir := t.TempDir()
	l := newLive(t, func(o *Options) { o.AllowWrite = []string{dir} })
	if err := l.script(`
m = count()
probe("tracepoint:syscalls:sys_enter_getppid", lambda e: m.add(by=(e.comm, e.kstack)), filter=lambda e: e.comm == "load")
make("getppid", 50)
flamegraph(m, "` + dir + `/f.svg")
frames = list(m.keys()[0][1].frames)
print(frames[-1].split("+")[0].split(" ")[0] if frames else "load") # 5.10 has none there
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	b, err := os.ReadFile(filepath.Join(dir, "f.svg"))
	if err != nil {
		t.Fatal(err)
	}
	outermost := strings.TrimSpace(l.out.String())
	svg := strings.ReplaceAll(string(b), loadName, "load")
	name, frame := strings.Index(svg, "<title>load: 50 (100.00%)</title>"), strings.Index(svg, "<title>"+outermost)
	if name < 0 || frame < name || !strings.Contains(svg, ">m</text>") {
		t.Errorf("the name at %d, %s at %d in\n%s", name, outermost, frame, svg)
	}
}
