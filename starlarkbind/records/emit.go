package records

import (
	"encoding/binary"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
)

// emit implements s.emit(**fields) in the script, or in a handler that the script calls. The record
// is encoded as in a handler, and read in the same way.
func (st *Stream) emit(args starlark.Tuple, kw []starlark.Tuple) error {
	if len(args) > 0 {
		return fmt.Errorf("emit() takes keyword arguments only: write emit(name=value)")
	}
	site := compiler.PrintSite{Kind: "emit", Names: []string{"time", "cpu"}, Args: []*types.Type{types.TInt, types.TInt}}
	values := []starlark.Value{starlark.MakeInt64(sys.Monotonic()), starlark.MakeInt(0)}
	for _, pair := range kw {
		name := string(pair[0].(starlark.String))
		if name == "time" || name == "cpu" {
			return fmt.Errorf("emit: each record of a stream already has a field %s", name)
		}
		t, err := codec.TypeOf(pair[1])
		if err != nil {
			return fmt.Errorf("emit: %s: %s", name, strings.Replace(err.Error(), "table", "record", 1))
		}
		site.Names, site.Args, values = append(site.Names, name), append(site.Args, t), append(values, pair[1])
	}
	rec := binary.NativeEndian.AppendUint64(nil, uint64(st.r.sites.ofScript(site)))
	for i, t := range site.Args {
		b := make([]byte, t.Size())
		if err := st.r.env.Codec.Encode(t, values[i], b); err != nil {
			return fmt.Errorf("emit: %s: %w", site.Names[i], err)
		}
		rec = append(rec, b...)
	}
	st.queue.push(rec)
	st.read++
	return nil
}
