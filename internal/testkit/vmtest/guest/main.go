// Command guest replaces a test binary in the tests of package vmtest. It prints what go test -v
// prints for TestA, TestB and TestC. In TestB it does to its virtual machine what -bad names:
// panic, lockup (a system call that does not end), deaf (an interrupt handler that does not end) or
// hang. It does so only on the first start: the second time it is started with -test.run, which
// selects the tests to run.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

func main() {
	bad := flag.String("bad", "", "how to break the machine")
	run := flag.String("test.run", "", "pattern of tests")
	flag.Parse()
	choose := regexp.MustCompile(*run)
	for _, name := range []string{"TestA", "TestB", "TestC"} {
		if !choose.MatchString(name) {
			continue
		}
		fmt.Println("=== RUN  ", name)
		if name == "TestB" && *run == "" {
			fmt.Println("    guest:", do(*bad))
			os.Exit(1)
		}
		fmt.Printf("--- PASS: %s (0.00s)\n", name)
	}
	fmt.Println("PASS")
}

func do(bad string) error {
	switch bad {
	case "panic":
		return os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	case "lockup":
		return lockup()
	case "deaf":
		return deaf()
	case "hang":
		time.Sleep(time.Hour)
	}
	return errors.New("the machine still runs")
}

// lockup makes the kernel run the loops in a system call. The kernel's watchdog detects that.
func lockup() error {
	prog, err := endless(ebpf.SocketFilter)
	if err != nil {
		return err
	}
	_, _, err = prog.Test(make([]byte, 14))
	return err
}

// deaf makes the kernel run the loops in a timer interrupt on CPU 1. No other interrupt reaches
// that CPU, so the kernel's watchdog does not detect it; CPU 0 continues.
func deaf() error {
	prog, err := endless(ebpf.PerfEvent)
	if err != nil {
		return err
	}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Sample: 1e6}
	attr.Size = uint32(unsafe.Sizeof(attr))
	fd, err := unix.PerfEventOpen(&attr, -1, 1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("perf_event_open: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); err != nil {
		return fmt.Errorf("set the program: %w", err)
	}
	time.Sleep(time.Hour)
	return nil
}

// endless returns a program that runs two nested loops of eight million rounds each. It requires at
// least Linux 5.17 (bpf_loop).
func endless(typ ebpf.ProgramType) (*ebpf.Program, error) {
	const rounds = 1 << 23
	u64 := &btf.Int{Name: "u64", Size: 8}
	fn := func(name string, linkage btf.FuncLinkage, insns ...asm.Instruction) asm.Instructions {
		proto := &btf.FuncProto{Return: u64, Params: []btf.FuncParam{{Name: "i", Type: u64}, {Name: "ctx", Type: u64}}}
		insns[0] = btf.WithFuncMetadata(insns[0].WithSymbol(name), &btf.Func{Name: name, Type: proto, Linkage: linkage})
		return append(insns, asm.Mov.Imm(asm.R0, 0), asm.Return())
	}
	loop := func(callback string) []asm.Instruction {
		return []asm.Instruction{
			asm.Mov.Imm(asm.R1, rounds),
			asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference(callback),
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnLoop.Call(),
		}
	}
	insns := fn("main", btf.GlobalFunc, loop("outer")...)
	insns = append(insns, fn("outer", btf.StaticFunc, loop("inner")...)...)
	insns = append(insns, fn("inner", btf.StaticFunc, asm.Mov.Imm(asm.R1, 0))...)
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: typ, License: "GPL", Instructions: insns})
	if err != nil {
		return nil, fmt.Errorf("%+v", err)
	}
	return prog, nil
}
