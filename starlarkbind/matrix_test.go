package starlarkbind

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/diag"
	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/records"
	"github.com/bpfrepl/bpfrepl/starlarkbind/source"
)

// The matrix combines every builtin, method and operator of handlers with every kind of operand
// (docs/testing.md). A cell either yields the right value or is a compile error that says what is
// wrong. The right value is the interpreter's result for the same values or, for reads of memory,
// the known contents of that memory.

// An operand is one kind of value.
type operand struct {
	name   string
	kernel string // its expression in a handler
	host   string // the same value in the script, or "" if the script has none
	also   string // another form in which it is shown: the name of an enum
	mem    string // the memory at the address; an invalid address reads as zeros
	addr   bool   // it can be used as an address
	str    bool
	signed bool // its type has negative numbers
}

const matrixText = "user-text"

// A matrix runs cells in the kernel and in the interpreter.
type matrix struct {
	*kernelRun
	t        *testing.T
	page     []byte
	words    []uint64
	operands []operand
	cells    []*cell
}

var matrixFields = []abi.Field{
	{Name: "i64", CType: "long", Kind: abi.FieldInt, Offset: 0, Size: 8, Signed: true},
	{Name: "u64", CType: "unsigned long", Kind: abi.FieldInt, Offset: 8, Size: 8},
	{Name: "i32", CType: "int", Kind: abi.FieldInt, Offset: 16, Size: 4, Signed: true},
	{Name: "u32", CType: "unsigned int", Kind: abi.FieldInt, Offset: 20, Size: 4},
	{Name: "flag", CType: "bool", Kind: abi.FieldBool, Offset: 24, Size: 8},
	{Name: "uptr", CType: "const char *", Kind: abi.FieldPointer, Offset: 32, Size: 8, User: true},
	{Name: "ptr", CType: "const char *", Kind: abi.FieldPointer, Offset: 32, Size: 8},
	{Name: "kptr", CType: "const char *", Kind: abi.FieldPointer, Offset: 40, Size: 8},
	{Name: "loc", CType: "__data_loc char[]", Kind: abi.FieldDataLocString, Offset: 48, Size: 4},
	{Name: "array", CType: "u32[2]", Kind: abi.FieldArray, Offset: 56, Size: 8, ElemSize: 4, Len: 2},
	{Name: "chars", CType: "char[16]", Kind: abi.FieldCharArray, Offset: 64, Size: 16},
	{Name: "word", CType: "unsigned long", Kind: abi.FieldInt, Offset: 32, Size: 8},
}

