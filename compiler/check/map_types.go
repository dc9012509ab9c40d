package check

import (
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

// The key and value types of a map are the types that hold everything used with it. They are
// inferred: the uses in a program are joined into the types known so far, and the program is
// checked again until nothing grows. The types of a map that exists in the kernel are permanent.
// For other maps, inference starts with what Infer found in the other programs.

// mapTyping has the types of a map as inferred from the uses in this program.
type mapTyping struct {
	key, val           typing
	keyFixed, valFixed bool
}

type typing struct {
	t     *types.Type
	at    syntax.Position // of the use that determined t
	signs signs
}

// stored returns the type in which the map stores the values.
func (t typing) stored() *types.Type {
	if t.t == nil {
		return nil
	}
	return t.t.Stored()
}

// typing returns the types of a map so far.
func (c *Checker) typing(m *tree.Map) *mapTyping {
	t := c.maps[m]
	if t == nil {
		t = &mapTyping{key: typing{t: m.Key, at: m.KeyAt}, val: typing{t: m.Val, at: m.ValAt}, keyFixed: m.Key != nil && !m.Open, valFixed: m.Val != nil && !m.Open}
		t.key.signs.of(m.Key)
		t.val.signs.of(m.Val)
		if !t.keyFixed {
			t.key.hint(m.Hint.Key, m.Hint.KeyAt)
		}
		if !t.valFixed {
			t.val.hint(m.Hint.Val, m.Hint.ValAt)
		}
		c.maps[m] = t
	}
	return t
}

// hint joins in the type that other programs use. If there is no common type, hint ignores it: the
// error is reported for the other program.
func (t *typing) hint(other *types.Type, at syntax.Position) {
	if other != nil && (t.t == nil || types.Join(t.t, other) != nil) {
		t.signs.of(other)
	}
	switch {
	case other == nil:
	case t.t == nil:
		t.t, t.at = other, at
	default:
		if j := types.Join(t.t, other); j != nil && !j.Equal(t.t) {
			t.t, t.at = j, at
		}
	}
}

// growMap sets a map's type to t, which holds all values of the old type.
func (c *Checker) growMap(has *typing, t *types.Type, pos syntax.Position) {
	has.t, has.at = t, pos
	c.mapsGrew = true
}

// useKey and useVal join the type of a use into the map's type, and convert x to it.
func (c *Checker) useKey(m *tree.Map, x tree.Expr) tree.Expr {
	t := c.typing(m)
	x = c.pointerKey(x)
	return c.useMap(m, x, &t.key, t.keyFixed, "key")
}

func (c *Checker) useVal(m *tree.Map, x tree.Expr) tree.Expr {
	t := c.typing(m)
	return c.useMap(m, x, &t.val, t.valFixed, "value")
}

// minStr is the minimum length of strings in a map, so that short literals leave room for other
// short strings and for comm.
const minStr = 15

func (c *Checker) useMap(m *tree.Map, x tree.Expr, has *typing, fixed bool, what string) tree.Expr {
	t := x.Type()
	if t.Kind == types.Invalid {
		return x
	}
	if t.Kind == types.None && what == "key" {
		return c.Bad(x.Position(), "use a number or string that stands for a missing value", "None cannot be a key of %s %q", m.Kind(), m.Name)
	}
	if !t.Storable() {
		return c.Bad(x.Position(), StoreHint(x), "%s cannot be a %s of %s %q", t.WithArticle(), what, m.Kind(), m.Name)
	}
	if k, ok := x.(*tree.ConstExpr); ok && t.Kind == types.Str && has.t != nil && (fixed && has.t.IsText() || what == "key" && m.Agg == nil) {
		x = textOfFormat(k, has.t)
		t = x.Type()
	}
	t = widenForMap(t)
	if what == "key" && m.Agg == nil && !c.oneTextEach(m, x, has.t, t) {
		return tree.Invalid(x.Position())
	}
	if t.IsInt() && !fixed && (has.t == nil || has.t.IsInt()) {
		return c.storeInt(m, x, has, what)
	}
	if has.t == nil {
		c.growMap(has, t, x.Position())
		return tree.Convert(x, t)
	}
	j := types.Join(has.t, t)
	if fixed {
		if t.Assignable(has.t) || fits(x.Type(), has.t) {
			return tree.Convert(x, has.t)
		}
		hint := "a map has one type, that of its first use; make another map for these"
		if h := joinHint(t, has.t); h != "" {
			hint = h
		}
		if lengthsDiffer(has.t, t) {
			hint = "shorten these with str(ptr, n), or use the longest strings first"
			if m.Agg == nil {
				hint = fmt.Sprintf("shorten these with str(ptr, n), or declare the longest: %s = table(%s=%s)", m.Name, what, declared(j))
			}
		}
		c.Errorf(x.Position(), hint, "%s %q has %ss of type %s%s, not %s", m.Kind(), m.Name, what, withLengths(has.t, t), since(has.at), withLengths(t, has.t))
		c.pointAt(c.Diags, has.at, "%ss of type %s here", what, withLengths(has.t, t))
		return tree.Invalid(x.Position())
	}
	if j == nil {
		return c.twoTypes(m, x, has, what)
	}
	if !j.Equal(has.t) {
		c.growMap(has, j, x.Position())
	}
	return tree.Convert(x, j)
}

// twoTypes reports a use of a map whose type does not join with the map's type.
func (c *Checker) twoTypes(m *tree.Map, x tree.Expr, has *typing, what string) tree.Expr {
	hint := joinHint(has.t, x.Type())
	if hint == "" {
		hint = "a map has one type; make another map for these"
	}
	c.Errorf(x.Position(), hint, "%s %q has %ss of type %s elsewhere, and %s here", m.Kind(), m.Name, what, has.t, x.Type())
	c.pointAt(c.Diags, has.at, "%ss of type %s here", what, has.t)
	return tree.Invalid(x.Position())
}

// pointerText returns a pointer type as C declares it, including its address space.
func pointerText(t *types.Type) string {
	text := t.Text
	if i := strings.LastIndexByte(text, '*'); t.Space == types.User && i >= 0 && !strings.Contains(text, "__user") {
		text = strings.TrimSpace(text[:i]) + " __user " + text[i:]
	}
	return "pointer (" + text + ")"
}

// since names the position in another program that determined a map's type.
func since(at syntax.Position) string {
	if !at.IsValid() {
		return ""
	}
	return fmt.Sprintf(" since %s", at)
}

// lengthsDiffer reports whether two types differ only in the lengths of strings.
func lengthsDiffer(t, u *types.Type) bool {
	j := types.Join(t, u)
	if t.IsText() != u.IsText() || j != nil && j.IsEither() {
		return false // they differ in their formats too
	}
	return j != nil && (j.Size() != t.Size() || j.Size() != u.Size()) && (t.IsText() || strings.Contains(t.String()+u.String(), "string"))
}

// withLengths returns the name of a type, with the lengths of strings if they distinguish it from
// other.
func withLengths(t, other *types.Type) string {
	if t.Kind == types.Ptr && other.Kind == types.Ptr {
		return pointerText(t)
	}
	name := t.String()
	if t.IsText() {
		name = fmt.Sprintf("%s %q", t, t.Format.Arg)
	}
	if !lengthsDiffer(t, other) {
		return name
	}
	if t.IsText() {
		return name + " of " + strings.TrimPrefix(withLengths(t.Elem, other.Elem), "tuple ")
	}
	switch t.Kind {
	case types.Str:
		return fmt.Sprintf("string of up to %d bytes", t.Cap-1)
	case types.Opt:
		return withLengths(t.Elem, other) + " or None"
	case types.Tuple:
		var parts []string
		for _, e := range t.Elems {
			parts = append(parts, withLengths(e, types.TStr(0)))
		}
		return "tuple (" + strings.Join(parts, ", ") + ")"
	}
	return t.String()
}

// declared returns a type in the notation of table(key=, value=).
func declared(t *types.Type) string {
	switch t.Kind {
	case types.Str:
		return fmt.Sprintf(`"str[%d]"`, t.Cap)
	case types.Bytes:
		return fmt.Sprintf(`"bytes[%d]"`, t.Len)
	case types.Bool:
		return "bool"
	case types.Tuple:
		var parts []string
		for _, e := range t.Elems {
			parts = append(parts, declared(e))
		}
		return "(" + strings.Join(parts, ", ") + ")"
	}
	if t.IsInt() || t.IsNumber() {
		return "int"
	}
	return "..."
}

// fits reports whether values of type t can be converted to u.
func fits(t, u *types.Type) bool {
	j := types.Join(t, u)
	return j != nil && j.Equal(u)
}

// widenForMap widens short strings to minStr and allows NULs in strings, because the script may
// store strings with NULs in the map.
func widenForMap(t *types.Type) *types.Type {
	switch {
	case t.Kind == types.Str && !(t.NULs && t.Cap > minStr):
		return types.TNULStr(max(t.Cap-1, minStr))
	case t.Kind == types.Opt:
		return types.TOpt(widenForMap(t.Elem))
	case t.IsComposed():
		return types.TFormatted(widenForMap(t.Elem), t.Format)
	case t.Kind == types.Tuple:
		elems := make([]*types.Type, len(t.Elems))
		for i, e := range t.Elems {
			elems[i] = widenForMap(e)
		}
		return types.TTuple(elems...)
	}
	return t
}

// mapTypes returns the types of the maps, with all that is known about their values.
func (c *Checker) mapTypes() map[*tree.Map]tree.MapTypes {
	out := map[*tree.Map]tree.MapTypes{}
	for m, t := range c.maps {
		out[m] = tree.MapTypes{Key: t.key.t, Val: t.val.t, KeyAt: t.key.at, ValAt: t.val.at}
	}
	return out
}

// mapUses returns the maps sorted by Ref, with the types in which they store values.
func (c *Checker) mapUses() []tree.MapUse {
	var out []tree.MapUse
	for m, t := range c.maps {
		out = append(out, tree.MapUse{Map: m, Types: tree.MapTypes{Key: t.key.stored(), Val: t.val.stored(), KeyAt: t.key.at, ValAt: t.val.at}})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Map.Ref < out[j].Map.Ref })
	return out
}

