package builtin

import (
	"github.com/bpfrepl/bpfrepl/compiler/check"
	"github.com/bpfrepl/bpfrepl/compiler/tree"
	"github.com/bpfrepl/bpfrepl/compiler/types"
)

func dictMethods() []method {
	return []method{
		{"dict", "get", "get(key, default=None)", "the value of a key of a captured dict, or the default", `name = names.get(e.args.id, "other")`, checkDictGet, nil, nil},
		{"dict", "items", "items()", "the (key, value) tuples of a captured dict, to loop over", `for id, name in names.items(): print(id, name)`, checkDictItems, nil, nil},
		{"dict", "keys", "keys()", "the keys of a captured dict", `if e.args.id in names.keys(): print(e.comm)`, checkDictItems, nil, nil},
		{"dict", "values", "values()", "the values of a captured dict", `if e.comm in names.values(): print(e.comm)`, checkDictItems, nil, nil},
	}
}

func checkDictGet(c *check.Checker, e *tree.MethodExpr) tree.Expr {
	def := e.Args[1]
	if def == nil {
		def = &tree.ConstExpr{Node: tree.At(types.TNone, e.Pos)}
	}
	k, ok := e.X.(*tree.ConstExpr)
	if !ok {
		return c.ChosenGet(e.Pos, e.X, e.Args[0], def)
	}
	return c.DictGet(e.Pos, k.Value.(tree.Dict), e.Args[0], def)
}

// checkDictItems builds the list returned by items(), keys() or values() of a constant dict.
func checkDictItems(c *check.Checker, e *tree.MethodExpr) tree.Expr {
	return c.OfConst(e.Pos, e.X, func(v any) (any, bool) {
		d, ok := v.(tree.Dict)
		list := tree.List{}
		for i := range d.Keys {
			switch e.Name {
			case "keys":
				list = append(list, d.Keys[i])
			case "values":
				list = append(list, d.Vals[i])
			default:
				list = append(list, tree.Tuple{d.Keys[i], d.Vals[i]})
			}
		}
		return list, ok
	})
}
