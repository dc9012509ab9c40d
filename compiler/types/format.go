package types

// TFormatted returns the type of values of type t, an int or a tuple of ints, that the host shows
// by f.
func TFormatted(t *Type, f *Format) *Type { return &Type{Kind: Formatted, Elem: t, Format: f} }

// TName is the name of a probe: a number that the host translates with a table.
var TName = TFormatted(TUint, &Format{Name: "probe", Noun: "probe name"})

// Types of names and symbols.
var (
	TErrno   = TFormatted(TInt, &Format{Name: "errno", Noun: "error name"})
	TSyscall = TFormatted(TInt, &Format{Name: "syscall", Noun: "system call name"})
	TCgroup  = TFormatted(TUint, &Format{Name: "cgroup", Noun: "cgroup path"})
	TMAC     = TFormatted(TUint, &Format{Name: "mac", Noun: "hardware address"})
	TKsym    = TFormatted(TUint, &Format{Name: "ksym", Noun: "kernel symbol"})
	// TUsym is an address and the ID of the process that it belongs to.
	TUsym = TFormatted(TTuple(TUint, TInt), &Format{Name: "usym", Noun: "user symbol"})
)

// TTime is the type of wall-clock times in nanoseconds, shown in a strftime format.
func TTime(format string) *Type {
	return TFormatted(TInt, &Format{Name: "time", Noun: "formatted time", Arg: format})
}
