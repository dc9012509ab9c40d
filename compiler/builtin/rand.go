package builtin

import (
	"math/big"
	"math/rand/v2"

	"github.com/cilium/ebpf/asm"

	"github.com/bpfrepl/bpfrepl/compiler/lower"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func randBuiltins() []builtin {
	return []builtin{
		{
			name:    "rand",
			sig:     "rand()",
			doc:     "a random int from 0 to 2**32-1",
			example: "if rand() % 100 == 0: sampled.add()",
			check:   fixed(types.TNat),
			lower: func(lw *lower.Lowerer, e *tree.BuiltinExpr) lower.Val {
				return lower.Scalar(types.TNat, lw.Half32(lw.Call(asm.FnGetPrandomU32), false))
			},
			host: hostRand,
		},
	}
}

func hostRand(*hostCall) (any, error) { return big.NewInt(int64(rand.Uint32())), nil }
