package starlarkbind

// This file generates uses of constants that contain lists, dicts and structs.

const nestedGlobals = `uneven = [[1], [2, -3, 255], [], [7, 1]]
rows = [["a", "bc"], ["abcdefgh", ""]]
nested = {0: {0: "x"}, 1: {1: "y", -1: "z"}, 7: {}}
shapes = [struct(name="a", sides=[3, 4], n=-1), struct(name="abc", sides=[5], n=2)]
`

// nested writes a statement that chooses a list, a dict or a struct by x. s is a string.
func (g *generator) nested(x, s ex) {
	y := g.variable(1)
	both := func(form string) {
		e := made(form, x, y, s)
		g.line(e.h, e.k)
	}
	switch g.n(8) {
	case 0:
		both(`row = uneven[#0 & 3]`)
		both(`print(len(row), #1 in row, row[-1] if row else "none")`)
		both(`a = len(row)`)
	case 1:
		both(`for v in uneven[#0 & 3]:`)
		both(`    by_int.add(#1, by=v)`)
	case 2:
		both(`by_text.add(by=rows[#0 & 1][#1 & 1])`)
	case 3:
		both(`print(nested.get(#0, {}).get(#1, "none"), #0 in nested, #2 in rows[#1 & 1])`)
	case 4:
		both(`shape = shapes[#0 & 1]`)
		both(`print(shape.name, shape.sides[0], shape.n, #1 in shape.sides, shape.name == #2)`)
	case 5:
		both(`for shape in shapes:`)
		both(`    for v in shape.sides:`)
		both(`        print(shape.name, v == #0, [k * 2 for k in few if k > 0][#1 & 1])`)
	case 6:
		both(`print({k: v for v, k in [("a", 0), ("b", 1)]}.get(#0 & 3, #2), (rows[0] if #1 > 0 else rows[1])[#0 & 1])`)
	case 7:
		both(`a = uneven[#0 & 7][#1 & 1]`) // which may be out of range
	}
}
