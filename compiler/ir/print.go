package ir

import (
	"fmt"
	"strings"
)

// String returns the function as text, one value per line; golden files contain it.
func (f *Func) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "func %s\n", f.Name)
	for _, s := range f.Slots {
		fmt.Fprintf(&b, "  slot s%d %d bytes  ; %s\n", s.ID, s.Size, s.Name)
	}
	for _, blk := range f.Blocks {
		cold := ""
		if blk.Cold {
			cold = "  ; cold"
		}
		fmt.Fprintf(&b, "%s:%s\n", blk, cold)
		for _, v := range blk.Phis {
			fmt.Fprintf(&b, "  %s\n", v.text())
		}
		for _, v := range blk.Values {
			fmt.Fprintf(&b, "  %s\n", v.text())
		}
		switch blk.Kind {
		case TermJump:
			fmt.Fprintf(&b, "  jump %s\n", blk.Succs[0])
		case TermIf:
			fmt.Fprintf(&b, "  if %s %s %s then %s else %s\n", blk.X.ref(), blk.Cond, blk.Y.ref(), blk.Succs[0], blk.Succs[1])
		case TermRet:
			fmt.Fprintf(&b, "  ret %s\n", blk.X.ref())
		default:
			b.WriteString("  (no end)\n")
		}
	}
	return b.String()
}

func (v *Value) ref() string {
	if v.Op == OpConst {
		return fmt.Sprint(v.Imm)
	}
	return fmt.Sprintf("v%d", v.ID)
}

func (v *Value) text() string {
	var b strings.Builder
	if v.HasResult() {
		fmt.Fprintf(&b, "v%d = ", v.ID)
	}
	switch {
	case v.Op == OpCall:
		b.WriteString("call " + strings.TrimPrefix(v.Helper.String(), "Fn"))
	case v.Size != 0:
		sign := ""
		if v.Signed {
			sign = "s"
		}
		fmt.Fprintf(&b, "%s%s%d", v.Op, sign, 8*v.Size)
	default:
		b.WriteString(v.Op.String())
	}
	if v.Slot != nil {
		fmt.Fprintf(&b, " s%d", v.Slot.ID)
	}
	if v.Sym != "" {
		b.WriteString(" " + v.Sym)
	}
	if v.Op == OpConst {
		fmt.Fprintf(&b, " %d", v.Imm)
	}
	for i, a := range v.Args {
		sep := ", "
		if i == 0 {
			sep = " "
		}
		b.WriteString(sep + a.ref())
	}
	if v.Off != 0 {
		fmt.Fprintf(&b, " +%d", v.Off)
	}
	return b.String()
}
