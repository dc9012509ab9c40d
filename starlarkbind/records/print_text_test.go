package records

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// The fast path from a record to its line returns the same text as the slow path, or nothing.
func TestPrintedText(t *testing.T) {
	report := func(err error) { t.Error(err) }
	c := codec.New(codec.NewProbeNames(), codec.NewSymbols(report), &codec.StackMaps{}, report)
	p := &printReader{env: &Env{Out: terminal.New(io.Discard, io.Discard, false, false, false), Codec: c}}
	kinds := []*types.Type{types.TInt, types.TUint, types.TBool, types.TStr(15), types.TStr(64), types.TNULStr(15), types.TBytes(5), {Kind: types.Opt, Elem: types.TInt}}
	words := []string{"", "sh", "kworker/0:1", "a b", "~", "\x1b[31m", "\x7f", "\u00e9\u202e", "\xff", "exactly fifteen", "0\x00behind"}
	rnd := rand.New(rand.NewPCG(1, 2))
	short := 0
	for range 20000 {
		at := &site{PrintSite: compiler.PrintSite{Kind: "print"}}
		var rec []byte
		for range rnd.IntN(4) {
			k := kinds[rnd.IntN(len(kinds))]
			at.Args = append(at.Args, k)
			b := make([]byte, k.Size())
			switch {
			case k.Kind == types.Str || k.Kind == types.Bytes:
				copy(b[:len(b)-1], words[rnd.IntN(len(words))])
			case k.Kind == types.Bool:
				b[0] = byte(rnd.IntN(2))
			default:
				binary.NativeEndian.PutUint64(b, rnd.Uint64()>>rnd.IntN(64))
			}
			rec = append(rec, b...)
		}
		before := []byte("before\n")
		got, ok := codec.AppendPrinted(before, at.Args, rec)
		if !bytes.HasPrefix(got, before) || !ok && len(got) > len(before) {
			t.Fatalf("%v % x: %q, %v", at.Args, rec, got, ok)
		}
		if !ok {
			continue
		}
		short++
		args, err := c.DecodeArgs(&at.PrintSite, rec)
		if err != nil {
			t.Fatal(err)
		}
		p.text.Reset()
		p.print(at, args)
		if want := p.text.String(); string(got[len(before):]) != want {
			t.Fatalf("%v % x: %q, not %q", at.Args, rec, got[len(before):], want)
		}
	}
	if short < 4000 {
		t.Errorf("only %d records took the short way", short)
	}
}
