package helpererr

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/internal/abi"
)

// A Row explains an error of a helper, or of the handler itself. The first row that matches a
// site and an errno applies. docs/errors.md is generated from the rows.
//
// In the texts, {map} is the name of the map or stream, {size} its max_keys or its size in bytes,
// {larger} a larger one, {op} the operation in the handler, {helper} the helper and {errno} the
// kernel's text for the errno.
type Row struct {
	Helper  string     // "" is the handler itself; a * at the end matches any rest
	Errno   unix.Errno // 0 matches any
	Op      string     // "" matches any
	Kind    SiteKind
	Message string
	Hint    string
}

// A SiteKind restricts a row to some sites.
type SiteKind uint8

const (
	anySite    SiteKind = iota
	QuietSite           // warned about only with --warnings=all
	StackSite           // a stack is stored, not a map's key
	StreamSite          // a record of a stream
)

// KindTexts describes the kinds in docs/errors.md.
var KindTexts = [...]string{QuietSite: "with `--warnings=all`", StackSite: "of a stack", StreamSite: "of a stream"}

func (k SiteKind) matches(site compiler.Site) bool {
	switch k {
	case QuietSite:
		return site.Quiet
	case StackSite:
		return site.Map == nil
	case StreamSite:
		return site.Stream != nil
	}
	return true
}

// Overhead is the helper of the error that a probe was detached for its overhead.
const Overhead = "max_overhead"

const (
	LostFrames = ", so this stack's frames were dropped; what was added counts under a stack without frames"
	lostEvent  = "the event is lost; count it in errors()"
	testFirst  = "test the pointer first"
)

