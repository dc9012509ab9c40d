package check

import (
	"fmt"

	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/ctype"
	"github.com/bpfrepl/bpfrepl/internal/suggest"
	"github.com/bpfrepl/bpfrepl/internal/wordlist"
)

// UsageHint returns the hint for a value that is used where its type is not allowed: how to use
// such values.
func UsageHint(t *types.Type) string {
	hint := ""
	switch t.Kind {
	case types.Opt:
		hint = "compare it with None first: if x != None: ..."
	case types.None:
		hint = "use a number or string that stands for a missing value"
	case types.Bool:
		hint = "write int(x) for a number"
	case types.Int, types.Uint:
		hint = `use it as a number; if it is an address: cast(x, "struct NAME *")`
	case types.Str:
		hint = `use it as a string: s[:4], len(s), s.startswith("a"), or as a key`
	case types.Bytes:
		hint = "use it as bytes: ord(b[0]), len(b), or as a key"
	case types.Tuple:
		hint = "use one of its elements, x[0], or the whole tuple as a key"
	case types.Formatted:
		if t.IsComposed() {
			return t.Format.Row().Hint
		}
		hint = "use it as it is, as a key or in print, or compare it with a string"
		if t.Format.Numeric {
			hint = "use it as a number, as a key or in print, or compare it with a string"
		}
	case types.Ptr:
		hint = "read what it points to: str(ptr, 64), buf(ptr, 8) or a member"
	case types.Event:
		hint = "read one of its fields: e.pid, e.args.NAME"
	case types.Args:
		hint = "read one of them: e.args.NAME"
	case types.Array:
		hint = "read one of its elements, x[0], or its bytes: buf(x, 4)"
	case types.List:
		hint = "write a tuple, (1, 2), or use the list with `in`, in for, or with an index"
	case types.Dict:
		hint = "read the value of a key: names[key], names.get(key, 0)"
	case types.Set:
		hint = "search in it: x in ids"
	case types.Func:
		hint = "call it, with ()"
	case types.Method:
		hint = "call it: add ()"
	case types.Map:
		hint = "use an element of a table, t[key] or t.get(key, 0), or add to an aggregation: calls.add()"
	case types.Stream:
		hint = "send a record: used.emit(pid=e.pid)"
	case types.Mem:
		hint = "read its members"
		if t.C.Kind == ctype.Array {
			hint = "read its elements: x[0]"
		}
	}
	return hint
}

// meetHint returns the hint for two values without a common type.
func meetHint(a, b *types.Type) string {
	if hint := joinHint(a, b); hint != "" {
		return hint
	}
	for _, t := range []*types.Type{a, b} {
		if !t.Storable() {
			return UsageHint(t)
		}
	}
	hint := "use values of one type, or write an if statement for each"
	return hint
}

// compareHint returns the hint for two values that can never be equal.
func compareHint(a, b *types.Type) string {
	if b.Kind == types.Ptr || a.Kind == types.Str || a.IsInt() {
		a, b = b, a
	}
	hint := ""
	switch {
	case a.IsInt() && b.Kind == types.Str, a.Kind == types.Str && b.IsInt():
		hint = "leave out the quotes to compare numbers"
	case a.Kind == types.Ptr && b.Kind == types.Str:
		hint = `compare the string that it points to: str(ptr, 64) == "a"`
	case a.Kind == types.None:
		hint = "leave out the comparison: the other side is never None"
	default:
		hint = UsageHint(a)
	}
	return hint
}

// DidYouMean returns a hint that suggests the nearest of names, or "" if none is near.
func DidYouMean(word string, names []string) string {
	if near := suggest.Nearest(word, names, 1); len(near) > 0 {
		return fmt.Sprintf("did you mean %q?", near[0])
	}
	return ""
}

// joinHint returns what to write if the two types do not join because of their signs; "" otherwise.
func joinHint(a, b *types.Type) string {
	switch {
	case a.Kind == types.Opt && b.Kind == types.Opt:
		return joinHint(a.Elem, b.Elem)
	case a.Kind == types.Opt:
		return joinHint(a.Elem, b)
	case b.Kind == types.Opt:
		return joinHint(a, b.Elem)
	case a.IsStruct() && b.IsStruct():
		return joinHint(a.Elem, b.Elem)
	case a.Kind == types.Tuple && b.Kind == types.Tuple && len(a.Elems) == len(b.Elems):
		for i := range a.Elems {
			if types.Join(a.Elems[i], b.Elems[i]) == nil {
				return joinHint(a.Elems[i], b.Elems[i])
			}
		}
	case (a.IsInt() || a.IsNumber()) && (b.IsInt() || b.IsNumber()) && types.Join(a, b) == nil:
		return `one may be negative, the other above 2**63: cast both to signed, cast(x, "long"), or to unsigned, cast(x, "u64"), or use None for a missing value`
	}
	return ""
}

// StoreHint returns what to write instead of x, which cannot be stored: a builtin's name where the
// event's field is meant, or a C value with several parts.
func StoreHint(x tree.Expr) string {
	if st, ok := x.(*tree.StaticExpr); ok {
		if b, ok := st.Entity.(tree.Builtin); ok {
			return wordHint(wordlist.Name(b.Name))
		}
	}
	return UsageHint(x.Type())
}

// wordHint returns the hint for a row of the word list, or "" for nil.
func wordHint(w *wordlist.Word) string {
	if w == nil {
		return ""
	}
	return w.Hint()
}