// Infer checks programs together, and returns the types of their maps once all of them are loaded.
// Errors in a program are left to Compile. The programs are checked repeatedly, because two tables
// may depend on each other, each holding values from the other.
func Infer(rows *Tables, reqs []*tree.Request) map[*tree.Map]tree.MapTypes {
	shared := map[*tree.Map]*mapTyping{}
	for range maxWalks {
		grew := false
		for _, req := range reqs {
			c := New(rows, req)
			c.maps, c.inferring = shared, true
			c.program()
			grew = grew || c.everGrew
		}
		if !grew {
			break
		}
	}
	out := map[*tree.Map]tree.MapTypes{}
	for m, t := range shared {
		mt := tree.MapTypes{KeyAt: t.key.at, ValAt: t.val.at}
		if t.key.t != nil && t.key.t.Known() {
			mt.Key = t.key.t
		}
		if t.val.t != nil && t.val.t.Known() {
			mt.Val = t.val.t
		}
		out[m] = mt
	}
	return out
}

// A key that is a text is a tuple in the kernel. For a table to find it, each text must have one
// tuple only: the format tells the arguments apart, and no text is of two formats. A constant
// string that is a text of the format becomes its tuple, as in the script.

// oneTextEach reports an error, and returns false, if the keys of a table may differ in the kernel
// and be the same texts on the host: the handler would not find the key that the script sees.
func (c *Checker) oneTextEach(m *tree.Map, x tree.Expr, has, t *types.Type) bool {
	j := t
	if has != nil {
		j = types.Join(has, t)
	}
	if j == nil {
		return true // another error
	}
	e := composedIn(j)
	if e == nil || !e.SameText() || e == j && j.IsEither() && tellsApart(x, j) {
		return true
	}
	c.Errorf(x.Position(), "use a tuple as key: t[(a, b)]; or put between the parts what neither of them contains: sprintf(\"%d:%s\", n, s)", "different values may have the same text here, so that table %q cannot find them by it", m.Name)
	return false
}

