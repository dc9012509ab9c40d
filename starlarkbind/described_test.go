package starlarkbind

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// filterProgram loads a program with types: a packet filter that computes the length of a packet in
// a separate function.
func filterProgram(t *testing.T) *ebpf.Program {
	t.Helper()
	number := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	skb := &btf.Pointer{Target: &btf.Struct{Name: "__sk_buff", Size: 192, Members: []btf.Member{{Name: "len", Type: &btf.Int{Name: "unsigned int", Size: 4}}}}}
	proto := &btf.FuncProto{Return: number, Params: []btf.FuncParam{{Name: "skb", Type: skb}}}
	times := &btf.FuncProto{Return: number, Params: []btf.FuncParam{{Name: "skb", Type: skb}, {Name: "times", Type: number}}}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "packets_filter_x", Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
		btf.WithFuncMetadata(asm.Mov.Imm(asm.R2, 3).WithSymbol("packets_filter_x"), &btf.Func{Name: "packets_filter_x", Type: proto, Linkage: btf.GlobalFunc}),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoCall, Constant: -1}.WithReference("length_of"),
		asm.Return(),
		btf.WithFuncMetadata(asm.LoadMem(asm.R0, asm.R1, 0, asm.Word).WithSymbol("length_of"), &btf.Func{Name: "length_of", Type: times, Linkage: btf.StaticFunc}),
		asm.Mul.Reg(asm.R0, asm.R2),
		asm.Return(),
	}})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Functions of BPF programs can be traced: each run counts, with its own arguments and result.
