package kinds

import (
	"errors"
	"runtime"

	"github.com/bpfrepl/bpfrepl/bpf/exe"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// registers holds the offset of each saved register in the context of a uprobe, which is the
// kernel's struct pt_regs (arch/x86/include/uapi/asm/ptrace.h,
// arch/arm64/include/uapi/asm/ptrace.h). "ip" is the instruction pointer.
var registers = map[string]map[string]int{
	"amd64": {"r15": 0, "r14": 8, "r13": 16, "r12": 24, "rbp": 32, "rbx": 40, "r11": 48, "r10": 56, "r9": 64, "r8": 72,
		"rax": 80, "rcx": 88, "rdx": 96, "rsi": 104, "rdi": 112, "ip": 128, "rsp": 152},
	"arm64": {"x0": 0, "x1": 8, "x2": 16, "x3": 24, "x4": 32, "x5": 40, "x6": 48, "x7": 56, "x8": 64, "x9": 72, "x10": 80,
		"x11": 88, "x12": 96, "x13": 104, "x14": 112, "x15": 120, "x16": 128, "x17": 136, "x18": 144, "x19": 152, "x20": 160,
		"x21": 168, "x22": 176, "x23": 184, "x24": 192, "x25": 200, "x26": 208, "x27": 216, "x28": 224, "x29": 232, "x30": 240,
		"sp": 248, "ip": 256},
}

// A callConv is a compiler's calling convention: the registers of a function's argument words, and
// of the first word of its result. Further argument words are on the stack, above the stack pointer
// at the function's first instruction.
type callConv struct {
	args   []string
	result string
	stack  string // the stack pointer
	above  int64  // bytes from the stack pointer to the first argument word
}

// stackArgs is the number of stack words that e.args[i] can access.
const stackArgs = 6

// conventionC is the System V ABI, and the Procedure Call Standard for arm64.
var conventionC = map[string]callConv{
	"amd64": {[]string{"rdi", "rsi", "rdx", "rcx", "r8", "r9"}, "rax", "rsp", 8}, // the return address comes first
	"arm64": {[]string{"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"}, "x0", "sp", 0},
}

// conventionGo is Go's ABIInternal (cmd/compile/abi-internal.md), since Go 1.17 on amd64 and 1.18
// on arm64.
var conventionGo = map[string]callConv{
	"amd64": {[]string{"rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"}, "rax", "rsp", 8},
	"arm64": {[]string{"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15"}, "x0", "sp", 0},
}

// goroutine is the register that contains the address of the running goroutine's struct g.
var goroutine = map[string]string{"amd64": "r14", "arm64": "x28"}

// GoroutineField returns the field that contains the number of the running goroutine, for events in
// functions of the Go program at path.
func GoroutineField(path string) (abi.Field, error) {
	x, err := exe.Open(path)
	if err != nil {
		return abi.Field{}, err
	}
	off, err := x.GoroutineOffset()
	return abi.Field{Name: "goid", CType: "u64", Kind: abi.FieldMemory, Size: 8,
		At: abi.Address{Base: registers[runtime.GOARCH][goroutine[runtime.GOARCH]], Index: -1, Disp: off}}, errors.Join(err, x.Close())
}

// registerField returns a field that contains a whole register.
func registerField(name, reg string, signed bool) abi.Field {
	f := abi.Field{Name: name, CType: "u64", Offset: registers[runtime.GOARCH][reg], Size: 8, Kind: abi.FieldInt, Signed: signed}
	if signed {
		f.CType = "s64"
	}
	return f
}
