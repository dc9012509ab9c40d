package repl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
	"github.com/bpfrepl/bpfrepl/internal/testkit/leakcheck"
	"github.com/bpfrepl/bpfrepl/internal/testkit/tmux"
)

// A visit is a user's session at a terminal. Later output must not change what is already on the
// screen, except for the item being typed.
type visit struct {
	*tmux.Screen
	t    *testing.T
	seen string // everything above the last prompt
	gen  string // the load generator
	comm string // its name
}

// shows waits until the text from the last prompt on consists of these lines. The text between «
// and » is a regular expression.
func (v *visit) shows(lines ...string) {
	v.t.Helper()
	var re strings.Builder
	for i, part := range regexp.MustCompile(`[«»]`).Split(v.seen+strings.Join(lines, "\n"), -1) {
		if i%2 == 0 {
			part = regexp.QuoteMeta(part)
		}
		re.WriteString(part)
	}
	want := regexp.MustCompile(`\A` + re.String() + `\z`)
	text := v.Wait("the end of it to be\n"+strings.Join(lines, "\n")+"\n", v.Text, want.MatchString)
	prompts := regexp.MustCompile(`(?m)^(>>>|\$)`).FindAllStringIndex(text, -1)
	v.seen = text[:prompts[len(prompts)-1][0]]
}

// enter types an item of one line, and waits for its output and the next prompt.
func (v *visit) enter(item string, gives ...string) {
	v.t.Helper()
	v.Type(item)
	v.Keys("Enter")
	v.shows(append(append([]string{prompt1 + item}, gives...), ">>>")...)
}

// block types an item of several lines, which the prompt indents, and ends it with an empty line.
func (v *visit) block(first string, more ...string) {
	v.t.Helper()
	v.Type(first)
	v.Keys("Enter")
	typed, in := []string{prompt1 + first}, indent
	for _, l := range more {
		v.shows(append(typed, "...")...)
		v.Type(l)
		v.Keys("Enter")
		typed = append(typed, prompt2+in+l)
		if strings.HasSuffix(l, ":") {
			in += indent
		}
	}
	v.shows(append(typed, "...")...)
	v.Keys("Enter")
	v.shows(append(typed, "...", ">>>")...)
}

