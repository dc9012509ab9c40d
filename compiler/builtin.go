package compiler

import (
	"cmp"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/cilium/ebpf/asm"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/compiler/types"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// A builtin is a function that handlers may call. Each is one table row, used by the checker, the
// lowering, scripts, help and completion.
type builtin struct {
	name    string
	sig     string // as shown to the user: "str(ptr, max=256)"
	doc     string
	example string
	probe   string // the probe that the example works on; "" means exampleProbe
	check   func(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr
	lower   func(lw *lowerer, e *eBuiltin) val // nil if check returns another expression
	// host is what the function does when a script calls it. It is nil if scripts have a function
	// of the same name anyway, Starlark's or one of theirs, or if kernelOnly says why there is none.
	host       hostHalf
	kernelOnly string
}

func coreBuiltins() []builtin {
	return []builtin{
		{
			name:    "now",
			sig:     "now()",
			doc:     "nanoseconds since boot, excluding suspend (bpf_ktime_get_ns)",
			example: "start[e.tid] = now()",
			check:   fixed(types.TNat),
			lower:   func(lw *lowerer, e *eBuiltin) val { return scalar(types.TNat, lw.call(asm.FnKtimeGetNs)) },
		},
		{
			name:    "boottime",
			sig:     "boottime()",
			doc:     "nanoseconds since boot, including suspend (bpf_ktime_get_boot_ns, 5.8)",
			example: "start[e.tid] = boottime()",
			check:   fixed(types.TNat),
			lower:   func(lw *lowerer, e *eBuiltin) val { return scalar(types.TNat, lw.call(asm.FnKtimeGetBootNs)) },
		},
		{
			name:    "rand",
			sig:     "rand()",
			doc:     "a random int from 0 to 2**32-1",
			example: "if rand() % 100 == 0: sampled.add()",
			check:   fixed(types.TNat),
			lower: func(lw *lowerer, e *eBuiltin) val {
				return scalar(types.TNat, lw.half32(lw.call(asm.FnGetPrandomU32), false))
			},
			host: hostRand,
		},
		{
			name:    "str",
			sig:     "str(ptr, max=256)",
			doc:     "the string at an address, at most max-1 bytes of it; \"\" if it cannot be read",
			example: `opened.add(by=str(e.args.filename, 64))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkStr,
			host:    hostStr,
		},
		{
			name:    "buf",
			sig:     "buf(ptr, n)",
			doc:     "the n bytes at an address, as bytes; zeros if they cannot be read",
			example: `kinds.add(by=buf(e.args.filename, 4))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkBuf,
			host:    hostBuf,
		},
		{
			name:    "ord",
			sig:     "ord(b)",
			doc:     "the value of a single byte, from bytes of length 1",
			example: `first.add(ord(buf(e.args.filename, 1)))`,
			probe:   "tracepoint:syscalls:sys_enter_openat",
			check:   checkOrd,
			lower:   lowerOrd,
		},
		{
			name:    "len",
			sig:     "len(x)",
			doc:     "the number of elements of a tuple or a captured collection, of bytes of a string or of bytes",
			example: "longest.add(len(e.comm))",
			check:   checkLen,
			lower:   lowerLen,
		},
		{
			name:    "int",
			sig:     "int(x)",
			doc:     "a bool, an int or an address as an int",
			example: "total.add(int(e.args.ret < 0))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check:   checkInt,
			lower:   func(lw *lowerer, e *eBuiltin) val { return scalar(e.t, lw.value(e.args[0]).w) },
		},
		{
			name:    "bool",
			sig:     "bool(x)",
			doc:     "the truth value of x",
			example: "by_success.add(by=bool(e.args.ret))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check:   func(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr { return c.truth(args[0]) },
		},
		{
			name:    "abs",
			sig:     "abs(x)",
			doc:     "the absolute value of an int",
			example: "drift.add(abs(e.args.ret))",
			probe:   "tracepoint:raw_syscalls:sys_exit",
			check:   checkAbs,
			lower:   lowerAbs,
		},
		{
			name:    "min",
			sig:     "min(a, *rest)",
			doc:     "the smallest of two or more ints",
			example: "capped.add(min(e.args.len, 4096))",
			probe:   "tracepoint:syscalls:sys_enter_sendto",
			check:   checkExtreme,
			lower:   lowerExtreme,
		},
		{
			name:    "max",
			sig:     "max(a, *rest)",
			doc:     "the largest of two or more ints",
			example: "atleast.add(max(e.args.len, 1))",
			probe:   "tracepoint:syscalls:sys_enter_sendto",
			check:   checkExtreme,
			lower:   lowerExtreme,
		},
		{
			name:    "print",
			sig:     "print(*args)",
			doc:     "print the values on the host, separated by spaces",
			example: `print(e.comm, e.pid)`,
			check:   checkPrint,
			lower:   lowerPrint,
		},
		{
			name:    "printf",
			sig:     "printf(format, *args)",
			doc:     "print on the host with a C format string, which must be a constant",
			example: `printf("%-16s %6d\n", e.comm, e.pid)`,
			check:   checkPrint,
			lower:   lowerPrint,
		},
		{
			name:    "stop",
			sig:     "stop()",
			doc:     "end run()",
			example: "stop()",
			check:   fixed(types.TNone),
			lower:   lowerStop,
		},
	}
}

// A Doc describes a builtin or method for help. The example works on the probe Probe. KernelOnly is
// the reason why scripts cannot call a builtin, or "".
type Doc struct{ Name, Sig, Text, Example, Probe, KernelOnly string }

// exampleProbe is the probe of examples whose row names none.
const exampleProbe = "tracepoint:raw_syscalls:sys_enter"

// Builtins lists the functions that a handler can call, in the order of the table.
func Builtins() []Doc {
	var out []Doc
	for _, b := range rows.list {
		out = append(out, Doc{b.name, b.sig, b.doc, b.example, cmp.Or(b.probe, exampleProbe), b.kernelOnly})
	}
	return out
}

func mk(row *builtin, call *syntax.CallExpr, t *types.Type, args []expr) *eBuiltin {
	return &eBuiltin{node: node{t, call.Lparen}, name: row.name, args: args}
}

func fixed(t *types.Type) func(*checker, *builtin, *syntax.CallExpr, []expr) expr {
	return func(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr { return mk(row, call, t, args) }
}

// maxStr is the maximum size in bytes of a string, and of what buf reads.
const maxStr = 8 << 10

// MaxStr is maxStr, exported for strings that a script declares.
const MaxStr = maxStr

func checkStr(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x, n := args[0], int64(256)
	if anyInvalid(args) {
		return invalid(call.Lparen)
	}
	if args[1] != nil {
		k, ok := args[1].(*eConst)
		if !ok {
			return c.strOfLength(call, x, args[1])
		}
		if k.t.Kind != types.Int || word(k.v) < 2 || word(k.v) > maxStr {
			return c.bad(args[1].position(), "", "str: max must be an int from 2 to %d", maxStr)
		}
		n = word(k.v)
	}
	t := types.TCut(int(n) - 1)
	// limit the read itself, instead of slicing afterwards
	if p, ok := x.(*eMemRef); ok && p.t.Kind == types.Str {
		q := *p
		if q.t = t; p.c.Len > 0 {
			q.t = types.TCut(min(int(n), p.c.Len) - 1)
		}
		return &q
	}
	x = c.addressOf(x)
	switch x.typ().Kind {
	case types.Str:
		if k, ok := x.(*eConst); ok {
			if s := k.v.(string); int64(len(s)) >= n {
				return c.constant(s[:n-1], k.pos, "the string")
			}
			return x
		}
		if a, ok := x.(*eArg); ok && a.max == 0 && (int64(x.typ().Cap) > n || a.f.Kind == abi.FieldDataLocString || a.f.Kind == abi.FieldRelLocString) {
			return &eArg{node{t, a.pos}, a.f, a.index, int(n)} // limit the read itself
		}
		if int64(x.typ().Cap) <= n {
			return x
		}
		return c.stringSlice(call.Lparen, x, 0, n-1)
	case types.Ptr, types.Int, types.Uint:
		if c.noAddress(x, "str", "the string") {
			return invalid(call.Lparen)
		}
		return &eStr{node{t, call.Lparen}, x, int(n), nil}
	case types.Formatted:
		return c.bad(x.position(), "use it directly: as a key, or in print", "str: a %s becomes a string only on the host", x.typ())
	}
	return c.bad(x.position(), `use printf("%d", ...) to show a number`, "str reads the string at an address; a %s is not an address", x.typ())
}

// noAddress reports an error and returns true if the int x cannot be an address, because it is a
// constant or narrower than 64 bits in the source. name and what are for the message.
func (c *checker) noAddress(x expr, name, what string) bool {
	k, konst := x.(*eConst)
	if t := x.typ(); t.Kind == types.Ptr || t.Addr && !(konst && word(k.v) == 0) {
		return false
	}
	c.errorf(x.position(), `print and keys show a number as it is; if it is an address: `+name+`(cast(x, "char *")`+map[string]string{"buf": ", n"}[name]+`)`,
		"%s reads %s at an address; this int is not an address", name, what)
	return true
}

// strOfLength checks str(ptr, n) with n known only at run time. The maximum is 256 bytes, or MOST
// bytes if n is written as min(n, MOST).
func (c *checker) strOfLength(call *syntax.CallExpr, x, n expr) expr {
	n = c.wantInt(n, "max of str")
	if n.typ().Kind == types.Invalid {
		return n
	}
	most := int64(256)
	if m, ok := n.(*eBuiltin); ok && m.name == "min" {
		for _, a := range m.args {
			if k, ok := a.(*eConst); ok && word(k.v) >= 2 && word(k.v) <= maxStr {
				most = word(k.v)
			}
		}
	}
	x = c.addressOf(x)
	switch x.typ().Kind {
	case types.Str:
		return c.bad(n.position(), "slice it: s[:n]", "str: this is already a string, so it takes no length")
	case types.Ptr, types.Int, types.Uint:
		if c.noAddress(x, "str", "the string") {
			return invalid(call.Lparen)
		}
		return &eStr{node{types.TCut(int(most) - 1), call.Lparen}, x, int(most), n}
	}
	return c.bad(x.position(), "", "str reads the string at an address; a %s is not an address", x.typ())
}

func checkLen(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := args[0]
	if k, ok := x.(*eConst); ok && k.t.Kind != types.Invalid {
		switch v := k.v.(type) {
		case string:
			return intConst(int64(len(v)), call.Lparen)
		case Bytes:
			return intConst(int64(len(v)), call.Lparen)
		case Tuple:
			return intConst(int64(len(v)), call.Lparen)
		case List:
			return intConst(int64(len(v)), call.Lparen)
		case Set:
			return intConst(int64(len(v)), call.Lparen)
		case Dict:
			return intConst(int64(len(v.Keys)), call.Lparen)
		}
	}
	switch x.typ().Kind {
	case types.Invalid:
		return x
	case types.Tuple:
		return intConst(int64(len(x.typ().Elems)), call.Lparen)
	case types.Bytes:
		return intConst(int64(x.typ().Len), call.Lparen)
	case types.Str:
		return mk(row, call, types.TNat, args)
	}
	return c.bad(x.position(), usage(x.typ()), "a %s has no len() in a handler", x.typ())
}

func lowerLen(lw *lowerer, e *eBuiltin) val {
	return scalar(types.TNat, lw.length(text{val: lw.value(e.args[0])}))
}

func checkInt(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := args[0]
	switch {
	case x.typ().Kind == types.Bool:
		if k, ok := x.(*eConst); ok {
			return intConst(word(k.v), call.Lparen)
		}
		return mk(row, call, types.TNat, args)
	case x.typ().Kind == types.Str:
		return c.bad(x.position(), "parse strings on the host", "int() of a string is not supported in a handler")
	}
	return c.wantInt(x, "the argument of int()")
}

func checkAbs(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	x := c.wantInt(args[0], "the argument of abs()")
	if x.typ().Kind == types.Invalid || neverNegative(x) {
		return x
	}
	if k, ok := x.(*eConst); ok {
		return c.constant(new(big.Int).Abs(k.v.(*big.Int)), call.Lparen, "the result")
	}
	// -2**63 has no magnitude in 63 bits
	return mk(row, call, &types.Type{Kind: types.Int, NonNeg: true, Wraps: true}, []expr{x})
}

func lowerAbs(lw *lowerer, e *eBuiltin) val {
	return scalar(e.t, lw.magnitude(lw.value(e.args[0]).w))
}

func checkExtreme(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	if len(args) < 2 {
		return c.bad(call.Lparen, "the "+row.name+" of a captured list is a constant: compute it outside of the handler", "%s() takes two or more ints in a handler", row.name)
	}
	for i := range args {
		args[i] = c.wantInt(args[i], "each argument of "+row.name+"()")
		if args[i].typ().Kind == types.Invalid {
			return invalid(call.Lparen)
		}
	}
	t := args[0].typ()
	for _, a := range args[1:] {
		t = extremeType(row.name, t, a.typ())
	}
	return mk(row, call, t, args)
}

// extremeType returns the type of min or max of two ints. The minimum is not above its signed
// operand, and the maximum is not negative if either operand is not.
func extremeType(name string, a, b *types.Type) *types.Type {
	t := &types.Type{Kind: types.Int, NonNeg: a.NonNeg || b.NonNeg}
	t.Wraps = t.NonNeg && (a.Wraps || b.Wraps)
	switch {
	case a.Kind != b.Kind && name == "max", a.Kind == types.Uint && b.Kind == types.Uint:
		return types.TID
	case name == "max":
		t.Wraps = t.NonNeg && (!a.NonNeg || a.Wraps) && (!b.NonNeg || b.Wraps)
	case a.Kind == b.Kind:
		t.NonNeg = a.NonNeg && b.NonNeg
		t.Wraps = t.NonNeg && t.Wraps
	}
	return t
}

func lowerExtreme(lw *lowerer, e *eBuiltin) val {
	op := syntax.LT
	if e.name == "max" {
		op = syntax.GT
	}
	best := new(int)
	bt := e.args[0].typ()
	lw.b.Write(best, lw.value(e.args[0]).w)
	for _, a := range e.args[1:] {
		x := lw.value(a).w
		better, done := lw.b.Block("better"), lw.b.Block("")
		lw.compareInts(op, x, a.typ(), lw.b.Read(best), bt, better, done)
		lw.b.Continue(better)
		lw.b.Write(best, x)
		lw.b.Jump(done)
		lw.b.Continue(done)
		bt = extremeType(e.name, bt, a.typ())
	}
	return scalar(e.t, lw.b.Read(best))
}

// checkPrint checks print and printf. It also checks a printf format against the types of the
// arguments; the host does the formatting.
func checkPrint(c *checker, row *builtin, call *syntax.CallExpr, args []expr) expr {
	e := mk(row, call, types.TNone, nil)
	format := ""
	if row.name == "printf" {
		k, ok := args[0].(*eConst)
		if !ok || k.t.Kind != types.Str {
			if args[0].typ().Kind == types.Invalid {
				return args[0]
			}
			return c.bad(args[0].position(), "write the format in the handler, or as a global", "the format of printf must be a constant string")
		}
		format = k.v.(string)
		args = args[1:]
		if err := checkFormat(format, args); err != nil {
			return c.bad(k.pos, "", "%s", err)
		}
	}
	size := 0
	for _, a := range args {
		switch {
		case a.typ().Kind == types.Invalid:
			return a
		case !a.typ().Storable():
			return c.bad(a.position(), storeHint(a), "a %s cannot be printed from a handler", a.typ())
		}
		size += a.typ().Size()
	}
	if size > maxRecord {
		return c.bad(call.Lparen, "use shorter strings: str(ptr, 64)", "the record would have %d bytes; at most %d fit", size, maxRecord)
	}
	e.args = args
	if c.req.PrintProbe {
		e.args = append(slices.Clone(args), c.probeName(call.Lparen))
	}
	e.aux = format
	return e
}

// maxRecord is the maximum size in bytes of a print record.
const maxRecord = 32 << 10

// CanCall reports whether a handler can call the builtin of that name.
func CanCall(name string) bool { return rows.builtins[name] != nil }

func hostRand(*hostCall) (any, error) { return big.NewInt(int64(rand.Uint32())), nil }

// hostStr cuts a string as a handler does. The text of other values is that of Starlark's str.
func hostStr(h *hostCall) (any, error) {
	switch s := h.Const(h.args[0]).(type) {
	case string:
		if n, ok := h.Const(h.args[1]).(*big.Int); ok && n.IsInt64() && n.Sign() > 0 && int64(len(s)) >= n.Int64() {
			s = s[:n.Int64()-1]
		}
		return s, nil
	case Bytes:
		return string([]rune(s)), nil // bytes that are not UTF-8 are replaced
	}
	return h.Repr(h.args[0])
}

// hostBuf returns the first n bytes of the value that the event has in place of an address, padded
// with zeros.
func hostBuf(h *hostCall) (any, error) {
	n := h.within(1, 0, maxStr)
	var text string
	switch x := h.Const(h.args[0]).(type) {
	case Bytes:
		text = string(x)
	case string:
		text = x
	default:
		return nil, fmt.Errorf("buf: the script cannot read memory: give the event bytes instead of the address, got %s", h.TypeName(h.args[0]))
	}
	out := make([]byte, n)
	copy(out, text)
	return Bytes(out), nil
}
