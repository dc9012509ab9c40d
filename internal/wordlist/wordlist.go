// Package wordlist is a table of constructs that people who know bpftrace, Python or C write, each
// with what to write here instead. The compiler's checker and the prompt take their hints from it.
// A test in starlarkbind runs each row: Wrong must produce the hint, and Code must compile.
package wordlist

import (
	"regexp"
	"slices"

	"github.com/bpfrepl/bpfrepl/internal/lazyregexp"
)

// A Language is the language that a word comes from.
type Language string

const (
	Bpftrace Language = "bpftrace"
	Python   Language = "Python"
	C        Language = "C"
)

// A Word is one row of the table.
type Word struct {
	From  Language
	Text  string // name, or a regular expression in the tables syntax and messages
	Wrong string // line that contains the word; see Example for the default
	Code  string // line of a handler or script to write instead
	Note  string // text after the code, or the whole hint if Code is empty
	Where Where  // context in which Wrong and Code are tested

	match func() *regexp.Regexp // Text, compiled; only in syntax and messages
}

// Where is the context that the lines of a row need.
type Where int

const (
	Handler Where = iota // the body of a handler of sys_enter_execve
	Return               // the body of a handler that has e.ret
	Script               // the top level of a script
)

// Hint returns the text that says what to write instead of the word.
func (w *Word) Hint() string {
	if w.Code == "" {
		return w.Note
	}
	return "write " + w.Code + w.Note
}

// Name returns the row of an identifier that is undefined here, or whose value is not what its
// author meant, or nil.
func Name(name string) *Word { return find(names, name) }

// Field returns the row of a name after a dot, or nil.
func Field(name string) *Word { return find(fields, name) }

// Line returns the first row that matches a line that does not parse, or nil.
func Line(line string) *Word {
	for i := range syntax {
		if syntax[i].match().MatchString(line) {
			return &syntax[i]
		}
	}
	return nil
}

// Message returns the first row that matches an error message of Starlark's interpreter, or nil.
func Message(msg string) *Word {
	for i := range messages {
		if messages[i].match().MatchString(msg) {
			return &messages[i]
		}
	}
	return nil
}

// All returns all rows.
func All() []Word {
	return slices.Concat(names, fields, syntax, messages)
}

func find(rows []Word, name string) *Word {
	for i := range rows {
		if rows[i].Text == name {
			return &rows[i]
		}
	}
	return nil
}

