package ir

import "fmt"

// Verify checks the invariants that every pass must preserve: blocks end, edges agree on both
// sides, phis have one argument for each predecessor, each use is dominated by its definition,
// memory operations have a legal size and stay within their slot, and values are in the block that
// they name. Tests run it after each pass.
func Verify(f *Func) error {
	if len(f.Blocks) == 0 {
		return fmt.Errorf("ir: %s has no blocks", f.Name)
	}
	in := map[*Block]bool{}
	for _, b := range f.Blocks {
		if in[b] {
			return fmt.Errorf("ir: %s is listed twice", b)
		}
		in[b] = true
	}
	defined := map[*Value]bool{}
	for _, b := range f.Blocks {
		if err := verifyEdges(b, in); err != nil {
			return err
		}
		for _, v := range append(append([]*Value{}, b.Phis...), b.Values...) {
			if defined[v] {
				return fmt.Errorf("ir: v%d is listed twice", v.ID)
			}
			if v.Block != b {
				return fmt.Errorf("ir: v%d in %s has %v as its block", v.ID, b, v.Block)
			}
			defined[v] = true
			if err := verifyValue(v); err != nil {
				return err
			}
		}
	}
	return verifyDominance(f, defined)
}

func verifyEdges(b *Block, in map[*Block]bool) error {
	want := map[TermKind]int{TermJump: 1, TermIf: 2, TermRet: 0}
	n, ok := want[b.Kind]
	if !ok {
		return fmt.Errorf("ir: %s has no end", b)
	}
	if len(b.Succs) != n {
		return fmt.Errorf("ir: %s has %d successors, want %d", b, len(b.Succs), n)
	}
	if b.Kind == TermIf && (b.X == nil || b.Y == nil) || b.Kind == TermRet && b.X == nil {
		return fmt.Errorf("ir: the end of %s has no operand", b)
	}
	for _, s := range b.Succs {
		if !in[s] {
			return fmt.Errorf("ir: %s jumps to %s, which is not in the function", b, s)
		}
		if count(s.Preds, b) != count(b.Succs, s) {
			return fmt.Errorf("ir: %s and %s disagree on the edge between them", b, s)
		}
	}
	for _, p := range b.Preds {
		if !in[p] || count(p.Succs, b) == 0 {
			return fmt.Errorf("ir: %s lists %s as a predecessor, which does not jump to it", b, p)
		}
	}
	for _, phi := range b.Phis {
		if phi.Op != OpPhi {
			return fmt.Errorf("ir: v%d among the phis of %s is a %s", phi.ID, b, phi.Op)
		}
		if len(phi.Args) != len(b.Preds) {
			return fmt.Errorf("ir: phi v%d has %d arguments for %d predecessors", phi.ID, len(phi.Args), len(b.Preds))
		}
	}
	return nil
}

func count(bs []*Block, b *Block) int {
	n := 0
	for _, x := range bs {
		if x == b {
			n++
		}
	}
	return n
}

// arity is the number of arguments of the operations for which it is fixed.
var arity = map[Op]int{OpConst: 0, OpCtx: 0, OpAdd: 2, OpSub: 2, OpMul: 2, OpUDiv: 2, OpUMod: 2, OpAnd: 2, OpOr: 2, OpXor: 2,
	OpShl: 2, OpLShr: 2, OpAShr: 2, OpNeg: 1, OpByteSwap: 1, OpHide: 2, OpPin: 1, OpSlotAddr: 0, OpMapPtr: 0, OpFuncPtr: 0, OpMapValue: 0, OpLoad: 1, OpStore: 2, OpAtomicAdd: 2, OpFetchAdd: 2, OpCmpXchg: 3}

func verifyValue(v *Value) error {
	if n, ok := arity[v.Op]; ok && len(v.Args) != n {
		return fmt.Errorf("ir: v%d (%s) has %d arguments, want %d", v.ID, v.Op, len(v.Args), n)
	}
	for _, a := range v.Args {
		if a == nil {
			return fmt.Errorf("ir: v%d (%s) has a nil argument", v.ID, v.Op)
		}
		if !a.HasResult() {
			return fmt.Errorf("ir: v%d uses v%d (%s), which has no result", v.ID, a.ID, a.Op)
		}
	}
	switch v.Op {
	case OpCall, OpCallSub, OpKfunc:
		if len(v.Args) > 5 {
			return fmt.Errorf("ir: v%d calls with %d arguments; the limit is five", v.ID, len(v.Args))
		}
	case OpLoad, OpStore:
		switch v.Size {
		case 1, 2, 4, 8:
		default:
			return fmt.Errorf("ir: v%d (%s) has size %d", v.ID, v.Op, v.Size)
		}
	case OpSlotAddr:
		if v.Slot == nil || v.Off < 0 || v.Off >= v.Slot.Size {
			return fmt.Errorf("ir: v%d points outside of its slot", v.ID)
		}
	}
	if (v.Op == OpLoad || v.Op == OpStore) && v.Args[0].Op == OpSlotAddr {
		if off := v.Args[0].Off + v.Off; off < 0 || off+v.Size > v.Args[0].Slot.Size {
			return fmt.Errorf("ir: v%d (%s) accesses memory outside of slot s%d", v.ID, v.Op, v.Args[0].Slot.ID)
		}
	}
	return nil
}

func verifyDominance(f *Func, defined map[*Value]bool) error {
	dom := dominators(f)
	pos := map[*Value]int{}
	for _, b := range f.Blocks {
		for i, v := range b.Values {
			pos[v] = i + 1
		}
	}
	// user is nil for the end of the block at.
	use := func(v *Value, at *Block, before int, user *Value) error {
		if v.Op == OpConst && v.Block == nil {
			return nil
		}
		known := defined[v]
		if known && (v.Block == at && pos[v] < before || v.Block != at && dom.dominates(v.Block, at)) {
			return nil
		}
		who := "the end of " + at.String()
		if user != nil {
			who = fmt.Sprintf("v%d (%s)", user.ID, user.Op)
		}
		if !known {
			return fmt.Errorf("ir: %s uses v%d (%s), which is in no block", who, v.ID, v.Op)
		}
		return fmt.Errorf("ir: %s uses v%d, whose definition in %s does not dominate it", who, v.ID, v.Block)
	}
	for _, b := range f.Blocks {
		if !dom.reachable(b) {
			continue
		}
		for _, phi := range b.Phis {
			for i, a := range phi.Args {
				if p := b.Preds[i]; dom.reachable(p) {
					if err := use(a, p, len(p.Values)+2, phi); err != nil {
						return err
					}
				}
			}
		}
		for i, v := range b.Values {
			for _, a := range v.Args {
				if err := use(a, b, i+1, v); err != nil {
					return err
				}
			}
		}
		for _, a := range []*Value{b.X, b.Y} {
			if a == nil {
				continue
			}
			if !a.HasResult() {
				return fmt.Errorf("ir: the end of %s uses v%d (%s), which has no result", b, a.ID, a.Op)
			}
			if err := use(a, b, len(b.Values)+2, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
