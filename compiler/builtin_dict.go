package compiler

import "github.com/bpfrepl/bpfrepl/compiler/types"

func checkDictGet(c *checker, e *eMethod) expr {
	k, ok := e.recv.(*eConst)
	if !ok {
		return c.bad(e.pos, "", "this dict is not a constant")
	}
	def := e.args[1]
	if def == nil {
		def = &eConst{node: node{types.TNone, e.pos}}
	}
	return c.dictGet(e.pos, k.v.(Dict), e.args[0], def)
}

// checkDictItems builds the list returned by items(), keys() or values() of a constant dict.
func checkDictItems(c *checker, e *eMethod) expr {
	d := e.recv.(*eConst).v.(Dict)
	list := List{}
	for i := range d.Keys {
		switch e.name {
		case "keys":
			list = append(list, d.Keys[i])
		case "values":
			list = append(list, d.Vals[i])
		default:
			list = append(list, Tuple{d.Keys[i], d.Vals[i]})
		}
	}
	return &eConst{node{types.TList, e.pos}, list}
}