// names are identifiers. If Wrong is empty, it is "x = " and the name.
var names = []Word{
	// fields of the event
	{From: Bpftrace, Text: "comm", Code: "e.comm"},
	{From: Bpftrace, Text: "pid", Code: "e.pid"},
	{From: Bpftrace, Text: "tid", Code: "e.tid"},
	{From: Bpftrace, Text: "uid", Code: "e.uid"},
	{From: Bpftrace, Text: "gid", Code: "e.gid"},
	{From: Bpftrace, Text: "cpu", Code: "e.cpu"},
	{From: Bpftrace, Text: "ppid", Code: "e.ppid"},
	{From: Bpftrace, Text: "cgroup", Code: "e.cgroup"},
	{From: Bpftrace, Text: "probe", Code: "e.probe"},
	{From: Bpftrace, Text: "func", Code: "e.func", Where: Return},
	{From: Bpftrace, Text: "curtask", Code: "e.task"},
	{From: Bpftrace, Text: "retval", Code: "e.ret", Note: " in a probe of a return, e.args.ret at the exit of a system call", Where: Return},
	{From: Bpftrace, Text: "kstack", Code: "e.kstack", Note: ", or kstack(5) for five frames"},
	{From: Bpftrace, Text: "ustack", Code: "e.ustack", Note: ", or ustack(5) for five frames"},
	{From: Bpftrace, Text: "nsecs", Code: "now()"},
	{From: Bpftrace, Text: "elapsed", Code: "now() - t0", Note: ", with t0 = now() at the start of the script"},
	{From: Bpftrace, Text: "args", Wrong: "x = args.filename", Code: "e.args.filename"},
	{From: Bpftrace, Text: "ncpus", Code: "len(cpus())", Where: Script},
	{From: Bpftrace, Text: "numaid", Note: "a handler cannot read the NUMA node; e.cpu is the CPU"},

	// functions
	{From: Bpftrace, Text: "exit", Wrong: "exit()", Code: "stop()"},
	{From: Bpftrace, Text: "delete", Wrong: "delete(t, e.pid)", Code: "t.pop(e.pid)"},
	{From: Bpftrace, Text: "has_key", Wrong: "has_key(t, e.pid)", Code: "if e.pid in t: c.add()"},
	{From: Bpftrace, Text: "clear", Wrong: "clear(c)", Code: "c.clear()", Note: " in the script", Where: Script},
	{From: Bpftrace, Text: "zero", Wrong: "zero(c)", Code: "c.clear()", Note: " in the script", Where: Script},
	{From: Bpftrace, Text: "strncmp", Wrong: `if strncmp(e.comm, "ab", 2) == 0: c.add()`, Code: `if e.comm.startswith("ab"): c.add()`},
	{From: Bpftrace, Text: "strcontains", Wrong: `if strcontains(e.comm, "ab"): c.add()`, Code: `if "ab" in e.comm: c.add()`},
	{From: Bpftrace, Text: "cat", Wrong: `cat("/proc/loadavg")`, Code: `run(spawn(["cat", "/proc/loadavg"]))`, Note: " in the script", Where: Script},
	{From: Bpftrace, Text: "system", Wrong: `system("date")`, Code: `run(spawn(["date"]))`, Note: " in the script", Where: Script},
	{From: Bpftrace, Text: "time", Wrong: `time("%H")`, Code: `print(strftime("%H:%M:%S", now()))`},
	{From: Bpftrace, Text: "cgroupid", Wrong: `x = cgroupid("/sys/fs/cgroup")`, Code: "cgroup_path()", Note: ", the path of e.cgroup"},
	{From: Bpftrace, Text: "username", Note: "a handler has e.uid only; username(uid) returns the name in the script"},
	{From: Bpftrace, Text: "unroll", Wrong: "unroll(3)", Code: "for i in range(3): c.add()"},
	{From: Bpftrace, Text: "errorf", Wrong: `errorf("%d", e.pid)`, Code: `printf("%d\n", e.pid)`},
	{From: Bpftrace, Text: "kptr", Wrong: "x = kptr(e.args.filename)", Code: `cast(e.args.argv, "u64 *")[0]`},
	{From: Bpftrace, Text: "uptr", Wrong: "x = uptr(e.args.filename)", Code: `cast(e.args.argv, "u64 *")[0]`},

	{From: Python, Text: "round", Wrong: "x = round(e.pid)", Code: "(e.pid + 500) // 1000", Note: " in a handler, int(x + 0.5) in the script"},
	{From: Python, Text: "exec", Wrong: `exec("x")`, Note: "code cannot be run from a string"},
	{From: Python, Text: "eval", Wrong: `eval("x")`, Note: "code cannot be run from a string"},
	{From: Python, Text: "quit", Wrong: "quit()", Code: "stop()", Note: " in a script; at the prompt press Ctrl-D"},
	{From: Python, Text: "assert", Wrong: "assert.eq(n, 1)", Note: "assert is for functions test_x of a file x_test.star, outside of handlers: bpfrepl test runs them", Where: Script},
	{From: Python, Text: "open", Wrong: `open("/tmp/x")`, Note: "write read_file(path), read_lines(path) or write_file(path, text); --allow-read DIR and --allow-write DIR allow that", Where: Script},
	{From: Python, Text: "input", Wrong: "input()", Code: `limit = flag("limit", 10)`, Note: ", which --limit sets", Where: Script},
	{From: Python, Text: "isinstance", Wrong: "isinstance(n, int)", Code: `type(n) == "int"`, Where: Script},
	{From: Python, Text: "hex", Wrong: "print(hex(e.pid))", Code: `printf("0x%x\n", e.pid)`},
	{From: Python, Text: "bin", Wrong: "print(bin(e.pid))", Code: `printf("0x%x\n", e.pid)`},
	{From: Python, Text: "pow", Wrong: "x = pow(e.pid, 2)", Code: "x = e.pid * e.pid"},
	{From: Python, Text: "map", Wrong: "map(str, [1])", Code: "[str(x) for x in [1]]", Where: Script},
	{From: Python, Text: "filter", Wrong: "filter(bool, [1])", Code: "[x for x in [1] if x]", Where: Script},
	{From: Python, Text: "self", Wrong: "x = self.pid", Code: "e.pid"},
	{From: Python, Text: "random", Wrong: "x = random.random()", Code: "rand() % 100"},
	{From: Python, Text: "datetime", Wrong: "x = datetime.now()", Code: "time.now()", Where: Script},
	{From: Python, Text: "sys", Wrong: "x = sys.argv", Code: "x = args", Where: Script},
	{From: Python, Text: "os", Wrong: "x = os.getpid()", Code: "x = pid()", Where: Script},
	{From: Python, Text: "math", Wrong: "x = math.floor(e.pid)", Code: "x = e.pid // 10", Note: " in a handler, which has no floats; math is for the script"},
	{From: Python, Text: "json", Wrong: "x = json.encode(e.pid)", Code: "print(e.pid)", Note: ", which is JSON with -f json; json is for the script"},

	{From: C, Text: "NULL", Code: "0"},
	{From: C, Text: "nullptr", Code: "0"},
	{From: C, Text: "null", Code: "None"},
	{From: C, Text: "true", Code: "True"},
	{From: C, Text: "false", Code: "False"},
	{From: C, Text: "strlen", Wrong: "x = strlen(e.comm)", Code: "len(e.comm)"},
	{From: C, Text: "strcmp", Wrong: `if strcmp(e.comm, "sh") == 0: c.add()`, Code: `if e.comm == "sh": c.add()`},
	{From: C, Text: "strstr", Wrong: `if strstr(e.comm, "sh"): c.add()`, Code: `if "sh" in e.comm: c.add()`},
	{From: C, Text: "memcmp", Wrong: `if memcmp(e.comm, "sh", 2) == 0: c.add()`, Code: `if buf(e.args.filename, 2) == b"sh": c.add()`},
	{From: C, Text: "memcpy", Wrong: "memcpy(n, n, 4)", Code: "x = buf(e.args.filename, 4)"},
	{From: C, Text: "puts", Wrong: `puts("x")`, Code: `print("x")`},
	{From: C, Text: "bpf_printk", Wrong: `bpf_printk("x")`, Code: `printf("%d\n", e.pid)`},
	{From: C, Text: "bpf_trace_printk", Wrong: `bpf_trace_printk("x")`, Code: `printf("%d\n", e.pid)`},
	{From: C, Text: "bpf_ktime_get_ns", Wrong: "x = bpf_ktime_get_ns()", Code: "now()"},
	{From: C, Text: "bpf_get_current_pid_tgid", Wrong: "x = bpf_get_current_pid_tgid()", Code: "e.pid", Note: ", and e.tid for the thread"},
	{From: C, Text: "bpf_get_current_uid_gid", Wrong: "x = bpf_get_current_uid_gid()", Code: "e.uid"},
	{From: C, Text: "bpf_get_current_comm", Wrong: "bpf_get_current_comm(n, 16)", Code: "e.comm"},
	{From: C, Text: "bpf_get_current_task", Wrong: "x = bpf_get_current_task()", Code: "e.task"},
	{From: C, Text: "bpf_get_smp_processor_id", Wrong: "x = bpf_get_smp_processor_id()", Code: "e.cpu"},
	{From: C, Text: "bpf_probe_read_user_str", Wrong: "bpf_probe_read_user_str(n, 16, n)", Code: "str(e.args.filename)"},
	{From: C, Text: "bpf_probe_read_kernel_str", Wrong: "bpf_probe_read_kernel_str(n, 16, n)", Code: "str(e.args.filename)"},
	{From: C, Text: "bpf_probe_read_user", Wrong: "bpf_probe_read_user(n, 8, n)", Code: `cast(e.args.argv, "u64 *")[0]`},
	{From: C, Text: "bpf_probe_read_kernel", Wrong: "bpf_probe_read_kernel(n, 8, n)", Code: `cast(e.args.argv, "u64 *")[0]`},
	{From: C, Text: "bpf_map_lookup_elem", Wrong: "x = bpf_map_lookup_elem(t, 1)", Code: "t.get(e.pid)"},
	{From: C, Text: "bpf_map_update_elem", Wrong: "bpf_map_update_elem(t, 1, 2)", Code: "t[e.pid] = now()"},
	{From: C, Text: "bpf_map_delete_elem", Wrong: "bpf_map_delete_elem(t, 1)", Code: "t.pop(e.pid)"},
}

