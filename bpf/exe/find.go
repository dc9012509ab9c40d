package exe

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Find returns the files that a path or name stands for, or nil if there are none. A path with a
// slash is used as is; it may contain wildcards. A name without a slash is that of a program in
// $PATH or of a library as the loader finds it: "libc.so.6", "libc" or "c".
func Find(name string) []string {
	if strings.Contains(name, "/") {
		if strings.ContainsAny(name, "*?[") {
			if _, err := os.Lstat(name); err != nil {
				found, err := filepath.Glob(name)
				if err != nil {
					return nil
				}
				return found
			}
		}
		return []string{name}
	}
	program := func() []string {
		if p, err := exec.LookPath(name); err == nil {
			return []string{p}
		}
		return nil
	}
	if strings.Contains(name, ".so") {
		if lib := library(name); lib != "" {
			return []string{lib}
		}
		return program()
	}
	if p := program(); p != nil {
		return p
	}
	if lib := library(name); lib != "" {
		return []string{lib}
	}
	return nil
}

// library finds a library by its full or short name, first in the loader's cache, then in the
// loader's directories.
func library(name string) string {
	var fuller []string // names with a version suffix, in the loader's order: libssl.so.3
	try := func(path string) bool {
		switch base := filepath.Base(path); {
		case base == name, base == "lib"+name+".so", base == name+".so":
			if usable(path) {
				return true
			}
		case strings.HasPrefix(base, "lib"+name+".so."), strings.HasPrefix(base, name+".so."):
			fuller = append(fuller, path)
		}
		return false
	}
	for _, path := range cached() {
		if try(path) {
			return path
		}
	}
	for _, dir := range loaderDirs() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // the directory need not exist
		}
		for _, e := range entries {
			if path := filepath.Join(dir, e.Name()); try(path) {
				return path
			}
		}
	}
	for _, path := range fuller {
		if usable(path) {
			return path
		}
	}
	return ""
}

// usable reports whether path is a library for this host. /usr/lib may contain 32-bit libraries, or
// a linker script named libc.so.
func usable(path string) bool {
	x, err := Open(path)
	if err != nil {
		return false
	}
	return x.Close() == nil
}

// ldCache is the loader's list of libraries (ldconfig(8)). Its format is defined in glibc's
// sysdeps/generic/dl-cache.h.
const ldCache = "/etc/ld.so.cache"

// cached returns the paths in the loader's cache in order, or nil if there is no cache.
func cached() []string {
	b, err := os.ReadFile(ldCache)
	if err != nil {
		return nil
	}
	return parseCache(b)
}

func parseCache(b []byte) []string {
	const magic, headSize, entrySize = "glibc-ld.so.cache1.1", 48, 24
	at := bytes.Index(b, []byte(magic)) // the old format may precede it
	if at < 0 || len(b) < at+headSize {
		return nil
	}
	b = b[at:]
	n := int(binary.NativeEndian.Uint32(b[20:]))
	var out []string
	for i := range n {
		entry := headSize + i*entrySize
		if entry+entrySize > len(b) {
			return out
		}
		value := int(binary.NativeEndian.Uint32(b[entry+8:]))
		if value >= len(b) {
			continue
		}
		path, _, ok := strings.Cut(string(b[value:min(len(b), value+4096)]), "\x00")
		if ok && !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}

// loaderDirs returns the directories of /etc/ld.so.conf, followed by the loader's built-in ones.
func loaderDirs() []string {
	dirs := configured("/etc/ld.so.conf", 0)
	for _, d := range []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		if !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// configured returns the directories listed in a configuration file of the loader and in the files
// that it includes.
func configured(file string, depth int) []string {
	b, err := os.ReadFile(file)
	if err != nil || depth > 8 {
		return nil
	}
	var dirs []string
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) >= 2 && words[0] == "include":
			pattern := words[1]
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(file), pattern)
			}
			found, err := filepath.Glob(pattern)
			if err != nil {
				continue // the loader ignores it too
			}
			for _, f := range found {
				dirs = append(dirs, configured(f, depth+1)...)
			}
		case len(words) == 1:
			dirs = append(dirs, words[0])
		}
	}
	return dirs
}
