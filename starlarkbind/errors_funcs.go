package starlarkbind

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/compiler"
)

// explainFunc tells what an errno means in a function that handlers call.
func explainFunc(site compiler.Site, errno unix.Errno) (message, hint string, ok bool) {
	switch site.Helper {
	case "get_stackid":
		switch errno {
		case unix.EEXIST:
			return fmt.Sprintf("%s: another stack has the place of this one in the kernel's map, so its frames are not kept; what was added counts for a stack without frames", site.Op),
				"take fewer different stacks: fewer frames, kstack(8), or a filter", true
		case unix.ENOMEM:
			return fmt.Sprintf("%s: the kernel's map of stacks is full, so the frames of this one are not kept", site.Op), "take fewer different stacks: fewer frames, kstack(8), or a filter", true
		}
	case "send_signal":
		switch errno {
		case unix.EPERM:
			return "signal: the running task is a thread of the kernel, which takes no signals", "test e.pid first", true
		case unix.EINVAL:
			return "signal: there is no signal of that number", "signals are numbered from 1 to 64", true
		}
	}
	return "", "", false
}