// This init function adds the rows of bpftrace's arg0, arg1 and so on.
func init() {
	for i := range 10 {
		n := string(rune('0' + i))
		names = append(names, Word{From: Bpftrace, Text: "arg" + n, Code: "e.args[" + n + "]", Note: " in a probe of a function, e.args.NAME in a tracepoint", Where: Return})
	}
}

// fields are names after a dot: fields of the event, and methods.
var fields = []Word{
	{From: Bpftrace, Text: "nsecs", Wrong: "x = e.nsecs", Code: "e.time"},
	{From: Bpftrace, Text: "retval", Wrong: "x = e.retval", Code: "e.ret", Note: " in a probe of a return, e.args.ret at the exit of a system call", Where: Return},
	{From: Bpftrace, Text: "curtask", Wrong: "x = e.curtask", Code: "e.task"},
	{From: Bpftrace, Text: "kstack", Wrong: "c.add(by=e.kstack(5))", Code: "c.add(by=kstack(5))"},
	{From: Bpftrace, Text: "ustack", Wrong: "c.add(by=e.ustack(5))", Code: "c.add(by=ustack(5))"},
	{From: Bpftrace, Text: "has_key", Wrong: "x = t.has_key(e.pid)", Code: "e.pid in t"},
	{From: Bpftrace, Text: "delete", Wrong: "t.delete(e.pid)", Code: "t.pop(e.pid)"},
	{From: Bpftrace, Text: "timestamp", Wrong: "x = e.timestamp", Code: "e.time"},
	{From: Python, Text: "append", Wrong: "l.append(e.pid)", Code: "s.emit(pid=e.pid)", Note: " with s = stream() outside of the handler"},
	{From: Python, Text: "extend", Wrong: "l.extend((e.pid, 1))", Code: "s.emit(pid=e.pid)", Note: " with s = stream() outside of the handler"},
	{From: Python, Text: "insert", Wrong: "l.insert(0, e.pid)", Code: "s.emit(pid=e.pid)", Note: " with s = stream() outside of the handler"},
	{From: Python, Text: "remove", Wrong: "t.remove(e.pid)", Code: "t.pop(e.pid)"},
	{From: Python, Text: "format", Wrong: `x = "{}".format(e.pid)`, Code: `sprintf("%d", e.pid)`, Note: ", which formats on the host"},
	{From: Python, Text: "name", Wrong: "x = e.name", Code: "e.comm", Note: " for the thread's name, e.probe for the probe's"},
	{From: Python, Text: "ts", Wrong: "x = e.ts", Code: "e.time"},
}