func newMatrix(t *testing.T) *matrix {
	k, err := newKernelRun()
	if err != nil {
		t.Fatal(err)
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // e.task and e.comm are those of this thread
	t.Cleanup(func() {
		runtime.UnlockOSThread()
		if err := errors.Join(unix.Munmap(page), k.Close()); err != nil {
			t.Error(err)
		}
	})
	m := &matrix{kernelRun: k, t: t, page: page}
	at := uint64(uintptr(unsafe.Pointer(&page[0])))
	copy(page, matrixText)
	binary.NativeEndian.PutUint64(page[64:], at) // a struct iovec
	binary.NativeEndian.PutUint64(page[72:], 42)
	page[96] = 0x45 // a struct iphdr
	ctx := make([]byte, 12*8)
	put := func(off int, n uint64) { binary.NativeEndian.PutUint64(ctx[off:], n) }
	put(0, ^uint64(6))
	put(8, 0x9000000081234567) // an invalid address
	put(16, 3|40<<32)
	put(24, 1)
	put(32, at)
	put(48, 88|5<<16)
	put(56, 5|6<<32)
	copy(ctx[64:], "hello")
	copy(ctx[88:], "data")
	for off := 0; off < len(ctx); off += 8 {
		m.words = append(m.words, binary.NativeEndian.Uint64(ctx[off:]))
	}
	m.define("out = stream()\n")
	// A kernel address with known contents.
	task := &cell{form: "task", text: `e.task + offsetof("struct task_struct", "comm")`}
	m.run([]*cell{task})
	kptr, ok := task.got.(starlark.Int)
	if !ok {
		t.Fatal("no address of the task: ", task.fails)
	}
	m.words[5], _ = kptr.Uint64()
	comm, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/comm", unix.Gettid()))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(string(comm), "\n")
	hex := func(n uint64) string { return fmt.Sprint(n) }
	quoted := func(s string) string { return starlark.String(s).String() }
	user := string(page[:128])
	m.operands = []operand{
		{name: "int", kernel: "e.args.i64", host: "(-7)", addr: true, signed: true},
		{name: "small int", kernel: "e.args.i32", host: "3", signed: true},
		{name: "unsigned", kernel: "e.args.u64", host: matrixUnsigned, addr: true},
		{name: "small unsigned", kernel: "e.args.u32", host: "40"},
		{name: "constant", kernel: "(7)", host: "7"},
		{name: "negative constant", kernel: "(-3)", host: "(-3)", signed: true},
		{name: "bool", kernel: "e.args.flag", host: "True"},
		{name: "event field", kernel: "e.pid", host: fmt.Sprint(os.Getpid())},
		{name: "context array", kernel: "e.args.array", host: "(5, 6)"},
		{name: "data_loc", kernel: "e.args.loc", host: `"data"`, str: true},
		{name: "chars", kernel: "e.args.chars", host: `"hello"`, str: true},
		{name: "comm", kernel: "e.comm", host: quoted(name), str: true},
		{name: "kernel pointer", kernel: `(e.task + offsetof("struct task_struct", "comm"))`, host: hex(m.words[5]), mem: name, addr: true},
		{name: "program's pointer", kernel: "e.args.uptr", host: hex(at), mem: user, addr: true},
		{name: "unknown pointer, program's", kernel: "e.args.ptr", host: hex(at), mem: user, addr: true},
		{name: "unknown pointer, kernel's", kernel: "e.args.kptr", host: hex(m.words[5]), mem: name, addr: true},
		{name: "address", kernel: "e.args.word", host: hex(at), mem: user, addr: true},
		{name: "struct", kernel: `cast(e.args.uptr + 64, "struct iovec")`, host: hex(at + 64), mem: string(page[64:]), addr: true},
		{name: "member", kernel: `cast(e.args.uptr + 64, "struct iovec").iov_len`, host: "42", addr: true},
		{name: "pointer member", kernel: `cast(e.args.uptr + 64, "struct iovec").iov_base`, host: hex(at), mem: user, addr: true},
		{name: "array member", kernel: `cast(e.args.uptr + 64, "struct in6_addr").in6_u.u6_addr32[2]`, host: "42"},
		{name: "char array member", kernel: "e.task.comm", host: quoted(name), str: true},
		{name: "bit field", kernel: `cast(e.args.uptr + 96, "struct iphdr").version`, host: "4"},
		{name: "enum", kernel: `cast(e.args.i32, "enum pid_type")`, host: "3", also: `"PIDTYPE_SID"`},
		{name: "shown", kernel: "errno_name(e.args.i32)", host: `"ESRCH"`},
		{name: "bytes", kernel: "buf(e.args.uptr, 8)", host: `b"user-tex"`},
		{name: "string", kernel: "str(e.args.uptr, 16)", host: `"user-text"`, str: true},
		{name: "tuple", kernel: "(e.args.i64, e.args.chars)", host: `(-7, "hello")`},
		{name: "None-able", kernel: "given.get(1)", host: "11", signed: true},
		{name: "None", kernel: "None", host: "None"},
		{name: "list", kernel: "numbers", host: "[7, 8]"},
		{name: "dict", kernel: "names", host: `{7: "seven", "hello": "you"}`},
		{name: "function", kernel: "twice"},
		{name: "aggregation", kernel: "given_count"},
		{name: "table", kernel: "given"},
		{name: "event", kernel: "e"},
		{name: "arguments", kernel: "e.args"},
	}
	m.define(matrixGlobals)
	return m
}

// define runs a script whose globals later scripts can use.
func (m *matrix) define(src string) {
	if err := m.ExecFile(m.Session.run.Context(), "matrix.star", []byte(src)); err != nil {
		m.t.Fatal(m.FormatError(err))
	}
	for n, v := range m.names.Globals {
		m.names.Predeclared[n] = v
	}
}

const matrixGlobals = `
given, given_count = table(), count()
given[1] = 11
numbers, names = [7, 8], {7: "seven", "hello": "you"}
def twice(x):
    return (x, x)
`

// A cell is one form with one operand.
type cell struct {
	form, operand string
	text          string // the expression that yields the value, after lines if there are any
	lines         []string
	want          string // the right value, or "" if unknown
	any           bool   // any value is right: another test checks it
	norun         bool   // it acts on the process
	mod           bool   // signed, but not in the script: docs/language.md
	also          [2]string

	errs  diag.List
	got   starlark.Value
	fails string // how the run ended without a value
}

func (c *cell) source(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "def c%d(e):\n", i)
	for _, l := range c.lines {
		fmt.Fprintf(&b, "    %s\n", l)
	}
	fmt.Fprintf(&b, "    out.emit(i=%d, v=%s)\n", i, c.text)
	return b.String()
}

// compile compiles each cell separately, and returns the cells accepted.
func (m *matrix) compile(cells []*cell) (accepted []*cell) {
	for part := range slices.Chunk(cells, 2*perProgram) {
		accepted = append(accepted, m.compilePart(part)...)
	}
	return accepted
}

func (m *matrix) compilePart(cells []*cell) (accepted []*cell) {
	var src strings.Builder
	for i, c := range cells {
		src.WriteString(c.source(i))
	}
	if err := m.ExecFile(context.Background(), "cells.star", []byte(src.String())); err != nil {
		m.t.Fatal(m.FormatError(err))
	}
	for i, c := range cells {
		h, err := m.names.Function(m.names.Globals[fmt.Sprintf("c%d", i)].(*starlark.Function))
		if err != nil {
			m.t.Fatal(err)
		}
		_, err = compiler.Compile(m.request("matrix", h, matrixEvent()))
		if err == nil {
			accepted = append(accepted, c)
		} else if !errors.As(err, &c.errs) {
			m.t.Errorf("%s: %v", c.text, err)
		}
	}
	return accepted
}

