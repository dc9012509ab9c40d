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

// kernelTypes returns the kernel's BTF. It is read once, because it does not change while the
// kernel runs.
var kernelTypes = sync.OnceValues(func() (*btf.Spec, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, &NoBTFError{err}
	}
	return spec, nil
})

// typesMu guards the decoder of kernelTypes, which belongs to cilium/ebpf.
var typesMu sync.Mutex

var (
	// errNoTypes reports that the kernel's BTF does not describe a function.
	errNoTypes = errors.New("the kernel's BTF does not describe it")
	// errSeveral reports that BTF describes several functions of that name which differ.
	errSeveral = errors.New("the kernel has several functions of that name")
)

// kernelFunction finds a function in the kernel's BTF. If several functions have the name, id is 0,
// and the error is errSeveral if they differ. Other errors are a *NoBTFError and errNoTypes.
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

// functionsNamed returns the types with the given name. cilium/ebpf does not consider what follows
// three underscores part of a name, and so misses some functions.
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

// kprobeEvent returns the event of a kprobe at function entry, or of a kretprobe. Arguments can be
// read by number, and also by name if BTF describes the function.
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
			NoArgs: "kretprobe:" + fn + " has no arguments: they are gone when the function returns; save them at its entry, or use fexit:" + fn}
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
			f.Kind = FieldStruct // passed on the stack
			f.Offset = 0
		default:
			f.Offset = e.Args[next].Offset
			next += n
		}
		e.Fields = append(e.Fields, f)
	}
	return e, nil
}

// traceEvent returns the event of fentry or fexit. The arguments are the words of the context,
// followed by the return value (bpf_get_func_arg and bpf_get_func_ret, kernel/trace/bpf_trace.c).
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

// returned returns a function's return value as a field, and false if it has none.
func returned(proto *btf.FuncProto) (Field, bool) {
	if _, void := proto.Return.(*btf.Void); void {
		return Field{}, false
	}
	return argument("ret", 0, proto.Return), true
}

// argument returns the field for an argument or a return value of type t.
func argument(name string, i int, t btf.Type) Field {
	if name == "" {
		name = fmt.Sprintf("arg%d", i)
	}
	f := Field{Name: name, CType: cName(t), Kind: FieldStruct}
	size, err := btf.Sizeof(t)
	if err != nil {
		return f // void or a function: nothing to read
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

// regWords returns the number of registers that an argument occupies, or 0 if it is passed in
// memory.
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

// functionIDs returns the BTF IDs of all functions by name. It parses the file itself
// (Documentation/bpf/btf.rst), because cilium/ebpf would create a value for each of the hundred
// thousand types.
var functionIDs = sync.OnceValues(func() (map[string][]btf.TypeID, error) { return functionsWith("") })

// kfuncIDs is like functionIDs, for kfuncs only. They are few, so handlers that need one start
// quickly.
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

// btfSizes holds the number of bytes that follow the twelve bytes of each type, by kind
// (include/uapi/linux/btf.h): a fixed number, and a number for each of the vlen members.
var btfSizes = [...]struct{ fixed, each int }{
	1: {4, 0}, 3: {12, 0}, 4: {0, 12}, 5: {0, 12}, 6: {0, 8}, 13: {0, 8}, 14: {4, 0}, 15: {0, 12}, 17: {4, 0}, 19: {0, 12},
}

// btfStrings returns the string section of BTF on which other BTF is based.
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

// scanFunctions returns the functions whose names start with prefix. base is as in eachFunction.
func scanFunctions(b []byte, prefix string, base []byte) (map[string][]btf.TypeID, error) {
	out := map[string][]btf.TypeID{}
	err := eachFunction(b, base, func(name []byte, id btf.TypeID) {
		if bytes.HasPrefix(name, []byte(prefix)) {
			out[string(name)] = append(out[string(name)], id)
		}
	})
	return out, err
}

// eachFunction calls fn for each function. name is valid only during the call. base is the string
// section of the BTF that b is based on, if any; the IDs then count from the end of the base's IDs.
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

// cName returns the C name of a type.
func cName(t btf.Type) string { return cDecl(t, "") }

// cDecl returns a C declaration of name with type t.
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

// qualified places a qualifier before the qualified type or, for a pointer, after the star.
func qualified(t btf.Type, word, name string) string {
	if p, ok := t.(*btf.Pointer); ok {
		if name != "" {
			name = " " + name
		}
		return cDecl(p, word+name)
	}
	return word + " " + cDecl(t, name)
}
