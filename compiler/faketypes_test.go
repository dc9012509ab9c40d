package compiler

import (
	"github.com/bpfrepl/bpfrepl/internal/ctype"
)

// fakeTypes is a kernel with a few types, one of each kind.
type fakeTypes map[string]*ctype.Type

func (f fakeTypes) Lookup(name string) (*ctype.Type, error) { return f[name], nil }

func (f fakeTypes) Names(name string) ([]string, error) {
	var out []string
	for n := range f {
		out = append(out, n)
	}
	return out, nil
}

// basicTypeNames has the basic types of the members below.
var basicTypeNames = map[string]*ctype.Type{
	"void":          {Kind: ctype.Void},
	"char":          {Kind: ctype.Char, Name: "char", Size: 1, Signed: true},
	"bool":          {Kind: ctype.Bool, Name: "bool", Size: 1},
	"unsigned char": {Kind: ctype.Int, Name: "unsigned char", Size: 1},
	"u16":           {Kind: ctype.Int, Name: "u16", Size: 2},
	"int":           {Kind: ctype.Int, Name: "int", Size: 4, Signed: true},
	"unsigned int":  {Kind: ctype.Int, Name: "unsigned int", Size: 4},
	"u32":           {Kind: ctype.Int, Name: "u32", Size: 4},
	"long":          {Kind: ctype.Int, Name: "long", Size: 8, Signed: true},
	"u64":           {Kind: ctype.Int, Name: "u64", Size: 8},
}

func newFakeTypes() fakeTypes {
	f := fakeTypes{}
	basic := func(name string) *ctype.Type { return basicTypeNames[name] }
	at := func(name string, bytes int, t *ctype.Type) ctype.Member {
		return ctype.Member{Name: name, Type: t, Off: 8 * bytes}
	}
	ptr := ctype.PointerTo
	f["enum mode"] = ctype.NewEnum("enum mode", ctype.Value{Name: "IDLE", N: 0}, ctype.Value{Name: "BUSY", N: 1})
	f["struct list_head"] = ctype.NewStruct("struct list_head", 16, func() []ctype.Member {
		return []ctype.Member{at("next", 0, ptr(f["struct list_head"])), at("prev", 8, ptr(f["struct list_head"]))}
	})
	f["struct inner"] = ctype.NewStruct("struct inner", 16, func() []ctype.Member {
		return []ctype.Member{at("a", 0, basic("int")), at("u", 8, f["union u"])}
	})
	f["union u"] = ctype.NewUnion("union u", 8, func() []ctype.Member {
		return []ctype.Member{at("task", 0, ptr(f["struct task_struct"])), at("word", 0, basic("u64"))}
	})
	f["struct dentry"] = ctype.NewStruct("struct dentry", 8, func() []ctype.Member { return []ctype.Member{at("d_inode", 0, ptr(basic("void")))} })
	f["struct file"] = ctype.NewStruct("struct file", 8, func() []ctype.Member { return nil })
	f["struct task_struct"] = ctype.NewStruct("struct task_struct", 512, func() []ctype.Member {
		user := *ptr(basic("char"))
		user.User = true
		anon := ctype.NewStruct("", 8, func() []ctype.Member { return []ctype.Member{at("hidden", 4, basic("u16"))} })
		return []ctype.Member{
			at("pid", 0, basic("int")), at("tgid", 4, basic("int")), at("start", 8, basic("u64")), at("comm", 16, ctype.ArrayOf(basic("char"), 16)),
			at("real_parent", 32, ptr(f["struct task_struct"])), at("mode", 40, f["enum mode"]), at("dead", 44, basic("bool")),
			{Name: "wake", Type: basic("unsigned int"), Off: 8*48 + 3, Bits: 5}, {Name: "delta", Type: basic("int"), Off: 8*48 + 30, Bits: 12},
			at("inner", 56, f["struct inner"]), at("", 72, anon), at("cpus", 80, ctype.ArrayOf(basic("u32"), 4)),
			at("children", 96, f["struct list_head"]), at("sibling", 112, f["struct list_head"]), at("uname", 128, &user), at("inners", 136, ctype.ArrayOf(f["struct inner"], 3)),
			at("fn", 184, ptr(&ctype.Type{Kind: ctype.Other})), at("any", 192, ptr(basic("void"))), at("odd", 200, &ctype.Type{Kind: ctype.Other, Name: "long double"}),
			at("get", 208, basic("long")), at("name", 216, ptr(basic("unsigned char"))), at("ptrs", 224, ctype.ArrayOf(ptr(f["struct task_struct"]), 2)),
		}
	})
	return f
}
