package starlarkbind

import (
	"encoding/binary"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// This file generates loops that people write by hand: two indices, early exits, classification,
// parsing of numbers and paths, copies; over the event's own bytes and over a program's memory.
// Their variables stay small, so both texts are the same.

// memSize is the size in bytes of the program memory that an event points to.
const memSize = 32

// memory returns the memory that e.args.mem points to.
func (ev oracleEvent) memory() []byte {
	text := fmt.Sprintf("%s/%s,-%d.%s", ev.r, ev.s, ev.half[0]%1000, ev.r)
	b := make([]byte, memSize)
	copy(b[:memSize-1], text)
	binary.NativeEndian.PutUint32(b[24:], ev.half[1])
	return b
}

// memoryAt is its address for the interpreter.
const memoryAt = 1 << 20

// readers returns builtins with which the interpreter reads the memory of the current event.
func (m *modelRun) readers() starlark.StringDict {
	at := func(a starlark.Value, n int) []byte {
		addr, _ := a.(starlark.Int).Uint64()
		return m.event.memory()[addr-memoryAt:][:n]
	}
	type args = starlark.Tuple
	return functions(map[string]func(a args) starlark.Value{
		"buf": func(a args) starlark.Value {
			n, _ := a[1].(starlark.Int).Int64()
			return starlark.Bytes(at(a[0], int(n)))
		},
		"str": func(a args) starlark.Value {
			s, _, _ := strings.Cut(string(at(a[0], memSize)), "\x00")
			return starlark.String(s)
		},
		"cast": func(a args) starlark.Value {
			addr, _ := a[0].(starlark.Int).Uint64()
			return &modelPointer{addr: addr, size: 4, read: func(addr uint64, n int) []byte { return m.event.memory()[addr-memoryAt:][:n] }}
		},
	})
}

// functions returns builtins that call fns.
func functions(fns map[string]func(a starlark.Tuple) starlark.Value) starlark.StringDict {
	out := starlark.StringDict{}
	for name, fn := range fns {
		out[name] = starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return fn(a), nil
		})
	}
	return out
}

