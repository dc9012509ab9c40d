package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"
)

// kernelTypes is the kernel's BTF, read once: it does not change while the kernel runs.
var kernelTypes = sync.OnceValues(func() (*btf.Spec, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, &NoBTFError{err}
	}
	return spec, nil
})

// typesMu guards the library's decoder of kernelTypes.
var typesMu sync.Mutex

var (
	// errNoTypes says that the kernel's BTF does not describe a function.
	errNoTypes = errors.New("the kernel's BTF does not describe it")
	// errSeveral says that it describes several of that name which differ.
	errSeveral = errors.New("the kernel has several functions of that name")
)

// kernelFunction finds a function in the kernel's BTF. Where several have its name, id is 0; the error is errSeveral if they
// differ. Other errors are a *NoBTFError and errNoTypes.
func kernelFunction(name string) (proto *btf.FuncProto, id uint32, err error) {
	spec, err := kernelTypes()
	if err != nil {
		return nil, 0, err
	}
	typesMu.Lock()
	defer typesMu.Unlock()
	found, err := functionsNamed(spec, name)
	if err != nil {
		return nil, 0, err
	}
	return onlyFunction(spec, found)
}

// functionsNamed gives the types of a name. The library takes what is behind three underscores for no part of the name, and
// then loses some.
func functionsNamed(spec *btf.Spec, name string) ([]btf.Type, error) {
	if !strings.Contains(name, "___") {
		found, err := spec.AnyTypesByName(name)
		if errors.Is(err, btf.ErrNotFound) {
			return nil, errNoTypes
		}
		return found, err
	}
	ids, err := functionIDs()
	if err != nil {
		return nil, err
	}
	var out []btf.Type
	for _, id := range ids[name] {
		t, err := spec.TypeByID(id)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// kprobeEvent is the event of a kprobe at a function's entry, or of a kretprobe: arguments by name where BTF has the
// function, and by number always.
func kprobeEvent(fn string, ret bool) (*Event, error) {
	regs, ok := conventionC[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("the registers of %s are not known", runtime.GOARCH)
	}
	d, err := lookupFunctionNamed(fn)
	proto := d.proto
	var noBTF *NoBTFError
	if err != nil && !errors.Is(err, errNoTypes) && !errors.Is(err, errSeveral) && !errors.As(err, &noBTF) {
		return nil, err
	}
	if ret {
		e := &Event{HasRet: true, Fields: []Field{registerField("ret", regs.result, false)},
			NoArgs: "kretprobe:" + fn + " has no arguments: they are gone when the function returns; keep them at its entry, or use fexit:" + fn}
		if proto != nil {
			f, ok := returned(proto)
			if !ok {
				return &Event{NoArgs: e.NoArgs}, nil
			}
			f.Offset = e.Fields[0].Offset
			e.Fields[0] = f
		}
		return e, nil
	}
	e := &Event{SameArgs: true}
	for _, reg := range regs.args {
		e.Args = append(e.Args, registerField("", reg, false))
	}
	if proto == nil {
		return e, nil
	}
	next := 0
	for i, p := range proto.Params {
		f := argument(p.Name, i, p.Type)
		n := regWords(p.Type)
		switch {
		case n == 0 || next+n > len(regs.args):
			f.Kind = FieldStruct // on the stack
			f.Offset = 0
		default:
			f.Offset = e.Args[next].Offset
			next += n
		}
		e.Fields = append(e.Fields, f)
	}
	return e, nil
}

// traceEvent is the event of fentry or fexit: the arguments are words of the context, the result is the word behind them
// (bpf_get_func_arg and bpf_get_func_ret, kernel/trace/bpf_trace.c).
func traceEvent(t Target, ret bool) (*Event, error) {
	d, err := t.lookupFunction()
	if err != nil {
		return nil, err
	}
	fn, proto := t.Func, d.proto
	e := &Event{}
	next := 0
	for i, p := range proto.Params {
		f := argument(p.Name, i, p.Type)
		f.Offset = 8 * next
		f.Tracked = f.Kind == FieldPointer
		next += max(regWords(p.Type), 1)
		e.Fields = append(e.Fields, f)
		word := f
		word.Name = ""
		if f.Kind != FieldStruct {
			word.Kind, word.CType, word.Size, word.Signed = FieldInt, "u64", 8, false
		}
		e.Args = append(e.Args, word)
	}
	if f, ok := returned(proto); ret && ok {
		f.Offset = 8 * next
		f.Tracked = f.Kind == FieldPointer
		e.HasRet = true
		e.Fields = append(e.Fields, f)
	}
	if len(e.Fields) == 0 {
		e.NoArgs = fn + " has no arguments"
	}
	return e, nil
}

// returned gives a function's result as a field; false where it has none.
func returned(proto *btf.FuncProto) (Field, bool) {
	if _, void := proto.Return.(*btf.Void); void {
		return Field{}, false
	}
	return argument("ret", 0, proto.Return), true
}

// argument types an argument, or a result.
func argument(name string, i int, t btf.Type) Field {
	if name == "" {
		name = fmt.Sprintf("arg%d", i)
	}
	f := Field{Name: name, CType: cName(t), Kind: FieldStruct}
	size, err := btf.Sizeof(t)
	if err != nil {
		return f // void, functions: nothing to read
	}
	f.Size = size
	switch u := btf.UnderlyingType(t).(type) {
	case *btf.Int:
		if size <= 8 {
			f.Kind, f.Signed = FieldInt, u.Encoding == btf.Signed
		}
		if u.Encoding == btf.Bool {
			f.Kind = FieldBool
		}
	case *btf.Enum:
		f.Kind, f.Signed = FieldInt, u.Signed
	case *btf.Pointer:
		f.Kind = FieldPointer
		tag, ok := u.Target.(*btf.TypeTag)
		f.UserPtr = ok && tag.Value == "user"
	}
	return f
}

// regWords gives the registers that an argument takes; 0 where it is passed in memory.
func regWords(t btf.Type) int {
	size, err := btf.Sizeof(t)
	switch {
	case err != nil || size > 16:
		return 0
	case size > 8:
		return 2
	}
	return 1
}

// functionIDs gives the BTF ids of all functions, by name. It goes through the file itself (Documentation/bpf/btf.rst), since
// the library would make a value of each of the hundred thousand types.
var functionIDs = sync.OnceValues(func() (map[string][]btf.TypeID, error) { return functionsWith("") })

// kfuncIDs is functionIDs for the functions that programs may call: few, so that handlers that need one start soon.
var kfuncIDs = sync.OnceValues(func() (map[string][]btf.TypeID, error) { return functionsWith("bpf_") })

func functionsWith(prefix string) (map[string][]btf.TypeID, error) {
	b, err := KernelBTF()
	if err != nil {
		return nil, err
	}
	ids, err := scanFunctions(b, prefix, nil)
	if err != nil {
		return nil, fmt.Errorf("/sys/kernel/btf/vmlinux: %w", err)
	}
	return ids, nil
}

// What follows the twelve bytes of a type, by kind (include/uapi/linux/btf.h): fixed, and for each of its vlen members.
var btfSizes = [...]struct{ fixed, each int }{
	1: {4, 0}, 3: {12, 0}, 4: {0, 12}, 5: {0, 12}, 6: {0, 8}, 13: {0, 8}, 14: {4, 0}, 15: {0, 12}, 17: {4, 0}, 19: {0, 12},
}

// btfStrings gives the strings of BTF that others build on.
func btfStrings(b []byte) ([]byte, error) {
	if len(b) < 24 {
		return nil, errBadBTF
	}
	from := int(binary.NativeEndian.Uint32(b[4:])) + int(binary.NativeEndian.Uint32(b[16:]))
	to := from + int(binary.NativeEndian.Uint32(b[20:]))
	if to > len(b) {
		return nil, errBadBTF
	}
	return b[from:to], nil
}

var errBadBTF = errors.New("bad BTF")

// scanFunctions finds the functions whose names start with prefix. base is as for eachFunction.
func scanFunctions(b []byte, prefix string, base []byte) (map[string][]btf.TypeID, error) {
	out := map[string][]btf.TypeID{}
	err := eachFunction(b, base, func(name []byte, id btf.TypeID) {
		if bytes.HasPrefix(name, []byte(prefix)) {
			out[string(name)] = append(out[string(name)], id)
		}
	})
	return out, err
}

// eachFunction calls fn for each function; name is valid during the call only. base is the strings of the BTF that this one builds on, if it does:
// the ids then count from the end of that one's.
func eachFunction(b, base []byte, fn func(name []byte, id btf.TypeID)) error {
	if len(b) < 24 {
		return errBadBTF
	}
	u32 := func(off int) int { return int(binary.NativeEndian.Uint32(b[off:])) }
	if binary.NativeEndian.Uint16(b) != 0xeb9f {
		return errBadBTF
	}
	head := u32(4)
	types, strs := head+u32(8), head+u32(16)
	end, strEnd := types+u32(12), strs+u32(20)
	if end > len(b) || strEnd > len(b) {
		return errBadBTF
	}
	const kindFunction = 12
	for at, id := types, btf.TypeID(1); at+12 <= end; id++ {
		info := u32(at + 4)
		kind, vlen := info>>24&0x1f, info&0xffff
		if kind == kindFunction {
			name := base
			if off := u32(at); off < len(base) {
				name = base[off:]
			} else {
				name = b[min(strs+off-len(base), strEnd):strEnd]
			}
			if i := bytes.IndexByte(name, 0); i > 0 {
				fn(name[:i], id)
			}
		}
		at += 12
		if kind < len(btfSizes) {
			at += btfSizes[kind].fixed + btfSizes[kind].each*vlen
		}
	}
	return nil
}

// cName writes a type as C does, without a name.
func cName(t btf.Type) string { return cDecl(t, "") }

// cDecl declares name as of type t.
func cDecl(t btf.Type, name string) string {
	join := func(s string) string {
		if name == "" || strings.HasSuffix(s, "*") {
			return s + name
		}
		return s + " " + name
	}
	named := func(kind, n string) string {
		if n == "" {
			n = "{...}"
		}
		return join(kind + " " + n)
	}
	switch t := t.(type) {
	case *btf.Void:
		return join("void")
	case *btf.Int:
		return join(t.Name)
	case *btf.Float:
		return join(t.Name)
	case *btf.Typedef:
		return join(t.Name)
	case *btf.Struct:
		return named("struct", t.Name)
	case *btf.Union:
		return named("union", t.Name)
	case *btf.Enum:
		return named("enum", t.Name)
	case *btf.Fwd:
		return named(t.Kind.String(), t.Name)
	case *btf.Const:
		return qualified(t.Type, "const", name)
	case *btf.Volatile:
		return qualified(t.Type, "volatile", name)
	case *btf.Restrict:
		return qualified(t.Type, "restrict", name)
	case *btf.TypeTag:
		return cDecl(t.Type, name)
	case *btf.Pointer:
		switch to := btf.UnderlyingType(t.Target).(type) {
		case *btf.FuncProto:
			if _, isTypedef := t.Target.(*btf.Typedef); !isTypedef {
				return cDecl(to, "(*"+name+")")
			}
		case *btf.Array:
			if _, isTypedef := t.Target.(*btf.Typedef); !isTypedef {
				return cDecl(to, "(*"+name+")")
			}
		}
		target := cDecl(t.Target, "")
		if tag, ok := t.Target.(*btf.TypeTag); ok && tag.Value == "user" {
			target += " __user"
		}
		if !strings.HasSuffix(target, "*") {
			target += " "
		}
		return target + "*" + name
	case *btf.Array:
		return cDecl(t.Type, fmt.Sprintf("%s[%d]", name, t.Nelems))
	case *btf.FuncProto:
		var params []string
		for _, p := range t.Params {
			if _, variadic := p.Type.(*btf.Void); variadic {
				params = append(params, "...")
				continue
			}
			params = append(params, cDecl(p.Type, p.Name))
		}
		if params == nil {
			params = []string{"void"}
		}
		return cDecl(t.Return, name+"("+strings.Join(params, ", ")+")")
	case *btf.Func:
		return cDecl(t.Type, t.Name)
	}
	return join(t.TypeName())
}

// qualified puts const before what it qualifies, or behind the star of a pointer.
func qualified(t btf.Type, word, name string) string {
	if p, ok := t.(*btf.Pointer); ok {
		if name != "" {
			name = " " + name
		}
		return cDecl(p, word+name)
	}
	return word + " " + cDecl(t, name)
}
