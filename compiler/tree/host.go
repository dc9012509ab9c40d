package tree

// Host answers questions of handlers about the host they run on. It is asked at compile time, and
// only for what the handler uses: reading the kernel's symbols takes tens of milliseconds.
type Host interface {
	// KernelAddr returns the address of a kernel symbol.
	KernelAddr(name string) (uint64, error)
	// UserAddr returns the address of a symbol in the program at path. An empty path means the
	// process that the script started.
	UserAddr(symbol, path string) (uint64, error)
	// CgroupID returns the ID of the cgroup at path.
	CgroupID(path string) (uint64, error)
	// WallClock returns the offset in nanoseconds from now(), which counts from boot, to the wall
	// clock.
	WallClock() int64
}

// A HostError is an error from Host with a hint for the user.
type HostError struct{ Msg, Hint string }

func (e *HostError) Error() string { return e.Msg }
