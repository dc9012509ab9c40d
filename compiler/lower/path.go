package lower

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/ir"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
)

// bpf_d_path is available to a few programs only, so a path is built from reads, as prepend_path
// (fs/d_path.c) does it: from the file's entry upwards, and from the root of a file system to its
// mount point, until the root of the running process is reached. The text is written from its end
// to its beginning. No lock is held, so a path of which a part is being renamed may mix the old and
// the new parts.
//
// A file outside the tree (a pipe, a socket, a memfd) is named by its file system and its own name:
// "pipefs:", "sockfs:TCP".

// MaxParts bounds the number of names and mounts in a path.
const MaxParts = 64

// maxName is the maximum length of a name (NAME_MAX).
const maxName = 255

// deleted is what the kernel appends to the path of a deleted file.
const deleted = " (deleted)"

// Offsets in the memory in which a path is built.
const (
	pathRoot  = 0
	pathGiven = pathRoot + 16
	pathEntry = pathGiven + 16
	pathMount = pathEntry + tree.MaxWindow
	pathPos   = pathMount + tree.MaxWindow // where the text built so far starts, relative to pathText
	pathText  = pathPos + 8
)

// readPath builds the string in dst.
func (lw *Lowerer) readPath(e *tree.PathExpr, dst mem) {
	b := lw.B
	size := e.T.Cap
	p := lw.Value(e.Ptr).W
	lw.fill(dst, 0)
	room := lw.allocTemp(pathText+size+maxName+1, "path")
	b.Pos = e.Pos
	at := b.Add(ir.OpCallSub, lw.addr(room), p)
	at.Sym = lw.pathMaker(e.Layout, size)
	failed, ok, long, unread, done := b.Block("no path"), b.Block("path"), b.Block("too long"), b.Block("unread"), b.Block("")
	failed.Cold, long.Cold, unread.Cold = true, true, true
	b.If(ir.UGT, at, b.Const(int64(size-1)), failed, ok)
	b.Continue(ok)
	text := b.Add(ir.OpAdd, lw.addr(room.at(pathText)), at)
	// The program's own memory: it cannot fail.
	lw.Call(asm.FnProbeReadKernelStr, lw.addr(dst), b.Const(int64(min(dst.cap, size))), text)
	b.Jump(done)
	b.Continue(failed)
	b.If(ir.EQ, at, b.Const(-errLong), long, unread)
	b.Continue(long)
	lw.Fail(Site{Pos: e.Pos, Helper: "path", Op: "path"}, at)
	b.Jump(done)
	b.Continue(unread)
	lw.Fail(Site{Pos: e.Pos, Helper: "probe_read_kernel", Op: "path", Quiet: true}, at)
	b.Jump(done)
	b.Continue(done)
}

// pathMaker returns the name of the subprogram that builds a path of up to size bytes, including
// the NUL. The subprogram takes the address of the memory and that of a struct path, and returns
// the offset in the text at which the path starts, or a negative errno.
func (lw *Lowerer) pathMaker(l *tree.PathLayout, size int) string {
	if name := lw.paths[size]; name != "" {
		return lw.weighSub(name)
	}
	lw.paths[size] = lw.callback("path", 2, func(args []*ir.Value) *ir.Value {
		m := &pathMaker{lw: lw, l: l, room: args[0], size: int64(size), out: lw.B.Block("out"), result: new(int)}
		m.walk(args[1])
		return lw.B.Read(m.result)
	})
	return lw.paths[size]
}

// A pathMaker generates the code of one subprogram.
type pathMaker struct {
	lw     *Lowerer
	l      *tree.PathLayout
	room   *ir.Value
	size   int64
	out    *ir.Block
	result *int
}

// read reads into the memory at off; if that fails, the errno is the result.
func (m *pathMaker) read(off, size int, from *ir.Value) {
	b := m.lw.B
	r := m.lw.Call(asm.FnProbeReadKernel, m.lw.plus(m.room, off), b.Const(int64(size)), from)
	m.check(r)
}

