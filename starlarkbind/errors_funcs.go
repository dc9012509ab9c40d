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
		return fmt.Sprintf("%s: the kernel could not walk through the stack: %s; what was added counts for a stack without frames", site.Op, errno.Error()), "", true
	case "map_update_elem":
		if site.Map != nil {
			break
		}
		lost := ", so the frames of this one are lost; what was added counts for a stack without frames"
		switch errno {
		case unix.E2BIG:
			return site.Op + ": as many different stacks are kept as there is room for" + lost, "take fewer different stacks: fewer frames, " + site.Op + "(8), or a filter", true
		case unix.EEXIST:
			return site.Op + ": the numbers under which it could be kept are those of other stacks" + lost, "such stacks do not come up by chance: a process has made up its frames", true
		case unix.EBUSY:
			return site.Op + ": the map of stacks was locked by what this handler interrupted" + lost, "count it in errors()", true
		}
	case "path":
		return fmt.Sprintf("path: the path has more bytes than there is room for, or more than %d parts; it reads as empty", compiler.MaxParts), "make more room: path(p, 1024)", true
	case "send_signal":
		switch errno {
		case unix.EPERM:
			return "signal: the running task takes no signals: it is a thread of the kernel, or init, or about to end", "test e.comm or e.pid first", true
		case unix.EINVAL:
			return "signal: there is no signal of that number", "signals are numbered from 1 to 64", true
		}
	}
	return "", "", false
}
