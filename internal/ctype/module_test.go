package ctype

import (
	"encoding/binary"
	"testing"
)

// The types of a module refer to those of the kernel, and their names come from the kernel's
// strings and from the module's own.
func TestParseOnto(t *testing.T) {
	base, _, _ := kernel(t)
	task, ok := base.find("task_struct", btfStruct)
	if !ok {
		t.Fatal("no task_struct")
	}
	taskHead, _ := base.head(task)
	first, strBase := uint32(len(base.offsets)), uint32(len(base.strs))
	strs := "\x00ours\x00owner\x00ours_open\x00"
	str := func(off uint32) uint32 { return strBase + off }
	words := []uint32{
		0, btfPtr << 24, task, // first: struct task_struct *
		str(1), btfStruct<<24 | 2, 16, // first+1: struct ours
		str(6), first, 0, // .owner
		taskHead.name, first, 64, // .task_struct
		0, btfFuncProto<<24 | 1, first + 4, // first+2: returns struct ours *
		str(6), first, // owner
		str(12), btfFunc << 24, first + 2, // first+3
		0, btfPtr << 24, first + 1, // first+4: struct ours *
		str(12), btfFunc << 24, first + 2, // first+5: a second function of that name
	}
	blob := binary.NativeEndian.AppendUint32(nil, 0x1eb9f)
	for _, w := range []uint32{24, 0, uint32(4 * len(words)), uint32(4 * len(words)), uint32(len(strs))} {
		blob = binary.NativeEndian.AppendUint32(blob, w)
	}
	for _, w := range words {
		blob = binary.NativeEndian.AppendUint32(blob, w)
	}
	blob = append(blob, strs...)
	m, err := ParseOnto(base, blob)
	if err != nil {
		t.Fatal(err)
	}
	ours, ok := m.Lookup("struct ours")
	if !ok || ours.Size != 16 || len(ours.Members()) != 2 {
		t.Fatalf("struct ours: %+v", ours)
	}
	kernelTask, _ := base.Lookup("struct task_struct")
	for i, name := range []string{"owner", "task_struct"} {
		if f := ours.Members()[i]; f.Name != name || f.Off != 64*i || f.Type.Elem() != kernelTask {
			t.Errorf("member %d: %+v", i, f)
		}
	}
	if _, ok := base.Lookup("struct ours"); ok {
		t.Error("the kernel has got a struct of the module")
	}
	if _, ok := m.Lookup("struct task_struct"); ok {
		t.Error("the module has got a struct of the kernel")
	}
	var fs []Func
	for range scansBefore + 1 { // then there is an index
		fs = m.Funcs("ours_open")
		if len(fs) != 2 || fs[0].ID != first+3 || fs[1].ID != first+5 || fs[1].Decl != "struct ours *(struct task_struct *owner)" {
			t.Fatalf("functions: %+v", fs)
		}
	}
	if ps := fs[0].Params; len(ps) != 1 || ps[0].Name != "owner" || ps[0].Type.Elem() != kernelTask || ps[0].CType != "struct task_struct *" {
		t.Errorf("parameters: %+v", ps)
	}
	if r := fs[0].Result; r.Type.Elem() != ours {
		t.Errorf("result: %+v", r)
	}
	for n := range blob {
		if _, err := ParseOnto(base, blob[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken", n, len(blob))
		}
	}
}
