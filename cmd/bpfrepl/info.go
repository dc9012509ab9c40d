package main

import (
	"fmt"
	"io"

	"github.com/bpfrepl/bpfrepl/starlarkbind/kernelinfo"
)

// printInfo implements --info.
func printInfo(w io.Writer) error {
	info, err := kernelinfo.Text()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "bpfrepl %s\n%s", version, info)
	return err
}

// list implements -l.
func list(w io.Writer, pattern string, verbose bool) error {
	text, err := kernelinfo.List(pattern, verbose)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}