// load generates a known number of events.
func (v *visit) load(args ...string) {
	v.t.Helper()
	if out, err := exec.Command(v.gen, args...).CombinedOutput(); err != nil {
		v.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// interrupt presses Ctrl-C.
func (v *visit) interrupt(shows ...string) {
	v.t.Helper()
	sent := time.Now()
	v.Keys("C-c")
	v.shows(shows...)
	if d := time.Since(sent); d > 2*time.Second { // the target is 100 ms
		v.t.Errorf("the prompt is there %v after Ctrl-C", d)
	}
}

// child returns the PID of the shell's child process, or 0 if it has none.
func (v *visit) child() int {
	v.t.Helper()
	pid := v.PID()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		v.t.Fatal(err)
	}
	if len(b) == 0 {
		return 0
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		v.t.Fatalf("the shell's children are %q", b)
	}
	return child
}

// Twenty minutes of work in a shell on a terminal, as a person would do it.
func TestTour(t *testing.T) {
	gen, comm, err := buildbin.Load()
	if err != nil {
		t.Fatal(err)
	}
	bin := binary(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	data := file("data")
	if err := os.WriteFile(data, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Dir(bin) + ":" + filepath.Dir(gen) + ":" + os.Getenv("PATH")
	v := &visit{t: t, gen: gen, comm: comm, Screen: tmux.Start(t, tmux.Options{Dir: dir,
		Env: []string{"PS1=$ ", "ENV=", "PATH=" + path, "XDG_STATE_HOME=" + dir}}, "sh")}
	v.shows("$")
	v.Type("bpfrepl --no-warnings")
	v.Keys("Enter")
	v.shows("$ bpfrepl --no-warnings", `bpfrepl «[\d.]+», Linux «\S+( without .*)?»`, "help() shows help, Ctrl-D exits", ">>>")
	pid := v.child()

	// Count the system calls of a program, and look at the counts while tracing continues.
	v.enter("calls = count()")
	v.block("def enter(e):", fmt.Sprintf("if e.comm == %q:", comm), "calls.add(by=syscall_name(e.args.id))")
	v.enter(`p = probe("tracepoint:raw_syscalls:sys_enter", enter)`)
	v.load("getppid", "1234")
	v.enter(`calls["getppid"]`, "1234")
	v.load("newkeys", "66", "0")
	v.enter(`_ + calls["lseek"]`, "1300")
	v.enter("p", "<probe tracepoint:raw_syscalls:sys_enter, attached>")
	v.enter("p.stats().missed", "0")
	v.enter("p.detach()")
	v.enter("calls.top(1)", "getppid  1234")

	// A mistake: the kernel does not have this argument, and the error shows where. Recall the def,
	// fix the line, run both items again.
	v.enter("sizes = hist()")
	v.block("def sized(e):", "n = e.args.cont", fmt.Sprintf("if e.comm == %q and n in (512, 5000):", comm), "sizes.add(n)")
	attach := `q = probe("tracepoint:syscalls:sys_enter_read", sized)`
	v.enter(attach,
		`error: In[11]:2:16: tracepoint:syscalls:sys_enter_read has no argument cont`,
		"        n = e.args.cont",
		"                   ^",
		`    hint: did you mean "count"?`)
	v.Keys("Up", "Up")
	recalled := []string{">>> def sized(e):", "...     n = e.args.cont", fmt.Sprintf("...     if e.comm == %q and n in (512, 5000):", comm), "...         sizes.add(n)"}
	v.shows(recalled...)
	v.Keys("Up", "Up", "Left", "Left")
	v.Type("u")
	v.Keys("Enter")
	recalled[1] = "...     n = e.args.count"
	v.shows(append(recalled, ">>>")...)
	v.Keys("Up", "Up", "Up", "Up", "Up", "Enter") // up through the lines of the def
	v.shows(prompt1+attach, ">>>")
	v.load("reads", data, "100", "512")
	v.load("reads", data, "25", "5000")
	histogram := []string{"sizes:",
		"[512, 1Ki)      100 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|",
		"[1Ki, 2Ki)        0 |                                                    |",
		"[2Ki, 4Ki)        0 |                                                    |",
		"[4Ki, 8Ki)       25 |@@@@@@@@@@@@@                                       |"}
	v.enter("sizes", histogram...)
	v.enter("[sizes.value.percentile(p) for p in (50, 99)]", `[832, 5000]`)

	// Save the session as a script. Everything from here on also goes to a log.
	v.enter("%save tour.star", "15 items in tour.star")
	v.enter("%log on tour.log")

	// An error in a line wider than the terminal still shows its position.
	v.enter(`probe("tracepoint:syscalls:sys_enter_read", lambda e: sizes.add(e.args.count), filter=lambda e: e.com == "dd")`,
		`error: In[17]:1:99: an event has no field com`,
		`    ...d", lambda e: sizes.add(e.args.count), filter=lambda e: e.com == "dd")`,
		`                                                                 ^`,
		`    hint: did you mean "comm"?`)

	// Ask for help, and complete with Tab.
	v.enter("help(lhist)",
		"lhist(lo, hi, step, max_keys=4096, name=None, key=None)",
		"    an aggregation: a histogram with buckets of equal width",
		"",
		"    depth = lhist(0, 100, 5)")
	v.enter("calls.top?",
		"aggregation.top(n=10)",
		"    list of the n largest (key, value), the largest first",
		"",
		"    for k, v in calls.top(5): print(k, v)")
	v.enter("results = count()")
	v.Type(`r = probe("tracepoint:raw_sysc`)
	v.Keys("Tab")
	v.shows(`>>> r = probe("tracepoint:raw_syscalls:`)
	v.Keys("Tab")
	v.shows(`>>> r = probe("tracepoint:raw_syscalls:sys_e`)
	v.Keys("Tab")
	v.shows(`>>> r = probe("tracepoint:raw_syscalls:sys_e`, "sys_enter  sys_exit")
	v.Type("x")
	v.Keys("Tab")
	v.shows(`>>> r = probe("tracepoint:raw_syscalls:sys_exit`)
	v.Keys("C-c") // there is a better probe
	v.shows(`>>> r = probe("tracepoint:raw_syscalls:sys_exit^C`, ">>>")
	v.Type(`r = probe("tracepoint:syscalls:sys_exit_lsee`)
	v.Keys("Tab")
	v.Type(`", lambda e: results.add(by=e.args.`)
	v.Keys("Tab")
	r := `r = probe("tracepoint:syscalls:sys_exit_lseek", lambda e: results.add(by=e.args.`
	v.shows(">>> "+r, "__syscall_nr  ret")
	v.Type("r")
	v.Keys("Tab")
	v.shows(">>> " + r + "ret")
	rest := fmt.Sprintf("), filter=lambda e: e.comm == %q)", comm)
	v.Type(rest)
	v.Keys("Enter")
	v.shows(">>> "+r+"ret"+rest, ">>>")
	v.load("newkeys", "777", "0")
	v.enter("results", "results:", "-9  777")
	v.enter("%time results[-9]", "777", "took «\\S+»")

	// A stream with a callback.
	v.enter("opened = stream()")
	v.enter("opened.each(lambda ev: print(ev.path))")
	v.enter(fmt.Sprintf(`probe("tracepoint:syscalls:sys_enter_openat", lambda e: opened.emit(path=str(e.args.filename)), filter=lambda e: e.comm == %q and str(e.args.filename).startswith("/none"))`, comm),
		// p.stats() above enabled the kernel's statistics, and other processes open files too
		`<probe tracepoint:syscalls:sys_enter_openat, attached«(, \d+ ns a run \(\d+ runs? measured\))?»>`)
	v.Type(`print("on"); run()`)
	v.Keys("Enter")
	v.shows(`>>> print("on"); run()`, "on")
	v.load("opens", "3", "/none/")
	v.shows(`>>> print("on"); run()`, "on", "/none/0", "/none/1", "/none/2")
	v.interrupt(`>>> print("on"); run()`, "on", "/none/0", "/none/1", "/none/2", "^C", "interrupted", ">>>")

	// Records that arrive while the prompt waits, and the output of handlers, appear above the line
	// being typed.
	v.enter(fmt.Sprintf(`probe("tracepoint:syscalls:sys_enter_getppid", lambda e: printf("getppid of %%s\n", e.comm), filter=lambda e: e.comm == %q)`, comm), `<probe tracepoint:syscalls:sys_enter_getppid, attached«(, \d+ ns a run \(\d+ runs? measured\))?»>`)
	v.Type("40 +")
	v.load("getppid", "2")
	v.shows("getppid of "+comm, "getppid of "+comm, ">>> 40 +")
	v.load("opens", "1", "/none/")
	v.shows("/none/0", ">>> 40 +")
	v.Type(" 2")
	v.Keys("Enter")
	v.shows(">>> 40 + 2", "42", ">>>")

	// The terminal becomes narrow while an item is being typed, and then wide again.
	v.Type(`len("a line that is wider than the ter`)
	v.Resize(40, 24)
	v.Type(`minal")`)
	v.Wait("the item on two rows", v.Screen.Screen, func(text string) bool {
		return strings.HasSuffix(text, "\n>>> len(\"a line that is wider than the t\nerminal\")")
	})
	v.Resize(80, 24)
	v.Keys("Enter")
	v.shows(`>>> len("a line that is wider than the terminal")`, "38", ">>>")
	v.enter("%log off")

	// The log matches the screen, except for the item that Ctrl-C canceled.
	log, err := os.ReadFile(file("tour.log"))
	if err != nil {
		t.Fatal(err)
	}
	_, seen, _ := strings.Cut(v.Text(), "\n>>> %log on tour.log\n")
	seen = regexp.MustCompile(`(?m)^.*\^C\n`).ReplaceAllString(seen, "")
	if got := regexp.MustCompile(`(?m) +$`).ReplaceAllString(string(log)+">>>", ""); got != seen {
		t.Errorf("the log is\n%s\nand to be seen was\n%s", got, seen)
	}

	// Watch the results in one place.
	v.Type("watch(results, seconds=0.1)")
	v.Keys("Enter")
	v.Wait("the picture", v.Screen.Screen, func(text string) bool { return text == "results:\n-9  777" })
	v.load("newkeys", "223", "0")
	v.Wait("the picture", v.Screen.Screen, func(text string) bool { return text == "results:\n-9  1000" })
	v.Keys("C-c")
	v.Expect(`^>>>$`)
	v.seen = strings.TrimSuffix(v.Text(), ">>>")
	v.enter("len(attached())", "4")

	// Leave. The shell has the terminal again, and nothing is left in the kernel.
	objects, err := leakcheck.OfProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects.Programs) < 4 || len(objects.Maps) < 4 {
		t.Errorf("it holds only %+v", objects)
	}
	v.Keys("C-d")
	v.shows(">>>", "$")
	if err := objects.Gone(10 * time.Second); err != nil {
		t.Error(err)
	}
	v.Type("echo still here")
	v.Keys("Enter")
	v.shows("$ echo still here", "still here", "$")

	// The saved script counts what the session counted.
	saved, err := os.ReadFile(file("tour.star"))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(tourScript, "COMM", comm); string(saved) != want {
		t.Errorf("the script of the session is\n%s\nwant\n%s", saved, want)
	}
	v.Type("bpfrepl tour.star")
	v.Keys("Enter")
	v.Wait("its probes", func() string {
		child := v.child()
		if child == 0 {
			return ""
		}
		o, err := leakcheck.OfProcess(child)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(len(o.Links))
	}, func(n string) bool { return n == "2" })
	v.load("getppid", "1234")
	v.load("newkeys", "66", "0")
	v.load("reads", data, "100", "512")
	v.load("reads", data, "25", "5000")
	v.Keys("C-c")
	v.shows(append([]string{"$ bpfrepl tour.star", "^C", "1234", "1300", "0", "getppid  1234"}, append(histogram, "[832, 5000]", "$")...)...)
}

// tourScript is the session of the tour, saved as a script.
const tourScript = `calls = count()
def enter(e):
    if e.comm == "COMM":
        calls.add(by=syscall_name(e.args.id))
p = probe("tracepoint:raw_syscalls:sys_enter", enter)
sizes = hist()
def sized(e):
    n = e.args.cont
    if e.comm == "COMM" and n in (512, 5000):
        sizes.add(n)
def sized(e):
    n = e.args.count
    if e.comm == "COMM" and n in (512, 5000):
        sizes.add(n)
q = probe("tracepoint:syscalls:sys_enter_read", sized)
run()  # until Ctrl-C
_ = calls["getppid"]
print(_)
print(_ + calls["lseek"])
p
print(p.stats().missed)
p.detach()
print(calls.top(1))
print(sizes)
print([sizes.value.percentile(p) for p in (50, 99)])
`
