package codec

import (
	"fmt"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/symbol"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// A sessionFormat converts the values of a format that needs the session: symbols, stacks, cgroups
// and probe names. The table of formats in package types has all others.
type sessionFormat struct {
	// show converts the kernel's value to the value that the script sees.
	show func(c *Codec, f *types.Format, w types.Words) starlark.Value
	// read is the inverse of show. It is nil if one string can stand for several kernel values.
	read func(c *Codec, v starlark.Value) (types.Words, bool)
}

var SessionFormats = map[string]sessionFormat{
	"probe": {
		func(c *Codec, _ *types.Format, w types.Words) starlark.Value {
			return starlark.String(c.ids.name(w[0]))
		},
		func(c *Codec, v starlark.Value) (types.Words, bool) {
			name, ok := v.(starlark.String)
			if !ok {
				return types.Words{}, false
			}
			return types.Words{c.ids.ID(string(name))}, true
		},
	},
	"ksym": {
		func(c *Codec, _ *types.Format, w types.Words) starlark.Value {
			return starlark.String(c.symbols.name(false, 0, w[0]))
		},
		nil,
	},
	"usym": {
		func(c *Codec, _ *types.Format, w types.Words) starlark.Value {
			return starlark.String(c.symbols.name(true, int(w[1]), w[0]))
		},
		nil,
	},
	"kstack": stackFormat(false),
	"ustack": stackFormat(true),
	"cgroup": {
		func(c *Codec, _ *types.Format, w types.Words) starlark.Value {
			path, ok, err := symbol.CgroupPath(w[0])
			if err != nil {
				c.report(err)
			}
			if !ok {
				path = fmt.Sprintf("cgroup %d", w[0])
			}
			return starlark.String(path)
		},
		nil,
	},
}

// Format converts a kernel value to the value that the script sees. If the format cannot be parsed,
// the kernel value is remembered so that parse can find it.
func (c *Codec) Format(f *types.Format, w types.Words) starlark.Value {
	if own, ok := SessionFormats[f.Name]; ok {
		v := own.show(c, f, w)
		if own.read == nil {
			c.Formatted.put(formattedKey{f.Name, f.Arg, string(v.(starlark.String))}, w)
		}
		return v
	}
	row := f.Row()
	text := row.Text(f, w)
	if row.Parse == nil {
		c.Formatted.put(formattedKey{f.Name, f.Arg, text}, w)
	}
	return starlark.String(text)
}

// parse converts a value that the script sees to the kernel's value.
func (c *Codec) parse(f *types.Format, v starlark.Value) (types.Words, error) {
	text, isText := v.(starlark.String)
	var w types.Words
	ok := false
	if own := SessionFormats[f.Name]; own.read != nil {
		w, ok = own.read(c, v)
	} else if row := f.Row(); row.Parse != nil && isText {
		w, ok = row.Parse(f, string(text))
	} else if isText {
		w, ok = c.Formatted.get(formattedKey{f.Name, f.Arg, string(text)})
	}
	if !ok {
		return w, fmt.Errorf("%s is not a valid %s", v, f.Noun)
	}
	return w, nil
}

// Word returns an int as 64 bits, or 0 if v is not an int.
func Word(v starlark.Value) uint64 {
	i, ok := v.(starlark.Int)
	if !ok {
		return 0
	}
	if n, ok := i.Int64(); ok {
		return uint64(n)
	}
	n, _ := i.Uint64()
	return n
}
