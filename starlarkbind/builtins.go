package starlarkbind

import (
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os/user"
	"sort"

	"go.starlark.net/lib/math"
	"go.starlark.net/lib/time"
	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/feature"
	"github.com/bpfrepl/bpfrepl/bpf/kinds"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/compiler/agg"
	"github.com/bpfrepl/bpfrepl/starlarkbind/assert"
	"github.com/bpfrepl/bpfrepl/starlarkbind/cfmt"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
	"github.com/bpfrepl/bpfrepl/starlarkbind/export"
	"github.com/bpfrepl/bpfrepl/starlarkbind/files"
	"github.com/bpfrepl/bpfrepl/starlarkbind/maps"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/structs"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

type builtinFunc func(*Session, *starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// A Builtin is one row of the table of functions that scripts can call. The session, help() and the
// documentation are all generated from this table.
type Builtin struct {
	Name, Sig, Doc, Example string
	fn                      builtinFunc
}

// Builtins lists the functions that scripts can call.
var Builtins = []Builtin{
	{"probe", `probe(spec, handler, filter=None, name=None, attach=True, missing="error", first=False, system_wide=False)`, "attach a handler to the events that spec names; spec is a string or a list of strings", `probe("tracepoint:sched:sched_switch", lambda e: switches.add(by=e.comm))`, (*Session).builtinProbe},
	{"run", "run(seconds=None)", "wait until the time is up, Ctrl-C, stop(), or the end of a process from spawn()", "run(5)", (*Session).builtinRun},
	{"every", "every(seconds, fn)", "call fn at this interval during run()", "every(1, lambda: print(calls.delta()))", (*Session).builtinEvery},
	{"watch", "watch(x, seconds=1)", "run(), and show a map, or what a function prints or returns, at this interval; on a terminal, in place", "watch(lambda: plot(calls))", (*Session).builtinWatch},
	{"stop", "stop()", "end run()", "stop()", (*Session).builtinStop},
	{"spawn", "spawn(argv)", "start a process, stopped before its first instruction until run(process)", `cmd = spawn(["ls", "-l"])`, (*Session).builtinSpawn},
	{"attempt", "attempt(fn)", "call fn; a failure is returned as struct(ok, value, error)", `r = attempt(lambda: probe("tracepoint:no:such", handler))`, (*Session).builtinAttempt},
	{"flag", "flag(name, default, help=\"\")", "the value of a command-line flag; it has the type of its default", `limit = flag("limit", 10, "how many lines to print")`, (*Session).builtinFlag},
	{"expression", `expression(text, params=["e"], name="expression")`, "struct(function, texts): a function with these parameters that returns the value of a Starlark expression, such as that of a flag, and the text of each expression if there are several, separated by commas; errors call the text name", `wanted = expression("e.pid > 1000", name="--if").function`, func(s *Session, t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return s.names.Expression(t, b, a, kw)
	}},
	{"help", "help(x=None)", "describe a function, a value, a kind of probe, a probe or a name; help() is a tour", `help("tracepoint:sched:sched_switch")`, (*Session).builtinHelp},
	{"errors", "errors()", "list of the helper errors so far, the oldest first", "for e in errors(): print(e.count, e.message)", func(s *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		if err := starlark.UnpackArgs("errors", a, kw); err != nil {
			return nil, err
		}
		return s.errorList(s.reg.allProbes())
	}},
	{"clear_errors", "clear_errors()", "reset the counts of errors() to zero", "clear_errors()", func(s *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		if err := starlark.UnpackArgs("clear_errors", a, kw); err != nil {
			return nil, err
		}
		return starlark.None, s.clearErrors()
	}},
	{"probes", `probes(pattern="*")`, "list of the available probes that match, as structs (name, args)", `probes("tracepoint:sched:*")`, (*Session).builtinProbes},
	{"attached", "attached()", "list of the attached probes", "for p in attached(): print(p)", func(s *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var out []starlark.Value
		for _, p := range s.reg.allProbes() {
			if p.isAttached() {
				out = append(out, p)
			}
		}
		return starlark.NewList(out), nil
	}},
	{"count", "count(max_keys=4096, name=None, key=None)", "an aggregation: a count; key declares the type of its keys, as in table()", "calls = count()", aggregation(agg.Count)},
	{"sum", "sum(max_keys=4096, name=None, key=None)", "an aggregation: the sum of the values; sum(xs) adds up a list", "bytes = sum()", aggregation(agg.Sum)},
	{"avg", "avg(max_keys=4096, name=None, key=None)", "an aggregation: the average, an int", "size = avg()", aggregation(agg.Avg)},
	{"min", "min(max_keys=4096, name=None, key=None)", "an aggregation: the smallest value; min(a, b) and min(xs) are Starlark's", "least = min()", aggregation(agg.Min)},
	{"max", "max(max_keys=4096, name=None, key=None)", "an aggregation: the largest value; max(a, b) and max(xs) are Starlark's", "most = max()", aggregation(agg.Max)},
	{"stats", "stats(max_keys=4096, name=None, key=None)", "an aggregation: struct(count, sum, avg, min, max)", "size = stats()", aggregation(agg.Stats)},
	{"hist", "hist(bits=0, max_keys=4096, name=None, key=None)", "an aggregation: a histogram with power-of-two buckets, each split in 2**bits", "latency = hist()", aggregation(agg.Hist)},
	{"lhist", "lhist(lo, hi, step, max_keys=4096, name=None, key=None)", "an aggregation: a histogram with buckets of equal width", "depth = lhist(0, 100, 5)", aggregation(agg.Lhist)},
	{"table", "table(max_keys=4096, lru=False, name=None, key=None, value=None)", "a dict shared by the kernel and the script; key and value declare its types where the script's use of it does not: int, bool, str, \"str[64]\", \"bytes[16]\", \"kstack\", a pointer such as \"struct sock *\", or a tuple of these", "start = table()", (*Session).builtinTable},
	{"stream", `stream(size="1MiB", name=None)`, "records from handlers to the script", "opens = stream()", (*Session).builtinStream},
	{"print", "print(*args)", "print values: maps as tables, histograms as bars", "print(calls)", (*Session).builtinPrint},
	{"printf", "printf(format, *args)", "print with a C format string", `printf("%-16s %6d\n", comm, n)`, func(s *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		values := a[min(len(a), 1):]
		// The format is written by the script and needs no escaping.
		if len(a) > 0 {
			a = append(starlark.Tuple{a[0]}, render.EscapeAll(a[1:])...)
		}
		text, err := formatArgs("printf", a, kw)
		if err != nil {
			return nil, err
		}
		if s.out.JSON() {
			s.out.Print(terminal.PrintedLine("printf", "", text, values))
		} else {
			s.out.Text(text)
		}
		return starlark.None, s.out.Failed()
	}},
	{"sprintf", "sprintf(format, *args)", "format with a C format string", `line = sprintf("%5.1f%%", 100.0 * n / total)`, func(s *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		text, err := formatArgs("sprintf", a, kw)
		return starlark.String(text), err
	}},
	{"to_json", "to_json(x)", "x as JSON, on one line", "print(to_json(calls.snapshot()))", func(s *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var x starlark.Value
		if err := starlark.UnpackArgs("to_json", a, kw, "x", &x); err != nil {
			return nil, err
		}
		s.exports.Used = true
		b, err := render.JSON(terminal.PlainValue(x), func(n int) error { return s.run.Interrupted(n) })
		return starlark.String(b), err
	}},
	{"to_csv", "to_csv(x, header=None, raw=False)", "x as CSV with a header line, whose names header replaces: a map, its snapshot, a list of pairs or of records; tuples, statistics and histograms have several columns, and a histogram one row per bucket; text that a spreadsheet would read as a formula is prefixed with ', unless raw", `print(to_csv(calls.top(20), header=["comm", "calls"]))`, exported((*export.Exporter).ToCSV)},
	{"plot", `plot(x, title="")`, "draw x: a histogram; a list of numbers, or a dict from numbers to numbers or histograms, along an axis; a dict of such lists, one below the other; a dict from names to numbers as bars", `plot([1, 2, 4, 8, 16], title="doubled")`, exported((*export.Exporter).Plot)},
	{"flamegraph", `flamegraph(agg, path, title="")`, "write an aggregation whose keys are stacks to a file as a flame graph (SVG); needs --allow-write", `flamegraph(cpu, "/tmp/cpu.svg")`, exported((*export.Exporter).Flamegraph)},
	{"pprof", `pprof(agg, path, unit="count", labels=None)`, "write an aggregation whose keys contain stacks to a file as a pprof profile; the other parts of the keys become labels, which labels names; unit is the unit of the values; needs --allow-write", `pprof(cpu, "/tmp/cpu.pb.gz")`, exported((*export.Exporter).Pprof)},
	{"read_file", "read_file(path)", "the contents of a file, as a string; needs --allow-read", `json.decode(read_file("limits.json"))`, onFiles((*files.Files).ReadFile)},
	{"read_lines", "read_lines(path)", "list of the lines of a file, without their ends; needs --allow-read", `for line in read_lines("/proc/stat"): print(line.split()[0])`, onFiles((*files.Files).ReadLines)},
	{"write_file", "write_file(path, text)", "write a file, which is then complete, and which only its owner can access; an older one is replaced; needs --allow-write", `write_file("/tmp/calls.csv", to_csv(calls))`, onFiles((*files.Files).WriteFile)},
	{"append_file", "append_file(path, text)", "append to a file, which is created if there is none; needs --allow-write", `append_file("/tmp/log", to_json(calls) + "\n")`, onFiles((*files.Files).AppendFile)},
	{"run_command", "run_command(argv)", "run a program to its end, without input, and return struct(exit_code, stdout, stderr); needs --allow-run", `run_command(["uname", "-r"]).stdout.strip()`, (*Session).builtinRunCommand},
	{"exit", "exit(status=0)", "end the script, also in run(); status is the exit status of bpfrepl", "exit(2)", (*Session).builtinExit},
	{"struct", "struct(**fields)", "a value with attributes", "point = struct(x=1, y=2)", func(_ *Session, t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return structs.Make(t, b, a, kw)
	}},
	{"event", "event(**fields)", "an event for calling a handler from the script, with the fields that the handler reads; the handler does what it does in the kernel", `handler(event(comm="sh", pid=1, args=struct(ret=3)))`, func(s *Session, t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return s.handlers.Event(t, b, a, kw)
	}},
	{"now", "now()", "nanoseconds since boot, excluding suspend", "t0 = now()", clock(unix.CLOCK_MONOTONIC)},
	{"boottime", "boottime()", "nanoseconds since boot, including suspend", "t0 = boottime()", clock(unix.CLOCK_BOOTTIME)},
	{"pid", "pid()", "the process ID of this bpfrepl", "filter=lambda e: e.pid != me", func(_ *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return starlark.MakeInt(unix.Getpid()), starlark.UnpackArgs("pid", a, kw)
	}},
	{"username", "username(uid)", "the name of a user, or the number if it has none", "print(username(0))", account("uid", func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})},
	{"groupname", "groupname(gid)", "the name of a group, or the number if it has none", "print(groupname(0))", account("gid", func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})},
	{"cpus", "cpus()", "list of the online CPUs", "len(cpus())", func(_ *Session, _ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		list, err := sys.OnlineCPUs()
		var out []starlark.Value
		for _, n := range list {
			out = append(out, starlark.MakeInt(n))
		}
		return starlark.NewList(out), err
	}},
	{"options", "options()", "struct(format, pid): the format of the output, \"text\" or \"json\" (-f), and the process that probes are limited to (-p, -c), or None", `limit = options().pid`, (*Session).builtinOptions},
	{"kernel", "kernel()", "struct(release, arch, features) of the running kernel", "kernel().release", (*Session).builtinKernel},
}