// syntax are constructs that do not parse, the more specific ones first. An expression may also
// match inside a string or comment, but only lines that do not parse are matched.
var syntax = pattern([]Word{
	{From: Bpftrace, Text: `@\w*`, Wrong: "@x[comm] = count()", Code: `calls = count(); probe("tracepoint:raw_syscalls:sys_enter", lambda e: calls.add(by=e.comm))`, Note: ": a map has a name here, as in that line", Where: Script},
	{From: Bpftrace, Text: `^[^"']*\$\d`, Wrong: "x = $1", Code: "int(args[0])", Where: Script},
	{From: Bpftrace, Text: `^[^"']*\$[A-Za-z_]`, Wrong: "$x = 1", Code: "x = 1", Note: ": a variable has no $"},
	{From: Python, Text: `^\s*(import|from)\s+\w`, Wrong: "import json", Code: "print(json.encode([1]))", Note: " without import: json, math and time are built in", Where: Script},
	{From: Python, Text: `^\s*(try|except|finally)\b`, Wrong: "try: x = 1", Code: `r = attempt(lambda: probe("tracepoint:no:such", h))`, Note: ", and look at r.ok and r.error", Where: Script},
	{From: Python, Text: `^\s*raise\b`, Wrong: "raise 1", Code: `attempt(lambda: fail("message"))`, Note: ": fail() ends the script, attempt() catches it", Where: Script},
	{From: Python, Text: `^\s*class\b`, Wrong: "class A: pass", Code: "point = struct(x=1, y=2)", Where: Script},
	{From: Python, Text: `^\s*del\b`, Wrong: "del t[e.pid]", Code: "t.pop(e.pid)"},
	{From: Python, Text: `^\s*with\b`, Wrong: `with open("x") as f: pass`, Note: "write read_file(path), read_lines(path) or write_file(path, text); --allow-read DIR and --allow-write DIR allow that", Where: Script},
	{From: Python, Text: `^\s*assert\b`, Wrong: "assert n == 0", Code: `if n != 0: fail("n is not 0")`, Where: Script},
	{From: Python, Text: `\byield\b`, Wrong: "yield 1", Code: "s.emit(pid=e.pid)", Note: " with s = stream() outside of the handler"},
	{From: Python, Text: `^\s*(global|nonlocal)\b`, Wrong: "global n", Code: "c.add()", Note: " with c = count() outside: a function cannot assign to a global"},
	{From: Python, Text: `\bis\s+not\b`, Wrong: "x = n is not None", Code: "x = n != None"},
	{From: Python, Text: `\bis\b`, Wrong: "x = n is None", Code: "x = n == None"},
	{From: Python, Text: `(?:^|[^\w"'])[fF]["']`, Wrong: `print(f"{e.pid}")`, Code: `printf("%d\n", e.pid)`, Note: `; "%d" % n works too`},
	{From: Python, Text: `\*\*`, Wrong: "x = e.pid ** 2", Code: "x = e.pid * e.pid", Note: ", and 1 << n for powers of two"},
	{From: Python, Text: `:=`, Wrong: "if (x := e.pid) > 1: c.add()", Code: "x = e.pid", Note: " on a line of its own"},
	{From: Python, Text: `\blambda\b[^:]*:[^=]*[^=!<>]=[^=]`, Wrong: "f = lambda e: t[e.pid] = now()", Code: "def f(e): t[e.pid] = now()", Note: ": a lambda is one expression", Where: Script},
	{From: C, Text: `\+\+`, Wrong: "t[e.pid]++", Code: "t.add(by=e.pid)", Note: ", or x += 1 for a variable"},
	{From: C, Text: `--`, Wrong: "t[e.pid]--", Code: "t.add(-1, by=e.pid)", Note: ", or x -= 1 for a variable"},
	{From: C, Text: `&&`, Wrong: "if e.pid && e.tid: c.add()", Code: "if e.pid and e.tid: c.add()"},
	{From: C, Text: `\|\|`, Wrong: "if e.pid || e.tid: c.add()", Code: "if e.pid or e.tid: c.add()"},
	{From: C, Text: `->`, Wrong: "x = e.args->filename", Code: "x = e.args.filename"},
	{From: C, Text: `\?.*:`, Wrong: "x = e.pid ? 1 : 2", Code: "x = 1 if e.pid else 2"},
	{From: C, Text: `!\s*[\w(]`, Wrong: "if !e.pid: c.add()", Code: "if not e.pid: c.add()"},
	{From: C, Text: `\belse\s+if\b`, Wrong: "else if e.pid: c.add()", Code: "if e.pid: pass\n    elif e.tid: c.add()"},
	{From: C, Text: `\bsizeof\s*\(\s*(struct|union|enum|unsigned)\b`, Wrong: "x = sizeof(struct task_struct)", Code: `x = sizeof("struct task_struct")`},
	{From: C, Text: `\(\s*(struct|union|unsigned|int|long|char|u?int\d+_t|u\d+|s\d+)\b[\w\s]*\**\s*\)\s*[\w(]`, Wrong: "x = (int)e.args.argv", Code: `x = cast(e.args.argv, "int")`},
	{From: C, Text: `^\s*(const\s+)?(struct|union|unsigned|int|long|char|short|bool|u?int\d+_t|u\d+|s\d+|__u\d+|auto|let|var)\s+\**\s*\w+\s*(\[.*\])?\s*(=|;|$)|^\s*(unsigned|long|struct)\s+\w+\s+\**\w+`, Wrong: "int x = 5;", Code: "x = 5", Note: ": a variable needs no type"},
	{From: C, Text: `^\s*//|/\*`, Wrong: "// a comment", Note: "a comment begins with #"},
	{From: C, Text: `^\s*(switch|case|do)\b`, Wrong: "switch (e.pid) {", Code: "if e.pid == 1: c.add()", Note: ", and elif for more"},
	{From: C, Text: `^\s*(if|while|for)\b.*\{\s*$`, Wrong: "if (e.pid == 1) {", Code: "if e.pid == 1: c.add()", Note: ": a colon, and no braces"},
	{From: C, Text: `[=(,]\s*&\s*\w`, Wrong: "x = &t", Note: "variables have no addresses; a pointer comes from the event, or from cast()"},
	{From: C, Text: `[=(,]\s*\*\s*\w`, Wrong: "x = *e.args.argv", Code: `x = cast(e.args.argv, "u64 *")[0]`},
})