func TestProgramFunctions(t *testing.T) {
	bpftest.Need(t, "fentry")
	p := filterProgram(t)
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	l := newLive(t, nil)
	if err := l.script(strings.ReplaceAll(`
n, m = count(), count()
a = probe("fentry:bpf:packets_filter_x", lambda e: n.add(by=(e.probe, e.func, e.args.skb.len)))
b = probe("fexit:bpf:ID:packets_filter_x", lambda e: n.add(by=(e.probe, e.func, e.ret)))
c = probe("fexit:bpf:length_*", lambda e: m.add(by=(e.probe, e.args.times, e.args.skb.len, e.ret)))
`, "bpf:ID:", fmt.Sprintf("bpf:%d:", id))); err != nil {
		t.Fatal(l.FormatError(err))
	}
	for _, size := range []int{64, 100} {
		ret, err := p.Run(&ebpf.RunOptions{Data: make([]byte, size), Repeat: 500})
		if err != nil || ret != uint32(3*(size-14)) {
			t.Fatalf("the filter gave %d, %v", ret, err)
		}
	}
	for _, item := range []string{`for k, n in sorted(n.items()): print(k, n)`, `for k, n in sorted(m.items()): print(k, n)`, `print(a.targets, c.targets)`,
		`print(attempt(lambda: probe("fentry:bpf:packets_filtre", lambda e: None)).error.message)`,
		`print(attempt(lambda: probe("fentry:bpf:x:packets_filter_x", lambda e: None)).error.message)`,
		`print([p.name for p in probes("fexit:bpf:*:packets_filter_*")])`} {
		if err := l.item(item); err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	want := strings.ReplaceAll(`("fentry:bpf:ID:packets_filter_x", "packets_filter_x", 50) 500
("fentry:bpf:ID:packets_filter_x", "packets_filter_x", 86) 500
("fexit:bpf:ID:packets_filter_x", "packets_filter_x", 150) 500
("fexit:bpf:ID:packets_filter_x", "packets_filter_x", 258) 500
("fexit:bpf:ID:length_of", 3, 50, 150) 500
("fexit:bpf:ID:length_of", 3, 86, 258) 500
["fentry:bpf:ID:packets_filter_x"] ["fexit:bpf:ID:length_of"]
no probe "fentry:bpf:packets_filtre": no loaded BPF program with types (BTF) has a function "packets_filtre" (bpfrepl -l 'fentry:bpf:*' lists them)
probe "fentry:bpf:x:packets_filter_x": "x" is not the ID of a BPF program (bpftool prog lists them)
["fexit:bpf:ID:packets_filter_x"]
`, "bpf:ID:", fmt.Sprintf("bpf:%d:", id))
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// tunFile names the environment variable with the file of the module tun, which is set where tests
// may load it: see docs/testing.md.
const tunFile = "BPFREPL_TUN_KO"

// loadTun loads the module, and returns a function that makes it work.
func loadTun(t *testing.T, file string) (open func()) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		t.Fatalf("load the module tun: %v", err)
	}
	node := t.TempDir() + "/tun"
	if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(10, 200))); err != nil {
		t.Fatal(err)
	}
	return func() {
		f, err := os.OpenFile(node, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A function of a module that is not loaded or has no types is refused with a message. The
// functions and types of a loaded module work like the kernel's own.
func TestModule(t *testing.T) {
	l := newLive(t, nil)
	if err := l.script(`
print(attempt(lambda: probe("fentry:no_such:tun_chr_open", lambda e: None)).error.message)
print(attempt(lambda: probe("fexit:a:b:c", lambda e: None)).error.message)
print(attempt(lambda: probe("rawtracepoint:sys_enter", lambda e: cast(e.args[0], "struct no_such").x)).error.message)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	if got, want := l.out.String(), `no probe "fentry:no_such:tun_chr_open": no loaded module "no_such" has types (BTF) (lsmod lists modules; their types are in /sys/kernel/btf from kernel 5.11 on)
probe "fexit:a:b:c" has 4 parts (write fexit:[MODULE:]FUNCTION, fexit:bpf:[ID:]FUNCTION)
this kernel has no type "struct no_such"
`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if file := os.Getenv(tunFile); file != "" && atLeast(t, 5, 11) {
		needFunctions(t)
		loadedModule(t, file)
	}
}

func loadedModule(t *testing.T, file string) {
	open := loadTun(t, file)
	l := newLive(t, nil)
	if err := l.script(`
n = count()
def opened(e):
    n.add(by=(e.probe, e.args.file.f_inode == e.args.inode, e.args.inode.i_rdev == (10 << 20 | 200), path(e.args.file).endswith("/tun")))
def ready(e):
    n.add(by=(e.probe, e.ret == 0, cast(e.args.file.private_data, "struct tun_file").socket.file == e.args.file, offsetof("struct tun_file", "sk") == 0))
ps = [probe(s, opened) for s in ["kprobe:tun_chr_open", "fentry:tun_chr_open", "fentry:tun:tun_chr_op*", "function:tun_chr_open"]]
ps.append(probe("fexit:tun_chr_open", ready))
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	for range 20 {
		open()
	}
	for _, item := range []string{`for k, n in sorted(n.items()): print(k, n)`, `print([p.targets for p in ps])`,
		`print([p.name for p in probes("fentry:tun_chr_op*")])`,
		`print(attempt(lambda: probe("fentry:tunn:tun_chr_open", lambda e: None)).error.message)`,
		`print(attempt(lambda: probe("fentry:tun:tun_chr_opne", lambda e: None)).error.message)`} {
		if err := l.item(item); err != nil {
			t.Fatal(l.FormatError(err))
		}
	}
	const want = `("fentry:tun:tun_chr_open", True, True, True) 20
("fentry:tun_chr_open", True, True, True) 20
("fexit:tun_chr_open", True, True, True) 20
("function:tun_chr_open", True, True, True) 20
("kprobe:tun_chr_open", True, True, True) 20
[["kprobe:tun_chr_open"], ["fentry:tun_chr_open"], ["fentry:tun:tun_chr_open"], ["fentry:tun_chr_open"], ["fexit:tun_chr_open"]]
["fentry:tun_chr_open"]
no probe "fentry:tunn:tun_chr_open": no loaded module "tunn" has types (BTF) (did you mean "fentry:tun:tun_chr_open"?)
no probe "fentry:tun:tun_chr_opne": the module tun has no function "tun_chr_opne", or the compiler has inlined it (did you mean "fentry:tun:tun_chr_open", "fentry:tun:tun_chr_poll" or "fentry:tun:tun_chr_close"?)
`
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
