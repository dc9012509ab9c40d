package ir

import (
	"math/rand"
	"testing"
)

// Dominates agrees with the definition on random graphs: a dominates b if b cannot be reached
// without a.
func TestDominators(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 300 {
		f := &Func{}
		n := 1 + rnd.Intn(14)
		for range n {
			f.NewBlock("")
		}
		zero := f.NewValue(OpConst)
		for _, b := range f.Blocks {
			next := func() *Block { return f.Blocks[rnd.Intn(n)] }
			switch rnd.Intn(4) {
			case 0:
				b.Ret(zero)
			case 1:
				b.Jump(next())
			default:
				b.If(EQ, zero, zero, next(), next())
			}
		}
		dom := dominators(f)
		reach := func(without *Block) map[*Block]bool {
			seen := map[*Block]bool{}
			var walk func(b *Block)
			walk = func(b *Block) {
				if b == without || seen[b] {
					return
				}
				seen[b] = true
				for _, s := range b.Succs {
					walk(s)
				}
			}
			walk(f.Blocks[0])
			return seen
		}
		all := reach(nil)
		for _, a := range f.Blocks {
			without := reach(a)
			for _, b := range f.Blocks {
				want := all[a] && all[b] && (a == b || !without[b])
				if got := dom.dominates(a, b); got != want {
					t.Fatalf("%v dominates %v: got %v, want %v", a, b, got, want)
				}
			}
		}
	}
}