// tellsApart reports whether a use of x as a key of type t, which has several types, is a text of
// one of them only. Strings among the keys are constants, because this is false for others.
func tellsApart(x tree.Expr, t *types.Type) bool {
	alts := t.Alternatives()
	if slices.ContainsFunc(alts, func(a *types.Type) bool {
		return a.SameText() || !a.IsText() && a.Kind != types.Str && !a.IsInt() && a.Kind != types.Bool
	}) {
		return false
	}
	apart := func(text *types.Type) bool {
		return !slices.ContainsFunc(alts, func(a *types.Type) bool {
			return a.IsText() && a.Format.Arg != text.Format.Arg && !text.Apart(a)
		})
	}
	switch x := x.(type) {
	case *tree.ConstExpr:
		if s, ok := x.Value.(string); ok {
			return apart(types.TText(types.Sprintf, types.Escape(s), nil))
		}
	case *tree.ConvertExpr:
		return tellsApart(x.X, t)
	case *tree.CondExpr:
		return tellsApart(x.True, t) && tellsApart(x.False, t)
	}
	switch u := x.Type(); {
	case u.IsText():
		return apart(u)
	case u.IsInt(), u.Kind == types.Bool:
		return true
	}
	return false
}

// textOfFormat returns a constant string as a text of type t, or of one of the types of which t is,
// if it is one. Otherwise it returns the string.
func textOfFormat(x *tree.ConstExpr, t *types.Type) tree.Expr {
	for _, a := range t.Alternatives() {
		if !a.IsText() {
			continue
		}
		parts, ok, _ := a.SplitText(x.Value.(string))
		if !ok {
			continue
		}
		e := &tree.TupleExpr{Node: tree.At(a, x.Pos)}
		for i, s := range parts {
			var v any = s
			if arg := a.Elem.Elems[i]; arg.IsInt() {
				v, _ = new(big.Int).SetString(s, 10)
			}
			e.Elems = append(e.Elems, tree.Convert(&tree.ConstExpr{Node: tree.At(tree.ConstType(v), x.Pos), Value: v}, a.Elem.Elems[i]))
		}
		return e
	}
	return x
}
