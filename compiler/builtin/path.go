package builtin

import (
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func pathBuiltins() []builtin {
	return []builtin{
		{
			name:    "path",
			sig:     "path(p, max=256)",
			doc:     "the path of an open file (struct file) or of a struct path, as the running process sees it; a path longer than max-1 bytes is empty and counted",
			example: "calls.add(by=path(e.task.mm.exe_file))",
			check:   checkPath,
			host:    hostPath,
		},
	}
}

// minPath has room for the shortest path of a deleted file, which ends in " (deleted)".
const minPath = 16

func checkPath(c *check.Checker, row *check.Builtin, call *syntax.CallExpr, args []tree.Expr) tree.Expr {
	if check.AnyInvalid(args) {
		return tree.Invalid(call.Lparen)
	}
	n := int64(256)
	if args[1] != nil {
		k, ok := args[1].(*tree.ConstExpr)
		if !ok || k.T.Kind != types.Int || tree.Word(k.Value) < minPath || tree.Word(k.Value) > tree.MaxStr {
			return c.Bad(args[1].Position(), "", "path: max must be a constant from %d to %d", minPath, tree.MaxStr)
		}
		n = tree.Word(k.Value)
	}
	x := c.AddressOf(args[0])
	const hint = `path(e.args.file), path(e.task.fs.pwd), path(cast(addr, "struct path"))`
	if x.Type().Kind != types.Ptr {
		return c.Bad(x.Position(), hint, "path needs a pointer to a struct path or a struct file; %s is not a pointer", x.Type().WithArticle())
	}
	ct := c.Pointee(x.Type(), x.Position())
	if ct == nil {
		return tree.Invalid(call.Lparen)
	}
	switch ct.Name {
	case "struct path":
	case "struct file":
		off, ok := c.OffsetIn(ct, "f_path", call.Lparen)
		if !ok {
			return tree.Invalid(call.Lparen)
		}
		x = &tree.BinaryExpr{Node: tree.At(types.TUint, call.Lparen), Op: syntax.PLUS, X: c.WantInt(x, "the pointer"), Y: tree.IntConst(int64(off), call.Lparen)}
	case "struct dentry":
		return c.Bad(x.Position(), "use the struct path or struct file that contains it", "path: a dentry alone has no path: it does not record where its file system is mounted")
	default:
		return c.Bad(x.Position(), hint, "path needs a pointer to a struct path or a struct file, not to %s", types.WithArticle(ct.String()))
	}
	at := lookupPathLayout(c, call.Lparen)
	if at == nil {
		return tree.Invalid(call.Lparen)
	}
	return &tree.PathExpr{Node: tree.At(types.TStr(int(n)-1), call.Lparen), Ptr: x, Layout: at}
}

// lookupPathLayout looks up the members. After an error, which it reports, it returns nil.
func lookupPathLayout(c *check.Checker, pos syntax.Position) *tree.PathLayout {
	ok := true
	off := func(typ string, members ...string) (tree.Window, []int) {
		var out []int
		ct := c.LookupType(typ, pos)
		if ct == nil {
			ok = false
			return tree.Window{}, make([]int, len(members))
		}
		for _, m := range members {
			n, found := c.OffsetIn(ct, m, pos)
			ok = ok && found
			out = append(out, n)
		}
		w := tree.Window{Start: out[0], Size: 8}
		for _, n := range out {
			end := max(w.Start+w.Size, n+8)
			w.Start = min(w.Start, n)
			w.Size = end - w.Start
		}
		for i := range out {
			out[i] -= w.Start
		}
		return w, out
	}
	one := func(typ, member string) int {
		w, _ := off(typ, member)
		return w.Start
	}
	l := &tree.PathLayout{Mnt: one("struct path", "mnt"), Dentry: one("struct path", "dentry"), Fs: one("struct task_struct", "fs"), Root: one("struct fs_struct", "root"),
		Vfsmount: one("struct mount", "mnt"), Super: one("struct dentry", "d_sb"), FsType: one("struct super_block", "s_type"), Label: one("struct file_system_type", "name")}
	var o []int
	l.Mount, o = off("struct mount", "mnt_parent", "mnt_mountpoint", "mnt.mnt_root")
	l.Parent, l.Point, l.Top = o[0], o[1], o[2]
	l.Entry, o = off("struct dentry", "d_hash.pprev", "d_parent", "d_name.len", "d_name.name")
	l.Hash, l.Up, l.Size, l.Name = o[0], o[1], o[2], o[3]
	if !ok {
		return nil
	}
	if l.Mount.Size > tree.MaxWindow || l.Entry.Size > tree.MaxWindow {
		c.Errorf(pos, "", "path: the file system structs of this kernel have an unknown layout")
		return nil
	}
	return l
}

// hostPath returns its argument: the event has the path as text in place of a pointer.
func hostPath(h *hostCall) (any, error) {
	p, most := h.text(0), h.int(1, 256)
	if len(p) >= most {
		p = ""
	}
	return p, nil
}