// handLoop writes one such loop, and a use of its variables after it.
func (g *generator) handLoop(depth int) {
	if depth <= 0 || g.loops >= 2 || g.inHelper {
		g.both("pass")
		return
	}
	n := 16
	g.both(pick(g, "bb = buf(e.args.mem, 16)", "bb = buf(e.args.mem, 16)", "bb = e.args.raw"))
	g.both("i, j, k = 0, 0, 0")
	switch g.n(11) {
	case 0: // search for a word in a buffer
		g.both(fmt.Sprintf("while i < %d and j < %d:", n, 1+g.n(3)))
		g.both("    if bb[i] == PAT[j]:")
		g.both("        j += 1")
		g.both("    else:")
		g.both("        " + pick(g, "j = 0", "pass", "i, j = i - j, 0"))
		g.early(depth)
		g.both("    i += 1")
	case 1: // from both ends
		g.both(fmt.Sprintf("j = %d", n-1))
		g.both("while i < j:")
		g.both("    if bb[i] " + pick(g, "!=", "==", "<") + " bb[j]:")
		g.both("        " + pick(g, "break", "k += 1", "j -= 1"))
		g.early(depth)
		g.both("    i += 1")
		g.both("    j -= " + pick(g, "1", "1", "2"))
	case 2, 3: // character classes
		g.both(pick(g, "for i in range(16):", "for i in range(16):", "for i in range(e.args.u32 & 15):"))
		g.both("    x = ord(bb[i])")
		word := "if"
		for range 1 + g.n(4) {
			lo := 32 + 8*g.n(12)
			g.both(fmt.Sprintf("    %s x >= %d and x <= %d:", word, lo, lo+8*(1+g.n(4))))
			g.both("        " + pick(g, "j += 1", "k += 1", "k = i", "j, k = k, j", "continue", "total.add(x)"))
			word = "elif"
		}
		g.both("    elif x == 0:")
		g.both("        " + pick(g, "break", "break", "pass"))
		g.early(depth)
	case 4: // parse a number
		g.both(fmt.Sprintf("while i < %d:", n))
		g.both("    x = ord(bb[i])")
		g.both("    i += 1")
		g.both("    if x < 48 or x > 57:")
		g.both("        " + pick(g, "continue", "break", "k = 0"))
		g.early(depth)
		g.both("    k = (k * 10 + x - 48) & 0xffffff")
		g.both("    j += 1")
	case 5: // parse a path
		g.both("t = " + pick(g, "str(e.args.mem, 32)", "str(e.args.mem, 32)", "e.args.s"))
		g.both(pick(g, "for i in range(len(t)):", "while i < len(t):"))
		g.both("    if t[i] == " + pick(g, `"/"`, `"c"`, `","`) + ":")
		g.both("        k = i")
		g.both("        j += 1")
		g.early(depth)
		g.both("    i += 1")
	case 6: // steps whose length is in the bytes
		g.both(fmt.Sprintf("while i < %d:", n))
		g.both("    x = ord(bb[i])")
		g.both("    if x == 0:")
		g.both("        break")
		g.both("    i += " + pick(g, "1 + (x & 3)", "1 if x < 0x80 else 2 if x < 0xe0 else 3", "x & 7 or 1"))
		g.early(depth)
		g.both("    j += 1")
	case 7: // copy bytes
		g.both(fmt.Sprintf("while i < %d and ord(bb[i]) != 0:", n))
		g.both("    if bb[i] != " + pick(g, `b"a"`, `b"/"`) + ":")
		g.both("        tab[j] = ord(bb[i])")
		g.both("        j += 1")
		g.early(depth)
		g.both("    i += 1")
	case 8: // nested loops
		g.both("while i < 6:")
		g.both("    j = i")
		g.both("    while j < 8 and bb[j] " + pick(g, "== bb[i]", "!= bb[i]", ">= bb[i]") + ":")
		g.both("        j += 1")
		g.both("        k += " + pick(g, "1", "j", "ord(bb[j])"))
		g.early(depth)
		g.both("    i " + pick(g, "+= 1", "= j + 1", "= max(i + 1, j)"))
	case 9: // an array in memory
		g.both(`p32 = cast(e.args.mem, "u32 *")`)
		g.both("for i in range(8):")
		g.both("    x = p32[i] & 0xffff")
		g.both("    if x > k:")
		g.both("        k = x")
		g.both("    elif x == 0:")
		g.both("        " + pick(g, "break", "j += 1", "continue"))
		g.early(depth)
		g.both("    by_int.add(by=" + pick(g, "i", "x & 7", "j") + ")")
	case 10: // a small state machine
		g.both("for i in range(16):")
		for s := range 3 {
			g.both(fmt.Sprintf("    %s j == %d and ord(bb[i]) %s %d:", map[bool]string{true: "if", false: "elif"}[s == 0], s, pick(g, "==", ">", "<"), 40+10*g.n(8)))
			g.both(fmt.Sprintf("        j = %d", g.n(3)))
			g.both("        k += 1")
		}
		g.early(depth)
	}
	g.both(pick(g, "a, b = j, k", "a = i", "by_int.add(by=(i & 31) + 32 * (j & 31))", "tab[j] = k", "b = k"))
	g.both("by_int.add(by=i + 100 * j)")
}

// early writes an early exit or a nested block in the middle of an iteration, or nothing.
func (g *generator) early(depth int) {
	if g.n(4) != 0 {
		return
	}
	c := g.bool(1)
	g.line("    if "+c.h+":", "    if "+c.k+":")
	if g.n(2) == 0 {
		g.both("        break")
		return
	}
	g.indent++
	g.loops++
	g.inFor = true
	g.block(depth - 2)
	g.inFor = false
	g.loops--
	g.indent--
}
