package ctype

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

func kernel(t *testing.T) (*Table, *btf.Spec, []byte) {
	t.Helper()
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Fatal(err)
	}
	table, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	return table, spec, raw
}

// Every struct, union and enum of the running kernel reads the same as with cilium/ebpf.
func TestKernelTypes(t *testing.T) {
	table, spec, _ := kernel(t)
	structs, enums, fields, bitfields := 0, 0, 0, 0
	compare := func(id uint32, name string, size uint32, members []btf.Member) {
		got := table.get(id)
		if !strings.HasSuffix(got.Name, name) || got.Size != int(size) || len(got.Members()) != len(members) {
			t.Fatalf("type %d: got %s of %d bytes, %d members; want %s, %d, %d", id, got, got.Size, len(got.Members()), name, size, len(members))
		}
		for i, m := range members {
			g := got.Members()[i]
			n, err := btf.Sizeof(m.Type)
			if err != nil {
				n = 0
			}
			if g.Name != m.Name || g.Off != int(m.Offset) || g.Bits != int(m.BitfieldSize) || g.Type.Kind != Other && g.Type.Size != n {
				t.Fatalf("%s.%s: got %+v (%d bytes), want %+v (%d bytes)", got, m.Name, g, g.Type.Size, m, n)
			}
			fields++
			if g.Bits != 0 {
				bitfields++
			}
		}
	}
	for id := 1; id < len(table.offsets); id++ {
		ty, err := spec.TypeByID(btf.TypeID(id))
		if err != nil {
			t.Fatal(err)
		}
		switch ty := ty.(type) {
		case *btf.Struct:
			structs++
			compare(uint32(id), ty.Name, ty.Size, ty.Members)
		case *btf.Union:
			structs++
			compare(uint32(id), ty.Name, ty.Size, ty.Members)
		case *btf.Enum:
			enums++
			got := table.get(uint32(id)).Values()
			if len(got) != len(ty.Values) {
				t.Fatalf("%s: %d enumerators, want %d", ty.Name, len(got), len(ty.Values))
			}
			for i, v := range ty.Values {
				want := int64(v.Value)
				if ty.Signed && ty.Size == 4 {
					want = int64(int32(v.Value))
				}
				if got[i].Name != v.Name || got[i].N != want {
					t.Fatalf("%s: got %+v, want %s = %d", ty.Name, got[i], v.Name, want)
				}
			}
		}
	}
	if structs < 1000 || enums < 100 || fields < 10000 || bitfields < 100 {
		t.Errorf("compared only %d structs, %d fields (%d of bits), %d enums", structs, fields, bitfields, enums)
	}
}

func TestLookup(t *testing.T) {
	table, _, _ := kernel(t)
	task, ok := table.Lookup("struct task_struct")
	if !ok || task.Kind != Struct {
		t.Fatal("no struct task_struct")
	}
	parent, ok := task.Find("real_parent")
	if !ok || parent.Type.Kind != Pointer || parent.Type.Elem() != task || parent.Type.String() != "struct task_struct *" {
		t.Errorf("real_parent: %+v", parent)
	}
	for name, want := range map[string]Type{"pid_t": {Kind: Int, Size: 4, Signed: true}, "unsigned int": {Kind: Int, Size: 4}, "enum hrtimer_mode": {Kind: Enum, Size: 4},
		"kuid_t": {Kind: Struct, Size: 4}} {
		got, ok := table.Lookup(name)
		if !ok || got.Kind != want.Kind || got.Size != want.Size || got.Signed != want.Signed || got.String() != name {
			t.Errorf("%s: %v %+v", name, ok, got)
		}
	}
	for _, name := range []string{"struct no_such", "task_struct", "", "struct "} {
		if got, ok := table.Lookup(name); ok {
			t.Errorf("Lookup(%q) = %s", name, got)
		}
	}
	if ty, n, ok := table.Enumerator("BPF_MAP_TYPE_PERCPU_HASH"); !ok || n != 5 || ty.String() != "enum bpf_map_type" {
		t.Errorf("BPF_MAP_TYPE_PERCPU_HASH: %s %d %v", ty, n, ok)
	}
	if _, _, ok := table.Enumerator("NO_SUCH_ENUMERATOR"); ok {
		t.Error("NO_SUCH_ENUMERATOR was found")
	}
}

// Truncated BTF is an error, at whatever byte it ends.
func TestParseCut(t *testing.T) {
	_, _, raw := kernel(t)
	for n := 0; n < len(raw); n += 1 + n/3 {
		if _, err := Parse(raw[:n:n]); err == nil {
			t.Errorf("the first %d of %d bytes: no error", n, len(raw))
		}
	}
}

func BenchmarkParse(b *testing.B) {
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		table, err := Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := table.Lookup("struct task_struct"); !ok {
			b.Fatal("no task_struct")
		}
	}
}

// Functions are found by comparing and by the index alike.
func TestFuncs(t *testing.T) {
	table, _, _ := kernel(t)
	ids := map[string][]uint32{}
	for name, id := range table.FuncNames() {
		ids[string(name)] = append(ids[string(name)], id)
	}
	if len(ids) < 10_000 {
		t.Fatalf("only %d functions", len(ids))
	}
	for range scansBefore + 1 {
		fs := table.Funcs("vfs_read")
		const want = "ssize_t (struct file *file, char __user *buf, size_t count, loff_t *pos)"
		if len(fs) != 1 || strings.ReplaceAll(fs[0].Decl, "__user ", "") != strings.ReplaceAll(want, "__user ", "") || fs[0].ID != ids["vfs_read"][0] {
			t.Fatalf("vfs_read: %+v", fs)
		}
	}
	if table.names.built.Load() == nil {
		t.Fatal("the index was not built")
	}
	for name, want := range ids {
		var got []uint32
		for _, f := range table.Funcs(name) {
			got = append(got, f.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", name, got, want)
		}
	}
	if fs := table.Funcs("no_such_function"); fs != nil {
		t.Errorf("no_such_function: %+v", fs)
	}
}

func BenchmarkFind(b *testing.B) {
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		b.Fatal(err)
	}
	table, err := Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			table.names.searches.Store(0)
			table.names.built.Store(nil)
			table.FuncID("no_such")
		}
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			table.index()
		}
	})
}
