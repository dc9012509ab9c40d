package starlarkbind

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/compiler"
)

// explainFunc is explain for functions that handlers call. ok is false for all other sites.
func explainFunc(site compiler.Site, errno unix.Errno) (message, hint string, ok bool) {
	switch site.Helper {
	case "get_stack":
		return fmt.Sprintf("%s: the kernel could not walk the stack: %s; what was added counts under a stack without frames", site.Op, errno.Error()), "", true
	case "map_update_elem":
		if site.Map != nil {
			break
		}
		lost := ", so this stack's frames were dropped; what was added counts under a stack without frames"
		switch errno {
		case unix.E2BIG:
			return site.Op + ": the stack map is full" + lost, "record fewer different stacks: fewer frames, " + site.Op + "(8), or a filter", true
		case unix.EEXIST:
			return site.Op + ": all the IDs that this stack could have belong to other stacks" + lost, "this does not happen by chance: a process has forged its frames", true
		case unix.EBUSY:
			return site.Op + ": the stack map was locked by the code that this handler interrupted" + lost, "count it in errors()", true
		}
	case "path":
		return fmt.Sprintf("path: the path is longer than its buffer, or has more than %d components; it reads as empty", compiler.MaxParts), "use a larger buffer: path(p, 1024)", true
	case "send_signal":
		switch errno {
		case unix.EPERM:
			return "signal: the running task cannot be signalled: it is a kernel thread, init, or exiting", "test e.comm or e.pid first", true
		case unix.EINVAL:
			return "signal: no signal has that number", "signals are numbered from 1 to 64", true
		}
	}
	return "", "", false
}