func (m *pathMaker) check(r *ir.Value) {
	b := m.lw.B
	ok := b.Block("")
	b.Write(m.result, r)
	b.If(ir.SLT, r, b.Const(0), m.out, ok)
	b.Continue(ok)
}

func (m *pathMaker) load(off int) *ir.Value { return m.lw.B.Load(m.room, off, 8, false) }

// setPos records where the text starts. The position is kept in memory, where the verifier does not
// track its value: it would follow every possible value of a variable, one for each path through
// the previous names.
func (m *pathMaker) setPos(pos *ir.Value) { m.lw.B.Store(m.room, pathPos, 8, pos) }

// fits leaves with ENAMETOOLONG if there is no space for n more bytes, and returns where they
// start: as an offset and as an address.
func (m *pathMaker) fits(n *ir.Value) (pos, addr *ir.Value) {
	b := m.lw.B
	ok := b.Block("")
	pos = b.Add(ir.OpSub, m.load(pathPos), n)
	b.Write(m.result, b.Const(-errLong))
	b.If(ir.UGT, pos, b.Const(m.size-1), m.out, ok)
	b.Continue(ok)
	return pos, b.Add(ir.OpAdd, m.lw.plus(m.room, pathText), pos)
}

func (m *pathMaker) walk(p *ir.Value) {
	lw, l, b := m.lw, m.l, m.lw.B
	m.read(pathGiven, 16, p)
	m.processRoot()
	b.Store(m.room, pathText+int(m.size)-1, 1, b.Const(0))
	m.setPos(b.Const(m.size - 1))
	dentry, vfs := new(int), new(int)
	b.Write(dentry, m.load(pathGiven+l.Dentry))
	b.Write(vfs, m.load(pathGiven+l.Mnt))
	mount := func(vfs *ir.Value) {
		m.read(pathMount, l.Mount.Size, b.Add(ir.OpAdd, vfs, b.Const(int64(l.Mount.Start-l.Vfsmount))))
	}
	mount(b.Read(vfs))
	m.read(pathEntry, l.Entry.Size, lw.plus(b.Read(dentry), l.Entry.Start))
	m.markDeleted(b.Read(dentry))
	_, noIterator := lw.Req.Kfunc(tree.IterNew)
	out, long := m.out, b.Block("too long")
	lw.boundedLoop(noIterator == nil, b.Const(MaxParts), out, long, func(_ *ir.Value, next, leave *ir.Block) {
		m.out = leave
		rootEntry, inside, top, name, cross, up, lost, done := b.Block(""), b.Block(""), b.Block("top"), b.Block("name"), b.Block("cross"), b.Block("up"), b.Block("lost"), b.Block("whole")
		d := b.Read(dentry)
		b.If(ir.EQ, d, m.load(pathRoot+l.Dentry), rootEntry, inside)
		b.Continue(rootEntry)
		b.If(ir.EQ, b.Read(vfs), m.load(pathRoot+l.Mnt), done, inside)
		b.Continue(inside)
		b.If(ir.EQ, d, m.load(pathMount+l.Top), top, name)

		b.Continue(top)
		over := b.Add(ir.OpAdd, m.load(pathMount+l.Parent), b.Const(int64(l.Vfsmount)))
		b.If(ir.EQ, over, b.Read(vfs), done, cross) // not mounted: the top of a namespace
		b.Continue(cross)
		b.Write(dentry, m.load(pathMount+l.Point))
		b.Write(vfs, over)
		mount(over)
		b.Jump(next)

		b.Continue(name)
		m.read(pathEntry, l.Entry.Size, lw.plus(d, l.Entry.Start))
		parent := m.load(pathEntry + l.Up)
		b.If(ir.EQ, parent, d, lost, up)
		b.Continue(up)
		m.prependName(true)
		b.Write(dentry, parent)
		b.Jump(next)

		b.Continue(lost)
		m.prependName(false)
		m.prependFileSystem(d)
		b.Write(m.result, m.load(pathPos))
		b.Jump(m.out)

		b.Continue(done)
		empty, some := b.Block("root"), b.Block("")
		b.Write(m.result, m.load(pathPos))
		b.If(ir.EQ, m.load(pathPos), b.Const(m.size-1), empty, some)
		b.Continue(empty)
		b.Store(m.room, pathText+int(m.size)-2, 1, b.Const('/'))
		b.Write(m.result, b.Const(m.size-2))
		b.Jump(some)
		b.Continue(some)
		b.Jump(m.out)
	})
	b.Continue(long)
	b.Write(m.result, b.Const(-errLong))
	b.Jump(out)
	b.Continue(out)
}