func matrixEvent() *compiler.Event {
	return &compiler.Event{Probe: "matrix", Event: abi.Event{Fields: matrixFields}}
}

// perProgram is the number of cells in one program.
const perProgram = 16

// run runs cells, several per program. Cells without a value after that are run again, one per
// program.
func (m *matrix) run(cells []*cell) {
	for part := range slices.Chunk(cells, perProgram) {
		if !m.load(part) && len(part) > 1 {
			for _, c := range part {
				if c.got == nil {
					m.load([]*cell{c})
				}
			}
		}
	}
}

// load runs cells in one program, and reports whether all have a value.
func (m *matrix) load(cells []*cell) bool {
	var src strings.Builder
	for i, c := range cells {
		src.WriteString(c.source(i))
	}
	src.WriteString("def handler(e):\n")
	for i := range cells {
		fmt.Fprintf(&src, "    c%d(e)\n", i)
	}
	fail := func(err error) bool {
		for _, c := range cells {
			if c.got == nil {
				c.fails = err.Error()
			}
		}
		return false
	}
	if err := m.ExecFile(context.Background(), "cells.star", []byte(src.String())); err != nil {
		m.t.Fatal(m.FormatError(err))
	}
	h, err := m.names.Function(m.names.Globals["handler"].(*starlark.Function))
	if err != nil {
		m.t.Fatal(err)
	}
	p := &Probe{s: m.Session, name: "matrix"}
	l := &loader{s: m.Session, p: p, targetless: m.request("matrix", h, matrixEvent())}
	if err := l.loadOne(nil, nil, ebpf.RawTracepoint, nil); err != nil {
		return fail(errors.Join(err, l.rollback()))
	}
	l.commit()
	m.reg.probes = append(m.reg.probes, p)
	if _, err := p.programs[0].prog.TestRun(m.words); err != nil {
		return fail(err)
	}
	es, err := m.readErrors(p)
	if err != nil {
		m.t.Fatal(err)
	}
	sent := m.names.Globals["out"].(*records.Stream)
	for {
		v, err := sent.Next(time.Now())
		if err != nil {
			m.t.Fatal(err)
		}
		if v == nil {
			break
		}
		i, err1 := v.(starlark.HasAttrs).Attr("i")
		x, err2 := v.(starlark.HasAttrs).Attr("v")
		if err := errors.Join(err1, err2); err != nil {
			m.t.Fatal(err)
		}
		n, _ := starlark.AsInt32(i)
		cells[n].got = x
	}
	if err := p.detach(); err != nil {
		m.t.Fatal(err)
	}
	ended := ""
	for _, e := range es {
		ended += e.Errno + " "
	}
	all := true
	for _, c := range cells {
		if c.got == nil {
			all = false
			c.fails = "ended: " + ended
		}
	}
	return all
}

// eval evaluates an expression in the interpreter.
func (m *matrix) eval(text string) (starlark.Value, error) {
	return starlark.EvalOptions(source.Options, &starlark.Thread{Name: "matrix"}, "cell", text, m.names.Predeclared)
}

// expected sets the wanted value of a cell to the interpreter's value of text.
func (m *matrix) expected(c *cell, text string) *cell {
	v, err := m.eval(text)
	if err != nil {
		c.want = "error: " + err.Error()
		return c
	}
	c.want = v.String()
	return c
}

// saysWhat matches messages without a hint that already say what to write.
var saysWhat = regexp.MustCompile(`must be|wants a|needs a|takes |reads |write |from \d+ to|at most \d+`)

// verdict returns what is wrong with a cell, or "".
func (c *cell) verdict() string {
	switch {
	case c.errs != nil:
		for _, d := range c.errs {
			if d.Hint == "" && !saysWhat.MatchString(d.Msg) {
				return "an error that does not say what to write: " + d.Msg
			}
		}
		return ""
	case c.norun, c.any && c.got != nil:
		return ""
	case c.got == nil && strings.HasPrefix(c.fails, "ended:") && (c.any || strings.HasPrefix(c.want, "error:")):
		return "" // counted, with its errno
	case c.got == nil:
		return "no value: " + c.fails
	case c.got.String() == c.want, strings.ReplaceAll(c.got.String(), c.also[0], c.also[1]) == c.want && c.also[0] != "":
		return ""
	}
	if got, ok := c.got.(starlark.Int); ok {
		if want, ok := new(big.Int).SetString(c.want, 10); ok && (c.mod || !want.IsInt64() && !want.IsUint64()) { // numbers wrap at 64 bits
			d := new(big.Int).Sub(want, got.BigInt())
			if new(big.Int).And(d, new(big.Int).SetUint64(^uint64(0))).Sign() == 0 {
				return ""
			}
		}
	}
	return fmt.Sprintf("got %s, want %s", c.got, c.want)
}
