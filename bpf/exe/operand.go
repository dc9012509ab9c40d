package exe

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
)

// An Operand describes the location of an argument of a USDT probe, and how to read it.
type Operand struct {
	Text   string // as in the note
	Size   int    // bytes
	Signed bool
	Kind   OperandKind
	Why    string // reason for Unreadable: "a vector register"

	Register string // for Register: its full name, "rax" or "x0"
	High     bool   // for Register: its second byte, as in %ah

	Value int64 // for Constant the value; for Memory a displacement
	// Base and Index are registers, for Memory. The address is Base + Index*Scale + Value. Either
	// can be "". The instruction pointer is "ip" on all architectures.
	Base, Index string
	Scale       int
}

// OperandKind is the kind of an operand.
type OperandKind uint8

// The kinds of operand.
const (
	Unreadable OperandKind = iota
	Constant
	Register
	Memory
)

// argument matches the beginning of an argument: -4@ is a signed four-byte int, 8f@ a double.
var argument = lazyregexp.Regexp(`(?:^|\s)(-?)([1248])(f?)@`)

// Operands parses the arguments of a probe.
func (x *File) Operands(p StaticProbe) []Operand {
	heads := argument().FindAllStringSubmatchIndex(p.Args, -1)
	if heads == nil { // old notes contain no sizes
		var out []Operand
		for _, text := range strings.Fields(p.Args) {
			o := Operand{Text: text, Size: 8}
			x.operand(&o, text, p.Addr)
			out = append(out, o)
		}
		return out
	}
	var out []Operand
	for i, h := range heads {
		end := len(p.Args)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		size, err := strconv.Atoi(p.Args[h[4]:h[5]])
		if err != nil {
			continue // impossible: the expression matches digits only
		}
		o := Operand{Text: strings.TrimSpace(p.Args[h[0]:end]), Size: size, Signed: h[2] != h[3]}
		if h[6] != h[7] {
			o.Why = "a floating-point number"
		} else {
			x.operand(&o, strings.TrimSpace(p.Args[h[1]:end]), p.Addr)
		}
		out = append(out, o)
	}
	return out
}

// operand parses the text after the @.
func (x *File) operand(o *Operand, text string, pc uint64) {
	var ok bool
	switch x.Arch() {
	case "amd64":
		ok = o.amd64(text, pc, x)
	case "arm64":
		ok = o.arm64(text)
	}
	if !ok && o.Why == "" {
		o.Kind, o.Why = Unreadable, fmt.Sprintf("its location has an unknown format: %q", o.Text)
	}
}

func (o *Operand) constant(text string) bool {
	v, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		u, uerr := strconv.ParseUint(text, 0, 64)
		if uerr != nil {
			return false
		}
		v = int64(u)
	}
	o.Kind, o.Value = Constant, v
	return true
}

// memoryAMD64 matches [DISPLACEMENT](BASE,INDEX,SCALE); each part is optional.
var memoryAMD64 = lazyregexp.Regexp(`^([^()]*)\((%[a-z0-9]+)?(?:,\s*(%[a-z0-9]+)(?:,\s*([1248]))?)?\)$`)

func (o *Operand) amd64(text string, pc uint64, x *File) bool {
	if c, ok := strings.CutPrefix(text, "$"); ok {
		return o.constant(c)
	}
	if m := memoryAMD64().FindStringSubmatch(text); m != nil {
		o.Scale = 1
		for i, dst := range []*string{&o.Base, &o.Index} {
			if m[2+i] == "" {
				continue
			}
			name, _ := amd64Register(m[2+i])
			if name == "" {
				return false
			}
			*dst = name
		}
		if m[4] != "" {
			o.Scale = int(m[4][0] - '0')
		}
		v, named, ok := x.displacement(m[1])
		if !ok {
			return false
		}
		if o.Base == "ip" && named {
			v -= int64(pc) // the distance is the same wherever the file is loaded
		}
		o.Kind, o.Value = Memory, v
		return true
	}
	if strings.HasPrefix(text, "%") {
		name, high := amd64Register(text)
		switch {
		case name != "":
			o.Kind, o.Register, o.High = Register, name, high
			return true
		case strings.HasPrefix(text, "%xmm"), strings.HasPrefix(text, "%ymm"), strings.HasPrefix(text, "%zmm"), strings.HasPrefix(text, "%st"):
			o.Why = "in a vector register, which the kernel does not save"
		case strings.HasPrefix(text, "%fs:"), strings.HasPrefix(text, "%gs:"):
			o.Why = "in thread-local memory (%fs), whose address is unknown"
		}
		return false
	}
	// A data object at a fixed address.
	v, named, ok := x.displacement(text)
	if !ok || text == "" {
		return false
	}
	if named && x.relocatable() {
		o.Base, v = "ip", v-int64(pc)
	}
	o.Kind, o.Value, o.Scale = Memory, v, 1
	return true
}

