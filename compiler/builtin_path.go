package compiler

import (
	"go.starlark.net/syntax"

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

func checkPath(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	if anyInvalid(args) {
		return invalid(call.Lparen)
	}
	n := int64(256)
	if args[1] != nil {
		k, ok := args[1].(*eConst)
		if !ok || k.t.Kind != types.Int || word(k.v) < minPath || word(k.v) > MaxStr {
			return c.bad(args[1].position(), "", "path: max must be a constant from %d to %d", minPath, MaxStr)
		}
		n = word(k.v)
	}
	x := c.addressOf(args[0])
	const hint = `path(e.args.file), path(e.task.fs.pwd), path(cast(addr, "struct path"))`
	if x.typ().Kind != types.Ptr {
		return c.bad(x.position(), hint, "path needs a pointer to a struct path or a struct file; %s is not a pointer", x.typ().WithArticle())
	}
	ct := c.pointee(x.typ(), x.position())
	if ct == nil {
		return invalid(call.Lparen)
	}
	switch ct.Name {
	case "struct path":
	case "struct file":
		off, ok := c.offsetIn(ct, "f_path", call.Lparen)
		if !ok {
			return invalid(call.Lparen)
		}
		x = &eBinary{node{types.TUint, call.Lparen}, syntax.PLUS, c.wantInt(x, "the pointer"), intConst(int64(off), call.Lparen)}
	case "struct dentry":
		return c.bad(x.position(), "use the struct path or struct file that contains it", "path: a dentry alone has no path: it does not record where its file system is mounted")
	default:
		return c.bad(x.position(), hint, "path needs a pointer to a struct path or a struct file, not to %s", types.WithArticle(ct.String()))
	}
	at := lookupPathLayout(c, call.Lparen)
	if at == nil {
		return invalid(call.Lparen)
	}
	return &ePath{node{types.TStr(int(n) - 1), call.Lparen}, x, at}
}

// lookupPathLayout looks up the members. After an error, which it reports, it returns nil.
func lookupPathLayout(c *checker, pos syntax.Position) *pathLayout {
	ok := true
	off := func(typ string, members ...string) (window, []int) {
		var out []int
		ct := c.lookup(typ, pos)
		if ct == nil {
			ok = false
			return window{}, make([]int, len(members))
		}
		for _, m := range members {
			n, found := c.offsetIn(ct, m, pos)
			ok = ok && found
			out = append(out, n)
		}
		w := window{out[0], 8}
		for _, n := range out {
			end := max(w.start+w.size, n+8)
			w.start = min(w.start, n)
			w.size = end - w.start
		}
		for i := range out {
			out[i] -= w.start
		}
		return w, out
	}
	one := func(typ, member string) int {
		w, _ := off(typ, member)
		return w.start
	}
	l := &pathLayout{mnt: one("struct path", "mnt"), dentry: one("struct path", "dentry"), fs: one("struct task_struct", "fs"), root: one("struct fs_struct", "root"),
		vfsmount: one("struct mount", "mnt"), super: one("struct dentry", "d_sb"), fsType: one("struct super_block", "s_type"), label: one("struct file_system_type", "name")}
	var o []int
	l.mount, o = off("struct mount", "mnt_parent", "mnt_mountpoint", "mnt.mnt_root")
	l.parent, l.point, l.top = o[0], o[1], o[2]
	l.entry, o = off("struct dentry", "d_hash.pprev", "d_parent", "d_name.len", "d_name.name")
	l.hash, l.up, l.size, l.name = o[0], o[1], o[2], o[3]
	if !ok {
		return nil
	}
	if l.mount.size > maxWindow || l.entry.size > maxWindow {
		c.errorf(pos, "", "path: the file system structs of this kernel have an unknown layout")
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
