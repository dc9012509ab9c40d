package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.starlark.net/starlark"
)

// Write writes a file. It is written completely or not at all, and only its owner can access it. A
// symbolic link of that name is replaced. fn is the name of the builtin that was called, for
// errors.
func (f *Files) Write(fn, path string, data []byte) error {
	return f.write.within(fn, path, parent, func(root *os.Root, name string) (err error) {
		part := name + fmt.Sprintf(".%d.part", os.Getpid())
		file, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = file.Write(data)
		err = errors.Join(err, file.Close())
		if err == nil {
			err = root.Rename(part, name)
		}
		if err != nil {
			err = errors.Join(err, root.Remove(part))
		}
		return err
	})
}

// parent resolves symbolic links in the path to a file, but not one at the file's own name.
func parent(abs string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	return filepath.Join(dir, filepath.Base(abs)), err
}

// append appends to a file, which it creates if there is none.
func (f *Files) append(fn, path string, data []byte) error {
	return f.write.within(fn, path, parent, func(root *os.Root, name string) error {
		return withRegular(root, name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, func(file *os.File, _ int64) error {
			_, err := file.Write(data)
			return err
		})
	})
}

// WriteFile implements write_file(path, text).
func (f *Files) WriteFile(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	return starlark.None, f.written(b, args, kw, f.Write)
}

// AppendFile implements append_file(path, text).
func (f *Files) AppendFile(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	return starlark.None, f.written(b, args, kw, f.append)
}

func (f *Files) written(b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple, write func(fn, path string, data []byte) error) error {
	var path string
	var text starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kw, "path", &path, "text", &text); err != nil {
		return err
	}
	switch text := text.(type) {
	case starlark.String:
		return write(b.Name(), path, []byte(text))
	case starlark.Bytes:
		return write(b.Name(), path, []byte(text))
	}
	return fmt.Errorf("%s: the text must be a string or bytes, got %s; write to_json(x), to_csv(x) or str(x)", b.Name(), text.Type())
}