var Rows = []Row{
	{"get_stack", 0, "", anySite, "{op}: the kernel could not walk the stack: {errno}; what was added counts under a stack without frames", ""},
	{"map_update_elem", unix.E2BIG, "", StackSite, "{op}: the stack map is full" + LostFrames, "record fewer different stacks: fewer frames, {op}(8), or a filter"},
	{"map_update_elem", unix.EEXIST, "", StackSite, "{op}: all the IDs that this stack could have belong to other stacks" + LostFrames, "this does not happen by chance: a process has forged its frames"},
	{"map_update_elem", unix.EBUSY, "", StackSite, "{op}: the stack map was locked by the code that this handler interrupted" + LostFrames, "count it in errors()"},
	{"path", 0, "", anySite, "path: the path is longer than its buffer, or has more than " + strconv.Itoa(compiler.MaxParts) + " components; it reads as empty", "use a larger buffer: path(p, 1024)"},
	{"send_signal", unix.EPERM, "", anySite, "signal: the running task cannot be signalled: it is a kernel thread, init, or exiting", "test e.comm or e.pid first"},
	{"send_signal", unix.EINVAL, "", anySite, "signal: no signal has that number", "signals are numbered from 1 to 64"},
	{"map_update_elem", unix.E2BIG, "", anySite, "{map} is full: its {size} keys are taken, so a new one was dropped", "make it larger: max_keys={larger}"},
	{"map_update_elem", unix.ENOMEM, "", anySite, "the kernel had no memory for a new key of {map}", "set max_keys to the number of keys: its memory is then allocated in advance"},
	{"map_update_elem", unix.EBUSY, "", anySite, "{map} was locked by the code that this handler interrupted", lostEvent},
	{"map_update_elem", unix.ENOENT, "", anySite, "the key was removed from {map} between its insertion and the add", "do not pop or clear keys that are being counted"},
	{"map_update_elem", unix.EEXIST, "", anySite, "other CPUs kept creating and removing the key of {map} while it was being stored", lostEvent},
	{"map_update_elem", unix.ETIMEDOUT, "", anySite, "another CPU held a lock of {map} for too long", lostEvent},
	{"map_delete_elem", unix.ETIMEDOUT, "", anySite, "another CPU held a lock of {map} for too long", lostEvent},
	{"map_delete_elem", unix.EBUSY, "", anySite, "{map} was locked by the code that this handler interrupted, so a key was not removed", "clear it from the script"},
	{"map_lookup_elem", unix.ENOENT, "", QuietSite, "{map} has no such key: {op}() returned the default", "often harmless; shown only with --warnings=all"},
	{"map_lookup_elem", unix.ENOENT, "", anySite, "{map} has no such key", "read it with .get(key, default), or test `key in {map}` first"},
	{"cmpxchg", unix.EAGAIN, "", anySite, "{map}: other runs on this CPU kept changing the extreme", "the event may be missing from the extreme, but not from the count"},
	{"ringbuf_reserve", unix.ENOSPC, "", StreamSite, "stream {map} is full: the script reads too slowly, so the record was dropped", "emit less, or make it larger: size={larger}"},
	{"ringbuf_reserve", unix.ENOSPC, "", anySite, "the ring buffer is full: the host is too slow, so the record was dropped", "print less: filter, or count in a map"},
	{"", unix.EDOM, "//", anySite, "division by zero: the handler ended here", "test the divisor first"},
	{"", unix.EDOM, "%", anySite, "remainder by zero: the handler ended here", "test the divisor first"},
	{"", unix.E2BIG, "", anySite, "the loops of one run took more than eight million steps: the handler ended here", "bound the loops by the size of their data; in a long loop, do less per iteration"},
	{"", unix.EINVAL, "", anySite, "negative shift count: the handler ended here", "test the count first"},
	{"", unix.ERANGE, "in", anySite, "a byte must be from 0 to 255: the handler ended here", "compare the number first"},
	{"", unix.ERANGE, "[]", anySite, "index out of range: the handler ended here", "compare len() first"},
	{"", unix.ERANGE, "", anySite, "the index of {op} is out of range: the handler ended here", "test the index first"},
	{"", unix.EBUSY, "", anySite, strconv.Itoa(abi.ScratchSlots) + " nested runs of this probe on this CPU hold all the memory for long strings and stacks: the event is lost", "use shorter ones, which do not need that memory: str(ptr, 64), ustack(5)"},
	{"", unix.ENOENT, "", anySite, "the dict has no such key: the handler ended here", "use .get(key, default)"},
	{"probe_read*", 0, "str", QuietSite, "memory could not be read: the program's pointer is NULL; it reads as empty", testFirst},
	{"probe_read*", 0, "str", anySite, "memory could not be read: a bad address, or one that is not in memory now; it reads as empty", "for user memory, read it in the return probe, after the kernel has touched it"},
	{"probe_read_kernel*", 0, "buf", anySite, "the bytes could not be read: a pointer on the way is NULL or no longer valid; they read as zeros", testFirst},
	{"probe_read_kernel*", 0, "", anySite, "{op} could not be read: a pointer on the way is NULL or no longer valid; it reads as empty", testFirst},
	{"probe_read*", 0, "buf", QuietSite, "the bytes could not be read: the program's pointer is NULL; they read as zeros", testFirst},
	{"probe_read*", 0, "", QuietSite, "{op} could not be read: the program's pointer is NULL; it reads as empty", testFirst},
	{"probe_read*", 0, "buf", anySite, "the bytes could not be read: a bad address, one that is not in memory now, or fewer bytes than requested; they read as zeros", "read fewer bytes: buf(ptr, 4); or read them in the return probe, after the kernel has touched the memory"},
	{"probe_read*", 0, "", anySite, "{op} could not be read: a bad address, or one that is not in memory now; it reads as empty", "for user memory, read it in the return probe, after the kernel has touched it"},
	{"*", 0, "", anySite, "{helper} failed: {errno}", "bpf-helpers(7) lists the helper's errors"},
}

func (r *Row) matches(site compiler.Site, errno unix.Errno) bool {
	if prefix, ok := strings.CutSuffix(r.Helper, "*"); ok && !strings.HasPrefix(site.Helper, prefix) || !ok && site.Helper != r.Helper {
		return false
	}
	return (r.Errno == 0 || r.Errno == errno) && (r.Op == "" || r.Op == site.Op) && r.Kind.matches(site)
}

// Explain returns the meaning of an errno at a site, and a hint for the user. name is that of the
// map or stream; size is its max_keys, or the size of the stream in bytes.
func Explain(site compiler.Site, errno unix.Errno, name string, size int) (message, hint string) {
	same := errno
	if same == unix.EDEADLK { // EBUSY on kernels before 6.15 (kernel/bpf/rqspinlock.c)
		same = unix.EBUSY
	}
	fill := strings.NewReplacer("{map}", name, "{size}", strconv.Itoa(size), "{larger}", strconv.Itoa(NextSize(size)), "{op}", site.Op, "{helper}", site.Helper, "{errno}", errno.Error())
	for i := range Rows {
		if r := &Rows[i]; r.matches(site, same) {
			return fill.Replace(r.Message), fill.Replace(r.Hint)
		}
	}
	return errno.Error(), "" // not reached: the last row matches everything
}
