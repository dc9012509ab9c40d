package modules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/internal/pathcomplete"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
	"github.com/bpfrepl/bpfrepl/starlarkbind/std"
)

// A place is where a file is.
type place struct {
	id   string // the file itself: its path without symbolic links, or "<std>/NAME" in the library
	file string // its name in positions
	dir  string // the folder that its own loads are relative to; "" in the library
	root string // the folder below which it was allowed; "" in the library
}

// A search knows where modules may be.
type search struct {
	dirs  []string // searched after the folder of the file that loads: -I and $BPFREPL_PATH
	roots []string // the folders below which files may be loaded, without symbolic links
}

// allow lets files below dir be loaded.
func (s *search) allow(dir string) {
	if root := realPath(dir); root != "" && !slices.Contains(s.roots, root) {
		s.roots = append(s.roots, root)
	}
}

// realPath returns the absolute path of a file without symbolic links, or "" if there is no such
// file.
func realPath(name string) string {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return ""
	}
	if real, err = filepath.Abs(real); err != nil {
		return "" // the current folder is gone
	}
	return real
}

// FolderOf returns the folder that the loads of a file are relative to: that of the file, or of the
// file that a symbolic link leads to.
func FolderOf(file string) string {
	dir := filepath.Dir(file)
	if real := realPath(file); real != "" && realPath(dir) != filepath.Dir(real) {
		return filepath.Dir(real)
	}
	return dir
}

// find returns where the module name is that a file at from loads.
func (s *search) find(from place, name string) (place, error) {
	switch {
	case name == "":
		return place{}, &Error{Msg: "load: the name of the file is empty"}
	case strings.HasPrefix(name, std.Prefix):
		return findStd(name)
	case from.dir == "":
		return findStd(std.Prefix + name)
	}
	var paths []string
	if filepath.IsAbs(name) {
		paths = []string{filepath.Clean(name)}
	} else {
		for _, dir := range append([]string{from.dir}, s.dirs...) {
			if path := filepath.Join(dir, name); !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	var outside *Error
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return place{}, cannotLoad(name, err)
		}
		if real, err = filepath.Abs(real); err != nil {
			return place{}, cannotLoad(name, err)
		}
		root, ok := s.rootOf(real)
		if !ok {
			if outside == nil {
				outside = &Error{Msg: fmt.Sprintf("cannot load %q: %s is outside the script's folder and the folders of -I", name, real), Hint: "allow its folder with -I " + filepath.Dir(real)}
			}
			continue
		}
		return place{id: real, file: path, dir: FolderOf(path), root: root}, nil
	}
	if outside != nil {
		return place{}, outside
	}
	return place{}, s.notFound(name, paths)
}

// rootOf returns the folder below which the file at a path without symbolic links may be loaded.
func (s *search) rootOf(real string) (root string, ok bool) {
	i := slices.IndexFunc(s.roots, func(root string) bool {
		rel, err := filepath.Rel(root, real)
		return err == nil && filepath.IsLocal(rel)
	})
	if i < 0 {
		return "", false
	}
	return s.roots[i], true
}

// notFound returns the error for a module that is at none of the paths.
func (s *search) notFound(name string, paths []string) *Error {
	e := &Error{Msg: fmt.Sprintf("cannot load %q: no such file; searched %s", name, strings.Join(paths, ", "))}
	var near []string
	for _, path := range paths {
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			continue // there is nothing to suggest
		}
		for _, f := range entries {
			if f.Name() != filepath.Base(path) && strings.HasSuffix(f.Name(), ".star") {
				near = append(near, filepath.Join(filepath.Dir(name), f.Name()))
			}
		}
	}
	for _, n := range std.Names() {
		if n == std.Prefix+name {
			near = []string{n}
		}
	}
	if likely := suggest.Nearest(name, near, 1); likely != nil {
		e.Hint = fmt.Sprintf("did you mean %q?", likely[0])
	} else {
		e.Hint = "name the folder that has it with -I DIR"
	}
	return e
}

// findStd returns the place of a module of the standard library.
func findStd(name string) (place, error) {
	if slices.Contains(std.Names(), name) {
		return place{id: "<std>/" + strings.TrimPrefix(name, std.Prefix), file: name}, nil
	}
	e := &Error{Msg: fmt.Sprintf("cannot load %q: the standard library has no such module", name), Hint: "it has " + strings.Join(std.Names(), ", ")}
	if near := suggest.Nearest(name, std.Names(), 1); near != nil {
		e.Hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return place{}, e
}

// read returns the text of the module name at the place.
func (p place) read(name string) ([]byte, error) {
	if p.dir == "" {
		return std.Read(p.file)
	}
	src, err := readBelow(p.root, p.id)
	if err != nil {
		return nil, cannotLoad(name, err)
	}
	return bytes.TrimPrefix(src, source.ByteOrderMark), nil
}

// readBelow reads a regular file below the folder root. It follows no symbolic link out of it, also
// if another process puts one there now.
func readBelow(root, file string) (src []byte, err error) {
	rel, err := filepath.Rel(root, file)
	if err != nil {
		return nil, err
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	f, err := dir.OpenFile(rel, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO would wait for a writer
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return io.ReadAll(f)
}

// complete returns the names of files that begin with a prefix, sorted: scripts, folders that may
// hold some, and modules of the library.
func (s *search) complete(prefix string) []string {
	var out []string
	for _, name := range std.Names() {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	for _, dir := range append([]string{"."}, s.dirs...) {
		path := prefix
		if !filepath.IsAbs(prefix) {
			path = dir + "/" + prefix
		}
		for _, name := range pathcomplete.Complete(path) {
			if name = strings.TrimPrefix(name, strings.TrimSuffix(path, prefix)); strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".star") {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
