package tools

import (
	"testing"

	"github.com/bpfrepl/bpfrepl/bpf/bpftest"
)

// The program nested, with the arguments N DEPTH MS, calls N times: descend(DEPTH, MS);
// escape(DEPTH, 1), which longjmp() leaves; escape(DEPTH, 0); and leap, which ends in a jump to
// another function. A call of descend sleeps MS milliseconds after the call within it, so
// descend(2, 300) takes 600 ms.
const descend, escape = "uprobe:SELF:descend", "uprobe:SELF:escape"

// functionRows and functionSums are the tests of the tools for any probe. All but those of
// TestKernelFunctions need no probes of the kernel's functions.
var (
	functionRows = []rowTest{
		{run{tool: "trace", args: []string{"--probe", descend, "--print", "e.args[0], e.args[1]", "--if", "e.args[0] & 2"}, load: "nested 3 3 1", execs: true},
			[]string{"probe", "e.args[0]", "e.args[1]"}, map[string]int{descend + " 3 1": 3, descend + " 2 1": 3}},
		{run{tool: "trace", args: []string{"--probe", "uretprobe:SELF:descend", "--probe", "uretprobe:SELF:esc*", "--print", "(e.func, e.ret)"}, load: "nested 3 2 1", execs: true},
			[]string{"probe", "(e.func, e.ret)"}, map[string]int{
				"uretprobe:SELF:descend descend, 1": 3, "uretprobe:SELF:descend descend, 2": 3, "uretprobe:SELF:escape escape, 1": 3, "uretprobe:SELF:escape escape, 2": 3}},
		{run{tool: "trace", args: []string{"--probe", "tracepoint:syscalls:sys_enter_newfstatat", "--if", `str(e.args.filename) == "/no/such"`, "--print", `sprintf("%s!", str(e.args.filename))`}, load: "stat 4"},
			[]string{"probe", `sprintf("%s!", str(e.args.filename))`}, map[string]int{"tracepoint:syscalls:sys_enter_newfstatat /no/such!": 4}},
		{run{tool: "trace", args: []string{"--probe", "tracepoint:syscalls:sys_enter_kill"}, load: "kill 3"}, []string{"e.args.sig"}, map[string]int{"28": 3}},
		{run{tool: "trace", args: []string{"--probe", "usdt:SELF:regs", "--max-events", "5"}, load: "sdt 100", execs: true},
			[]string{"probe", "e.args[3]"}, map[string]int{"usdt:SELF:test:regs -5": 5}},
		{run{tool: "funcslower", args: []string{"--probe", descend, "--probe", escape, "--min-ms", "599", "--if", "e.args[0] == 2", "--print", "e.args[0]"}, load: "nested 3 2 300", execs: true},
			[]string{"ret", "function", "e.args[0]"}, map[string]int{"2 descend 2": 3}},
		{run{tool: "funcslower", args: []string{"--probe", escape, "--min-ms", "0", "--if", "e.args[0] == 3"}, load: "nested 4 3 0", execs: true},
			[]string{"ret", "function"}, map[string]int{"3 escape": 4}},
		{run{tool: "argdist", args: []string{"--probe", descend, "--probe", escape, "--count", "e.func, e.args[0]"}, load: "nested 5 2 1", execs: true},
			[]string{"e.func", "e.args[0]", "count"}, map[string]int{"descend 1 5": 1, "descend 2 5": 1, "escape 1 10": 1, "escape 2 10": 1}},
		{run{tool: "argdist", args: []string{"--probe", "uprobe:SELF:yield", "--keep", "e.args[0] & 0xffff", "--count", "(e.ret & 0xffff) - kept"}, load: "jumps 50", execs: true}, // coroutines
			[]string{"(e.ret & 0xffff) - kept", "count"}, map[string]int{"1 200": 1}},
		{run{tool: "argdist", args: []string{"--probe", "tracepoint:syscalls:sys_enter_kill", "--keep", "e.args.sig", "--count", "kept, e.args.ret"}, load: "kill 3"},
			[]string{"kept", "e.args.ret", "count"}, map[string]int{"28 0 3": 1}},
		{run{tool: "argdist", args: []string{"--probe", "usdt:SELF:regs", "--if", "e.args[0] >= 90", "--count", "e.args[3]"}, load: "sdt 100", execs: true}, []string{"e.args[3]", "count"}, map[string]int{"-5 10": 1}},
		{run{tool: "funccount", args: []string{"--probe", "uprobe:SELF:*sc[ae]*d", "--probe", escape}, load: "nested 5 3 0", execs: true},
			[]string{"name", "calls"}, map[string]int{descend + " 15": 1, escape + " 30": 1}},
		{run{tool: "funccount", args: []string{"--probe", "usdt:SELF:test:n*e"}, load: "sdt 100", execs: true}, []string{"name", "calls"}, map[string]int{"usdt:SELF:test:none 100": 1}},
	}
	functionSums = []sumTest{
		// A machine that needs more than a second for the symbols of a stack warns of missing lines.
		{run{tool: "trace", args: []string{"--probe", "tracepoint:syscalls:sys_enter_getppid", "--kernel", "--user", "--max-events", "7"}, load: "getppid 500"}, nil, "", 1, 7},
		{run{tool: "funccount", args: []string{"--probe", "tracepoint:syscalls:sys_enter_getp*", "--per-process", "--per-cpu"}, load: "getppid 5000"}, map[string]string{"name": "tracepoint:syscalls:sys_enter_getppid"}, "calls", 5000, 5000},
		{run{tool: "funclatency", args: []string{"--probe", descend}, load: "nested 5 2 1", execs: true}, map[string]string{"function": "descend"}, "count", 10, 10},
		{run{tool: "funclatency", args: []string{"--probe", descend, "--unit", "milliseconds"}, load: "nested 3 2 300", execs: true}, map[string]string{"function": "descend", "lo": "512"}, "count", 1, 6}, // on a busy host, inner calls too, and outer ones are longer
		{run{tool: "funclatency", args: []string{"--probe", escape, "--totals"}, load: "nested 5 3 0", execs: true}, map[string]string{"function": "escape"}, "calls", 15, 15},
		{run{tool: "funclatency", args: []string{"--probe", escape, "--per-process", "--outermost"}, load: "nested 5 3 0", execs: true}, map[string]string{"comm": "nested"}, "count", 5, 5},
		{run{tool: "funclatency", args: []string{"--probe", "uprobe:SELF:main.across", "--probe", "uprobe:SELF:main.deep"}, load: "goprog 10", execs: true}, map[string]string{"function": "main.across"}, "count", 200, 200},
		{run{tool: "funclatency", args: []string{"--probe", "uprobe:SELF:main.deep", "--totals"}, load: "goprog 2", execs: true}, map[string]string{"function": "main.deep"}, "calls", 8040, 8040},
		{run{tool: "funclatency", args: []string{"--unsafe", "--probe", "uprobe:SELF:leap", "--probe", descend, "--totals"}, load: "nested 5 2 0", execs: true}, map[string]string{"function": "leap"}, "calls", 5, 5},
		{run{tool: "argdist", args: []string{"--probe", descend, "--keep", "e.args[0]", "--hist", "ns // 1000000", "--by", "kept", "--if", "ns >= 600000000", "--cumulative"}, load: "nested 3 2 300", execs: true}, map[string]string{"kept": "2"}, "count", 3, 3},
		{run{tool: "argdist", args: []string{"--probe", "uretprobe:SELF:descend", "--hist", "e.ret"}, load: "nested 5 3 0", execs: true}, map[string]string{"lo": "2"}, "count", 10, 10},
	}
	kernelFunctions = []sumTest{
		{run{tool: "funccount", args: []string{"--probe", "__*_sys_getppid"}, load: "getppid 5000"}, nil, "calls", 5000, 5000},
		{run{tool: "funccount", args: []string{"--probe", "kprobe:__*_sys_getppid", "--probe", "kprobe:vfs_*"}, load: "getppid 5000"}, nil, "calls", 5000, 5100},
		{run{tool: "funclatency", args: []string{"--probe", "__*_sys_getppid"}, load: "getppid 5000"}, nil, "count", 5000, 5000},
		{run{tool: "funclatency", args: []string{"--probe", "vfs_*"}, load: "files 13"}, map[string]string{"function": "vfs_write"}, "count", 13, 13},
		{run{tool: "funclatency", args: []string{"--probe", "kprobe:__*_sys_getppid", "--totals", "--per-process"}, load: "getppid 500"}, map[string]string{"comm": comm()}, "calls", 500, 500},
		{run{tool: "funcslower", args: []string{"--probe", "__*_sys_nanosleep", "--print", "e.pid"}, load: "sleep 3"}, map[string]string{"ret": "0"}, "", 3, 3},
		{run{tool: "funcslower", args: []string{"--probe", "alloc_empty_file", "--probe", "vfs_write", "--min-ms", "0"}, load: "files 13"}, map[string]string{"function": "vfs_write", "ret": "10"}, "", 13, 13}, // one returns a pointer
		{run{tool: "funcslower", args: []string{"--probe", "security_file_free", "--probe", "vfs_write", "--min-ms", "0"}, load: "files 13"}, map[string]string{"function": "vfs_write"}, "", 13, 13},            // one returns nothing
		{run{tool: "trace", args: []string{"--probe", "__*_sys_getppid", "--max-events", "7"}, load: "getppid 5000"}, nil, "", 7, 7},
		{run{tool: "trace", args: []string{"--probe", "vfs_write"}, load: "files 13"}, map[string]string{"e.args.count": "10"}, "", 13, 13},
		{run{tool: "argdist", args: []string{"--probe", "return:vfs_write", "--hist", "e.ret"}, load: "files 13"}, map[string]string{"lo": "8"}, "count", 13, 13},
		{run{tool: "argdist", args: []string{"--probe", "vfs_write", "--keep", "e.args.count", "--count", "kept, e.ret"}, load: "files 13"}, map[string]string{"kept": "10", "e.ret": "10"}, "count", 13, 13},
	}
)

// TestAnyProbe checks the tools for any probe at functions and static probes of programs, and at
// tracepoints.
func TestAnyProbe(t *testing.T) {
	checkRows(t, functionRows)
	checkSums(t, functionSums)
}

// TestKernelFunctions checks them at functions of the kernel.
func TestKernelFunctions(t *testing.T) {
	bpftest.Need(t, "kprobe")
	checkSums(t, kernelFunctions)
}
