package vmtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Files lists the contents of an initramfs. It maps a path in the archive, without a leading slash,
// to a file on the host. Directories are created as needed.
type Files map[string]string

// AddTree adds the regular files below the directory src under the path dst. If skip is not nil, it
// is called with each name relative to src; files and directories for which it returns true are
// left out.
func (f Files) AddTree(dst, src string, skip func(name string, d fs.DirEntry) bool) error {
	return filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		if rel != "." && skip != nil && skip(rel, d) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			f[path.Join(dst, filepath.ToSlash(rel))] = p
		}
		return nil
	})
}

const pageSize = 4096

// writeCPIO writes files as a cpio archive in the newc format, which the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst). folders are directories to create
// in addition to those that contain files. The archive is padded to whole pages: QEMU loads it at
// the highest page boundary where it fits, and the rest of the last page of memory contains
// firmware tables, without which the kernel does not find the second CPU.
func writeCPIO(out io.Writer, files Files, folders ...string) error {
	var written counter
	w := bufio.NewWriterSize(io.MultiWriter(out, &written), 1<<20)
	made := map[string]bool{".": true, "/": true}
	ino := 0
	entry := func(name string, mode uint32, size int64) error {
		ino++
		links := 1
		if _, err := fmt.Fprintf(w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", ino, mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name)+1, 0, name); err != nil {
			return err
		}
		return pad(w, int64(110+len(name)+1))
	}
	var mkdir func(dir string) error
	mkdir = func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		return errors.Join(mkdir(path.Dir(dir)), entry(dir, 0o40755, 0))
	}
	for _, dir := range folders {
		if err := mkdir(dir); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := mkdir(path.Dir(name)); err != nil {
			return err
		}
		if err := addFile(w, entry, name, files[name]); err != nil {
			return err
		}
	}
	if err := errors.Join(entry("TRAILER!!!", 0, 0), w.Flush()); err != nil {
		return err
	}
	_, err := out.Write(make([]byte, -written.n.Load()&(pageSize-1)))
	return err
}

func addFile(w io.Writer, entry func(string, uint32, int64) error, name, src string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if err := entry(name, 0o100000|uint32(st.Mode().Perm()), st.Size()); err != nil {
		return err
	}
	n, err := io.Copy(w, in)
	if err == nil && n != st.Size() {
		err = fmt.Errorf("%s changed while it was read", src)
	}
	return errors.Join(err, pad(w, n))
}

// pad writes the zero bytes that align an entry of n bytes to a multiple of 4.
func pad(w io.Writer, n int64) error {
	_, err := io.WriteString(w, strings.Repeat("\x00", int(-n&3)))
	return err
}