// displacement parses a sum of numbers and at most one symbol: "-8", "counter+4". named reports
// that it contains a symbol.
func (x *File) displacement(text string) (sum int64, named, ok bool) {
	text = strings.ReplaceAll(text, " ", "")
	for text != "" {
		sign := int64(1)
		switch text[0] {
		case '-':
			sign, text = -1, text[1:]
		case '+':
			text = text[1:]
		}
		end := strings.IndexAny(text, "+-")
		if end < 0 {
			end = len(text)
		}
		term := text[:end]
		text = text[end:]
		if v, err := strconv.ParseInt(term, 0, 64); err == nil {
			sum += sign * v
			continue
		}
		addr, found := x.object(term)
		if !found || named || sign < 0 {
			return 0, false, false
		}
		sum, named = sum+int64(addr), true
	}
	return sum, named, true
}

// amd64Register returns the full name of a register: "rax" for %eax. high is true for %ah and
// similar registers. The name is "" if text is not a register.
func amd64Register(text string) (name string, high bool) {
	name, ok := strings.CutPrefix(text, "%")
	if !ok {
		return "", false
	}
	if strings.HasPrefix(name, "r") && len(name) > 1 && name[1] >= '0' && name[1] <= '9' {
		full := strings.TrimRight(name, "dwb")
		if n, err := strconv.Atoi(full[1:]); err != nil || n < 8 || n > 15 {
			return "", false
		}
		return full, false
	}
	switch name {
	case "rip", "eip":
		return "ip", false
	case "al", "ah", "bl", "bh", "cl", "ch", "dl", "dh":
		return "r" + name[:1] + "x", name[1] == 'h'
	case "sil", "dil", "bpl", "spl":
		return "r" + name[:2], false
	case "ax", "bx", "cx", "dx", "si", "di", "bp", "sp":
		return "r" + name, false
	}
	if len(name) == 3 && (name[0] == 'r' || name[0] == 'e') {
		switch name[1:] {
		case "ax", "bx", "cx", "dx", "si", "di", "bp", "sp":
			return "r" + name[1:], false
		}
	}
	return "", false
}

// memoryARM64 matches [BASE], [BASE, DISPLACEMENT] and [BASE, INDEX].
var memoryARM64 = lazyregexp.Regexp(`^\[(sp|x[0-9]+)(?:,\s*#?([^\]]+?))?\]$`)

var registerARM64 = lazyregexp.Regexp(`^([xw])([0-9]|[12][0-9]|30)$`)

func (o *Operand) arm64(text string) bool {
	if m := memoryARM64().FindStringSubmatch(text); m != nil {
		o.Base, o.Scale = m[1], 1
		switch {
		case m[2] == "":
		case registerARM64().MatchString(m[2]):
			o.Index = "x" + m[2][1:]
			if m[2][0] == 'w' {
				return false
			}
		default:
			v, err := strconv.ParseInt(m[2], 0, 64)
			if err != nil {
				return false
			}
			o.Value = v
		}
		o.Kind = Memory
		return true
	}
	if m := registerARM64().FindStringSubmatch(text); m != nil {
		o.Kind, o.Register = Register, "x"+m[2]
		return true
	}
	if text == "sp" {
		o.Kind, o.Register = Register, "sp"
		return true
	}
	if strings.HasPrefix(text, "d") || strings.HasPrefix(text, "s") || strings.HasPrefix(text, "v") || strings.HasPrefix(text, "q") {
		o.Why = "in a vector register, which the kernel does not save"
		return false
	}
	return o.constant(strings.TrimPrefix(text, "#"))
}