// account returns the builtin that looks up the name of a user or a group by its number.
func account(param string, lookup func(id string) (string, error)) builtinFunc {
	return func(_ *Session, _ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var id starlark.Int
		if err := starlark.UnpackArgs(b.Name(), args, kw, param, &id); err != nil {
			return nil, err
		}
		name, err := lookup(id.String())
		var noUser user.UnknownUserIdError
		var noGroup user.UnknownGroupIdError
		switch {
		case err == nil:
			return starlark.String(name), nil
		case errors.As(err, &noUser), errors.As(err, &noGroup), errors.Is(err, fs.ErrNotExist): // no /etc/passwd
			return id, nil
		}
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
}

// exported returns the builtin of an export.
func exported(fn func(*export.Exporter, *starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)) builtinFunc {
	return func(s *Session, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		return fn(s.exports, t, b, args, kw)
	}
}

// onFiles returns the builtin for a method of Files.
func onFiles(fn func(*files.Files, *starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)) builtinFunc {
	return func(s *Session, t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		if err := s.checkFlags(false); err != nil {
			return nil, err
		}
		return fn(s.files, t, b, args, kw)
	}
}

// builtins returns the predeclared names of a script.
func (s *Session) builtins() starlark.StringDict {
	d := starlark.StringDict{"math": math.Module, "time": time.Module}
	for _, b := range Builtins {
		d[b.Name] = starlark.NewBuiltin(b.Name, func(t *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			return b.fn(s, t, fn, args, kw)
		})
	}
	for name, f := range s.guards.Builtins() {
		d[name] = f
	}
	var rest []starlark.Value
	for _, a := range s.opt.Args {
		rest = append(rest, starlark.String(a))
	}
	d["args"] = starlark.NewList(rest)
	for name, f := range s.handlers.Builtins() {
		d[name] = f
	}
	if s.opt.Assertions {
		d["assert"] = assert.New(&assert.Env{Plain: terminal.PlainValue, Repr: s.guards.Repr, Caught: s.caught})
	}
	return d
}

func formatArgs(name string, a starlark.Tuple, kw []starlark.Tuple) (string, error) {
	if len(kw) > 0 {
		return "", fmt.Errorf("%s: keyword arguments are not allowed", name)
	}
	if len(a) == 0 {
		return "", fmt.Errorf("%s: the format is missing", name)
	}
	f, ok := starlark.AsString(a[0])
	if !ok {
		return "", fmt.Errorf("%s: the format must be a string, got %s", name, a[0].Type())
	}
	return cfmt.Sprintf(f, a[1:])
}

// clock returns a builtin that reads a clock of the kernel in nanoseconds.
func clock(id int32) builtinFunc {
	return func(_ *Session, _ *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		var ts unix.Timespec
		if err := unix.ClockGettime(id, &ts); err != nil {
			return nil, err
		}
		return starlark.MakeInt64(ts.Nano()), starlark.UnpackArgs(b.Name(), a, kw)
	}
}

func (s *Session) builtinKernel(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs("kernel", a, kw); err != nil {
		return nil, err
	}
	if err := sys.Prepare(); err != nil { // which raises the limit for the maps of the checks
		return nil, scriptError(err)
	}
	var features []starlark.Value
	for _, f := range feature.All() {
		err := f.Probe()
		var missing *feature.NotSupportedError
		if err == nil {
			features = append(features, starlark.String(f.Name))
		} else if !errors.As(err, &missing) {
			return nil, scriptError(err)
		}
	}
	return structs.New("kernel", structs.Field{Name: "release", Value: starlark.String(s.kernel.Release)}, structs.Field{Name: "arch", Value: starlark.String(s.kernel.Arch)},
		structs.Field{Name: "features", Value: starlark.NewList(features)}), nil
}

func (s *Session) builtinOptions(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs("options", a, kw); err != nil {
		return nil, err
	}
	format, pid := starlark.String("text"), starlark.Value(starlark.None)
	if s.opt.JSON {
		format = "json"
	}
	if n := s.targetPID(); n != 0 {
		pid = starlark.MakeInt(n)
	}
	return structs.New("options", structs.Field{Name: "format", Value: format}, structs.Field{Name: "pid", Value: pid}), nil
}

func (s *Session) builtinFlag(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var name, help string
	var def starlark.Value
	if err := starlark.UnpackArgs("flag", a, kw, "name", &name, "default", &def, "help?", &help); err != nil {
		return nil, err
	}
	v, err := s.flags.Define(name, def, help)
	if err != nil {
		return nil, err
	}
	rest := s.names.Predeclared["args"].(*starlark.List)
	if err := rest.Clear(); err != nil {
		return nil, err
	}
	for _, r := range s.flags.Rest() {
		if err := rest.Append(starlark.String(r)); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// aggregation returns the builtin for one kind of aggregation. min, max and sum with positional
// arguments compute a value instead.
func aggregation(kind agg.Kind) builtinFunc {
	return func(s *Session, t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
		if len(a) > 0 && (kind == agg.Min || kind == agg.Max) {
			return s.guards.Call(t, b, a, kw)
		}
		if len(a) > 0 && kind == agg.Sum {
			return s.sumOf(a, kw)
		}
		spec := agg.Spec{Kind: kind}
		var name string
		var key starlark.Value
		maxKeys := anyRoom
		var err error
		switch kind {
		case agg.Hist:
			err = starlark.UnpackArgs(b.Name(), a, kw, "bits?", &spec.Bits, "max_keys?", &maxKeys, "name?", &name, "key??", &key)
		case agg.Lhist:
			err = starlark.UnpackArgs(b.Name(), a, kw, "lo", &spec.Lo, "hi", &spec.Hi, "step", &spec.Step, "max_keys?", &maxKeys, "name?", &name, "key??", &key)
		default:
			err = starlark.UnpackArgs(b.Name(), a, kw, "max_keys?", &maxKeys, "name?", &name, "key??", &key)
		}
		if err == nil {
			err = spec.Check()
		}
		unsaid := maxKeys == anyRoom
		if unsaid {
			maxKeys = defaultKeys
		}
		if err == nil {
			err = checkKeys(b.Name(), maxKeys)
		}
		if err != nil {
			return nil, err
		}
		m := s.newMap(t, name, b.Name())
		m.Agg = &spec
		if m.Key, err = codec.DeclaredType(b.Name()+": key", key); err != nil {
			return nil, err
		}
		if key != nil {
			m.KeyAt = t.CallFrame(1).Pos
		}
		m.Swappable = s.needsSwap()
		out := maps.NewAggregation(s.mapEnv, m, maxKeys, unsaid)
		s.addMap(out)
		return out, nil
	}
}

func (s *Session) addMap(m kernelMap) {
	if m, ok := m.(maps.Map); ok {
		s.codec.Formatted.AtLeast(m.MaxKeys())
	}
	s.reg.add(m)
}

// needsSwap reports whether an aggregation may have to be exchanged for an empty map, that is,
// whether the script mentions clear or delta. Programs then find the map through a map-in-map,
// which costs a few instructions an event; scripts that use neither method avoid this cost.
func (s *Session) needsSwap() bool {
	return s.opt.Interactive || s.sources.Mentions("clear", "delta")
}

// newMap returns the declaration of a map. Its name is that of the variable it is assigned to,
// unless the script names it; a map without a variable is named after its kind.
func (s *Session) newMap(t *starlark.Thread, name, kind string) *compiler.Map {
	if name == "" {
		name = s.sources.Assigned(t)
	}
	if name == "" {
		name = kind
	}
	return &compiler.Map{Name: name, Ref: s.reg.newRef(name), Atomic: true}
}

// defaultKeys is the default of max_keys. anyRoom marks max_keys as not given.
const (
	defaultKeys = 4096
	anyRoom     = -1 << 31
)

// maxMaxKeys is the largest max_keys that a script can give: a 32-bit index must be able to address
// every key.
const maxMaxKeys = 1 << 30

func checkKeys(name string, n int) error {
	if n < 1 || n > maxMaxKeys {
		return fmt.Errorf("%s: max_keys must be from 1 to %d, got %d", name, maxMaxKeys, n)
	}
	return nil
}

// sumOf implements sum(xs) for a list of numbers.
func (s *Session) sumOf(a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var xs starlark.Iterable
	if err := starlark.UnpackArgs("sum", a, kw, "xs", &xs); err != nil {
		return nil, err
	}
	iter := s.guards.Guard(xs).(starlark.Iterable).Iterate()
	defer iter.Done()
	total := new(big.Int)
	float, isFloat := 0.0, false
	var x starlark.Value
	for iter.Next(&x) {
		switch x := x.(type) {
		case starlark.Int:
			total.Add(total, x.BigInt())
		case starlark.Float:
			float += float64(x)
			isFloat = true
		default:
			return nil, fmt.Errorf("sum: cannot add %s", x.Type())
		}
	}
	if s.run.Cancelled() {
		return nil, runner.ErrInterrupted
	}
	if isFloat {
		f, _ := new(big.Float).SetInt(total).Float64()
		return starlark.Float(float + f), nil
	}
	return starlark.MakeBigInt(total), nil
}

// builtinTable implements table(max_keys=4096, lru=False, name=None, key=None, value=None).
func (s *Session) builtinTable(t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var name string
	var key, value starlark.Value
	maxKeys, lru := defaultKeys, false
	if err := starlark.UnpackArgs("table", a, kw, "max_keys?", &maxKeys, "lru?", &lru, "name?", &name, "key??", &key, "value??", &value); err != nil {
		return nil, err
	}
	if err := checkKeys("table", maxKeys); err != nil {
		return nil, err
	}
	m := s.newMap(t, name, "table")
	m.LRU = lru
	var err error
	if m.Key, err = codec.DeclaredType("table: key", key); err != nil {
		return nil, err
	}
	if m.Val, err = codec.DeclaredType("table: value", value); err != nil {
		return nil, err
	}
	if at := t.CallFrame(1).Pos; key != nil || value != nil {
		m.KeyAt, m.ValAt = at, at
	}
	out := maps.NewTable(s.mapEnv, m, maxKeys)
	s.addMap(out)
	return out, nil
}

// builtinStream implements stream(size="1MiB", name=None).
func (s *Session) builtinStream(t *starlark.Thread, b *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var size starlark.Value = starlark.String("1MiB")
	var name string
	if err := starlark.UnpackArgs(b.Name(), a, kw, "size?", &size, "name?", &name); err != nil {
		return nil, err
	}
	m := s.newMap(t, name, b.Name())
	st, err := s.records.NewStream(&compiler.Stream{Name: m.Name, Ref: m.Ref}, size)
	if err != nil {
		return nil, err
	}
	s.addMap(st)
	return st, nil
}

func (s *Session) builtinProbes(_ *starlark.Thread, _ *starlark.Builtin, a starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	pattern := "*"
	if err := starlark.UnpackArgs("probes", a, kw, "pattern?", &pattern); err != nil {
		return nil, err
	}
	ts, err := kinds.List(pattern)
	if err != nil {
		return nil, scriptError(err)
	}
	sort.Slice(ts, func(i, j int) bool { return ts[i].Name < ts[j].Name })
	var out []starlark.Value
	for _, t := range ts {
		if s.run.Context().Err() != nil {
			return nil, runner.ErrInterrupted
		}
		listed, err := s.ktypes.Listed(t)
		if err != nil {
			return nil, scriptError(err)
		}
		var args []starlark.Value
		for _, a := range listed {
			args = append(args, starlark.String(a))
		}
		out = append(out, structs.New("probe", structs.Field{Name: "name", Value: starlark.String(t.Name)}, structs.Field{Name: "args", Value: starlark.NewList(args)}))
	}
	return starlark.NewList(out), nil
}