// messages are error messages of Starlark's interpreter in a script.
var messages = pattern([]Word{
	{From: Python, Text: `^local variable \w+ referenced before assignment`, Wrong: "def f(): n += 1\nf()", Code: `state = {"n": 0}`, Note: ` outside of the function, and state["n"] += 1 in it: a function cannot assign to a global`, Where: Script},
	{From: Python, Text: `^unknown binary op: (string \+ (int|float)|(int|float) \+ string)`, Wrong: `print("n: " + n)`, Code: `print("n: " + str(n))`, Note: ", or use sprintf()", Where: Script},
	{From: Python, Text: `^format spec features not supported`, Wrong: `print("{:5d}".format(n))`, Code: `print(sprintf("%5d", n))`, Where: Script},
	{From: Python, Text: `^(dict|table) has no \.has_key field`, Wrong: "print({}.has_key(n))", Code: "print(n in {})", Where: Script},
	{From: Python, Text: `^list has no \.(add|push) field`, Wrong: "l.add(n)", Code: "l.append(n)", Where: Script},
	{From: Python, Text: `^float has no \.round field`, Wrong: "print((1.5).round())", Code: "print(int(1.5 + 0.5))", Where: Script},
})

func pattern(rows []Word) []Word {
	for i := range rows {
		rows[i].match = lazyregexp.Regexp(rows[i].Text)
	}
	return rows
}

// Example returns a line that contains the word.
func (w *Word) Example() string {
	if w.Wrong == "" {
		return "x = " + w.Text
	}
	return w.Wrong
}