// processRoot reads the root of the running process. An exiting process has none: its paths start
// at the top.
func (m *pathMaker) processRoot() {
	lw, b := m.lw, m.lw.B
	read := func(off, size int, from *ir.Value) {
		// This leaves zeros on failure.
		lw.Call(asm.FnProbeReadKernel, lw.plus(m.room, off), b.Const(int64(size)), from)
	}
	read(pathEntry, 8, lw.plus(lw.PureCall(asm.FnGetCurrentTask), m.l.Fs))
	read(pathRoot, 16, lw.plus(m.load(pathEntry), m.l.Root))
}

// markDeleted appends the mark to the text if the entry is no longer in any directory.
func (m *pathMaker) markDeleted(dentry *ir.Value) {
	b := m.lw.B
	unhashed, gone, there := b.Block("unhashed"), b.Block("gone"), b.Block("")
	b.If(ir.EQ, m.load(pathEntry+m.l.Hash), b.Const(0), unhashed, there)
	b.Continue(unhashed)
	b.If(ir.NE, m.load(pathEntry+m.l.Up), dentry, gone, there)
	b.Continue(gone)
	at := int(m.size) - 1 - len(deleted)
	for i := range len(deleted) {
		b.Store(m.room, pathText+at+i, 1, b.Const(int64(deleted[i])))
	}
	m.setPos(b.Const(int64(at)))
	b.Jump(there)
	b.Continue(there)
}

// prependName puts the name of the entry that was just read before the text, with a slash before
// the name if slash is set.
func (m *pathMaker) prependName(slash bool) {
	b := m.lw.B
	n := b.Load(m.room, pathEntry+m.l.Size, 4, false)
	from := m.load(pathEntry + m.l.Name)
	ok := b.Block("")
	b.Write(m.result, b.Const(-errLong))
	b.If(ir.UGT, n, b.Const(maxName), m.out, ok) // never
	b.Continue(ok)
	before := int64(0)
	if slash {
		before = 1
	}
	pos, addr := m.fits(b.Add(ir.OpAdd, n, b.Const(before)))
	m.check(m.lw.Call(asm.FnProbeReadKernel, m.lw.plus(addr, int(before)), n, from))
	if slash {
		b.Store(addr, 0, 1, b.Const('/'))
	}
	m.setPos(pos)
}

// prependFileSystem puts the type of the entry's file system before the text.
func (m *pathMaker) prependFileSystem(dentry *ir.Value) {
	lw, b := m.lw, m.lw.B
	m.read(pathMount, 8, lw.plus(dentry, m.l.Super))
	m.read(pathMount, 8, lw.plus(m.load(pathMount), m.l.FsType))
	m.read(pathMount, 8, lw.plus(m.load(pathMount), m.l.Label))
	n := lw.Call(asm.FnProbeReadKernelStr, lw.plus(m.room, pathMount), b.Const(tree.MaxWindow), m.load(pathMount))
	m.check(n)
	pos, addr := m.fits(b.Const(1))
	b.Store(addr, 0, 1, b.Const(':'))
	m.setPos(pos)
	n = b.Add(ir.OpAnd, b.Add(ir.OpSub, n, b.Const(1)), b.Const(tree.MaxWindow-1)) // without the NUL
	pos, addr = m.fits(n)
	m.check(lw.Call(asm.FnProbeReadKernel, addr, n, lw.plus(m.room, pathMount)))
	m.setPos(pos)
}
