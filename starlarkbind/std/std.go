// Package std embeds the standard library: the modules that scripts load as "std/NAME.star". They
// are written in Starlark and use what every script can use. A module of the library loads other
// modules only by their full names, load("std/NAME.star", ...).
//
// Each module and each function has a docstring with an example, of which docs/std.md is made, and
// is tested in testdata/NAME_test.star.
//
//	std.go   the embedded files
//	*.star   one module each
package std

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.star
var files embed.FS

// Prefix begins the names of the library's modules.
const Prefix = "std/"

// Read returns the text of the module name, which begins with Prefix. The error is fs.ErrNotExist
// if there is no such module.
func Read(name string) ([]byte, error) {
	rest, ok := strings.CutPrefix(name, Prefix)
	if !ok || !fs.ValidPath(rest) {
		return nil, fs.ErrNotExist
	}
	return files.ReadFile(rest)
}

// Names returns the names of all modules, sorted.
func Names() []string {
	list, err := fs.Glob(files, "*.star")
	if err != nil {
		panic(err) // the pattern is malformed
	}
	for i := range list {
		list[i] = Prefix + list[i]
	}
	return list
}
