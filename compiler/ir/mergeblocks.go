package ir

// mergeBlocks joins a block with its only successor if that has no other predecessor, and removes
// empty blocks that no phi depends on.
func mergeBlocks(f *Func) {
	for changed := true; changed; {
		changed = false
		for _, b := range f.Blocks {
			if skipEmpty(f, b) {
				changed = true
			}
		}
		removeUnreachable(f)
		r := newReplacement(f)
		for _, b := range f.Blocks {
			for b.Kind == TermJump && len(b.Succs[0].Preds) == 1 && b.Succs[0] != b && b.Succs[0] != f.Blocks[0] {
				absorb(b, b.Succs[0], r)
				changed = true
			}
		}
		replaceAll(f, r)
		removeUnreachable(f)
	}
}

// absorb appends s, whose only predecessor is b, to b, and records the replacements of the phis of
// s.
func absorb(b, s *Block, r *replacement) {
	for _, phi := range s.Phis {
		r.put(phi, phi.Args[0])
	}
	for _, v := range s.Values {
		v.Block = b
	}
	b.Values = append(b.Values, s.Values...)
	b.Kind, b.Cond, b.X, b.Y, b.Succs = s.Kind, s.Cond, s.X, s.Y, s.Succs
	b.Cold = b.Cold && s.Cold
	for _, t := range s.Succs {
		for i, p := range t.Preds {
			if p == s {
				t.Preds[i] = b
			}
		}
	}
	s.Kind, s.X, s.Y, s.Phis, s.Values, s.Succs, s.Preds = TermNone, nil, nil, nil, nil, nil, nil
}

// skipEmpty redirects the predecessors of an empty block to its successor.
func skipEmpty(f *Func, b *Block) bool {
	if b == f.Blocks[0] || b.Kind != TermJump || len(b.Values) > 0 || len(b.Phis) > 0 || b.Succs[0] == b || len(b.Succs[0].Phis) > 0 || len(b.Preds) == 0 {
		return false
	}
	t := b.Succs[0]
	for _, p := range b.Preds {
		for i, s := range p.Succs {
			if s == b {
				p.Succs[i] = t
				t.Preds = append(t.Preds, p)
			}
		}
		// An If with both edges into b appears twice among b's predecessors; the first visit
		// redirects both.
	}
	b.Preds = nil
	for i, p := range t.Preds {
		if p == b {
			t.removePred(i)
			break
		}
	}
	b.Succs = nil
	b.Kind = TermRet
	b.X = f.NewValue(OpConst)
	return true
}
