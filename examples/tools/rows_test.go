package tools

// rowTests are the tests of tools that print a line for each event.
var rowTests = []rowTest{
	{run{tool: "killsnoop", load: "kill 3", wide: true}, []string{"sig", "tpid", "result"}, map[string]int{"WINCH SELF 0": 9, "0 -1 EBADF": 3}},
	{run{tool: "killsnoop", args: []string{"--failed"}, load: "kill 3"}, []string{"sig", "tpid", "result"}, map[string]int{"0 -1 EBADF": 3}},
	{run{tool: "execsnoop", load: "exec 2", wide: true, execs: true}, []string{"ret", "args"},
		map[string]int{"0 SELF load exec 2": 1, "0 prog load exec 1 'a b' ''": 1, "0 prog load exec 0 'a b' ''": 1}},
	{run{tool: "execsnoop", args: []string{"--failed"}, load: "exec 1", execs: true}, []string{"ret", "args"},
		map[string]int{"ENOENT /no/such": 1, "0 prog load exec 0 'a b' ''": 1}},
	{run{tool: "opensnoop", load: "open 5"}, []string{"path"}, map[string]int{"null": 5, "/no/such": 5, "/no/creat": 5, "TMP/new": 5}},
	{run{tool: "opensnoop", args: []string{"--failed"}, load: "open 5"}, []string{"ret", "path"}, map[string]int{"ENOENT /no/such": 5, "ENOENT /no/creat": 5}},
	{run{tool: "opensnoop", args: []string{"--full"}, load: "open 5", wide: true}, []string{"path"}, map[string]int{"/dev/null": 5, "/no/such": 5, "/no/creat": 5, "TMP/new": 5}},
	{run{tool: "statsnoop", load: "stat 4"}, []string{"call", "ret", "path"},
		map[string]int{"newfstatat 0 /dev/null": 4, "newfstatat ENOENT /no/such": 4, "newfstatat 0 /dev/zero": 4, "statx 0 /dev/null": 4, "fstat 0 /dev/zero": 4, "fstat EBADF ": 4, "statfs 0 /dev": 4, "fstatfs 0 /dev/zero": 4}},
	{run{tool: "statsnoop", args: []string{"--failed"}, load: "stat 4", wide: true}, []string{"call", "ret", "path"}, map[string]int{"newfstatat ENOENT /no/such": 4, "fstat EBADF ": 4}},
	{run{tool: "syncsnoop", load: "sync 3"}, []string{"call", "ret", "file"},
		map[string]int{"fsync 0 TMP/file": 3, "fdatasync 0 TMP/file": 3, "sync_file_range 0 TMP/file": 3, "msync 0 ": 3, "fsync EBADF ": 3}},
	{run{tool: "naptime", load: "sleep 3"}, []string{"asked", "ret"}, map[string]int{"0.002 0": 6, "until 0": 3}},
	{run{tool: "setuids", load: "setuid 2"}, []string{"uid", "call", "ret", "ids"}, map[string]int{
		"0 setuid 0 0": 2, "0 setreuid 0 real=- effective=0": 2, "0 setresuid 0 real=0 effective=- saved=0": 2, "0 setfsuid 0 0": 2,
		"0 setgid 0 0": 2, "0 setregid 0 real=0 effective=0": 2, "0 setresgid 0 real=- effective=- saved=-": 2, "0 setfsgid 0 0": 2}},
	{run{tool: "undump", load: "unix 3"}, []string{"size", "data"}, map[string]int{`5 "hello"`: 3, `6 "\nthere"`: 3}},
	{run{tool: "tcpconnect", load: "tcp 4"}, []string{"daddr", "result"}, map[string]int{"127.0.0.1 ok": 4, "127.0.0.1 ECONNREFUSED": 4}},
	{run{tool: "tcpconnect", args: []string{"--failed"}, load: "tcp 4", wide: true}, []string{"result"}, map[string]int{"ECONNREFUSED": 4}},
	{run{tool: "tcpaccept", load: "tcp 4"}, []string{"raddr", "laddr", "queued", "limit"}, map[string]int{"127.0.0.1 127.0.0.1 0 37": 4}},
	{run{tool: "tcplife", load: "tcp 4"}, []string{"tx_kb", "rx_kb"}, map[string]int{"4 2": 4, "2 4": 4, "0 0": 4}},
	{run{tool: "fsslower", args: []string{"--min-ms", "0"}, load: "files 13"}, []string{"op", "path"}, map[string]int{
		"write TMP/file": 13, "read TMP/file": 13, "fsync TMP/file": 13, "open TMP/file": 1, "open TMP/made": 13}},
	{run{tool: "fsslower", args: []string{"--min-ms", "100000"}, load: "files 13"}, []string{"op"}, map[string]int{}},
	{run{tool: "exitsnoop", load: "exits 4", wide: true, forks: true}, []string{"status"}, map[string]int{"code 3": 4, "signal KILL": 4, "code 0": 1}},
	{run{tool: "exitsnoop", args: []string{"--failed"}, load: "exits 4"}, []string{"status"}, map[string]int{}},
	{run{tool: "sigsnoop", args: []string{"--signal", "WINCH"}, load: "kill 3", wide: true}, []string{"sig", "tpid"}, map[string]int{"WINCH SELF": 9}},
	{run{tool: "solisten", load: "tcp 4"}, []string{"ret", "backlog", "family", "addr"}, map[string]int{"0 37 INET 127.0.0.1": 1}},
	{run{tool: "bindsnoop", load: "bind 3"}, []string{"ret", "proto", "addr"}, map[string]int{"0 TCP 127.0.0.1": 1, "EADDRINUSE TCP 127.0.0.1": 3}},
	{run{tool: "bindsnoop", args: []string{"--port", "0", "--failed"}, load: "bind 3", wide: true}, []string{"ret"}, map[string]int{"EADDRINUSE": 3}},
	{run{tool: "tcptop", args: []string{"--interval", "600"}, load: "tcp 4"}, []string{"laddr", "raddr", "rx_kb", "tx_kb"}, map[string]int{
		"127.0.0.1 127.0.0.1 2.0 4.8828125": 4, "127.0.0.1 127.0.0.1 4.8828125 2.0": 4}},
	{run{tool: "tcpconnlat", load: "tcp 4"}, []string{"daddr", "result"}, map[string]int{"127.0.0.1 ok": 4, "127.0.0.1 ECONNREFUSED": 4}},
	{run{tool: "tcpconnlat", args: []string{"--min-ms", "100000"}, load: "tcp 4"}, []string{"result"}, map[string]int{}},
	{run{tool: "shmsnoop", load: "shm 3"}, []string{"call"}, map[string]int{"shmget": 6, "shmat": 6, "shmdt": 6, "shmctl": 9}},
	{run{tool: "shmsnoop", args: []string{"--failed"}, load: "shm 3", wide: true}, []string{"call", "ret", "args"}, map[string]int{
		"shmget EINVAL key=0x0 size=0 flags=IPC_CREAT|IPC_EXCL mode=640": 3, "shmat EINVAL id=-1 address=0x0 flags=SHM_RDONLY": 3,
		"shmdt EINVAL address=0x1": 3, "shmctl EINVAL id=-1 command=IPC_RMID": 3}},
	{run{tool: "filelife", load: "lives 4"}, []string{"path"}, map[string]int{"TMP/one": 4, "TMP/two": 4}},
	{run{tool: "filelife", load: "files 13"}, []string{"path"}, map[string]int{"TMP/made": 13}},
	{run{tool: "filelife", args: []string{"--min-ms", "100000"}, load: "files 13"}, []string{"path"}, map[string]int{}},
	{run{tool: "filelife", load: "links 4", needs: []string{"kprobe"}}, []string{"path"}, map[string]int{"TMP/first": 4, "TMP/old": 4}},
	{run{tool: "fileslower", args: []string{"--min-ms", "0"}, load: "files 13"}, []string{"op", "ret", "path"}, map[string]int{"write 10 TMP/file": 13, "read 10 TMP/file": 13}},
	{run{tool: "mountsnoop", load: "mounts 1"}, []string{"call"}, map[string]int{
		`mount("", "/", "", MS_REC|MS_PRIVATE, NULL)`: 1, `mount("none", "TMP", "ramfs", MS_NOSUID, "mode=700")`: 1,
		`umount("TMP", MNT_DETACH)`: 1, `umount("TMP", 0)`: 2,
		`fsopen("ramfs", FSOPEN_CLOEXEC)`: 1, `fsconfig(100, FSCONFIG_SET_STRING, "mode", "711", 0)`: 1, `fsconfig(100, FSCONFIG_CMD_CREATE, NULL, NULL, 0)`: 1,
		`fsmount(100, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC)`: 1, `move_mount(101, "", AT_FDCWD, "TMP", MOVE_MOUNT_F_EMPTY_PATH)`: 1}},
	{run{tool: "mountsnoop", args: []string{"--failed"}, load: "mounts 1", wide: true}, []string{"ret", "call"}, map[string]int{`EINVAL umount("TMP", 0)`: 1}},
}

// libraryTests need programs that use libraries.
var libraryTests = []rowTest{
	{run{tool: "gethostlatency", load: "names.py", execs: true}, []string{"result", "host"}, map[string]int{"found localhost": 3, "failed nohost": 2, "found 127.0.0.1": 1}},
	{run{tool: "threadsnoop", load: "threads.py", execs: true}, []string{"comm"}, map[string]int{"python3": 4}},
	{run{tool: "sslsnoop", args: []string{"--unsafe"}, load: "tls.py", wide: true, execs: true}, []string{"func", "ret", "bytes"}, map[string]int{
		"SSL_do_handshake 1 0": 2, "SSL_write_ex 1 10": 6, "SSL_read_ex 1 10": 6}},
}

// sumTests are the tests of tools that count.
var sumTests = []sumTest{
	{run{tool: "pidpersec", load: "fork 7"}, nil, "processes", 7, 7},
	{run{tool: "syscount", load: "getppid 5000"}, map[string]string{"call": "getppid"}, "calls", 5000, 5000},
	{run{tool: "syscount", args: []string{"--latency"}, load: "getppid 5000"}, map[string]string{"call": "getppid"}, "calls", 5000, 5000},
	{run{tool: "threadsnoop", load: "threads 5", execs: true}, nil, "", 5, 12},
	{run{tool: "runqlat", load: "pass 2000"}, nil, "count", 4000, 6000},
	{run{tool: "runqlat", args: []string{"--per-process"}, load: "pass 2000"}, map[string]string{"comm": comm()}, "count", 4000, 6000},
	{run{tool: "tcpsynbl", load: "queue 6"}, map[string]string{"limit": "37"}, "count", 6, 6},
	{run{tool: "tcpsynbl", load: "queue 6"}, map[string]string{"limit": "37", "lo": "4"}, "count", 2, 2},
	{run{tool: "fsdist", load: "files 13"}, map[string]string{"operation": "write"}, "count", 13, 13},
	{run{tool: "fsdist", load: "files 13"}, map[string]string{"operation": "fsync"}, "count", 13, 13},
	{run{tool: "vfsstat", load: "files 13"}, nil, "writes", 13, 13},
	{run{tool: "vfsstat", load: "files 13"}, nil, "fsyncs", 13, 13},
	{run{tool: "vfsstat", load: "files 13"}, nil, "creates", 14, 14},
	{run{tool: "runqslower", args: []string{"--min-us", "0"}, load: "pass 200"}, nil, "", 400, 700},
	{run{tool: "cpudist", load: "pass 2000"}, nil, "count", 4000, 6000},
	{run{tool: "cpudist", args: []string{"--off", "--per-process"}, load: "pass 2000"}, map[string]string{"comm": comm()}, "count", 1990, 6000}, // a thread that finds its byte does not sleep
	{run{tool: "offcputime", args: []string{"--no-user"}, load: "sleep 20"}, map[string]string{"comm": comm()}, "microseconds", 80000, 1 << 40},
	{run{tool: "filetop", load: "files 13"}, map[string]string{"file": "file"}, "reads", 13, 13},
	{run{tool: "filetop", load: "files 13"}, map[string]string{"file": "file"}, "writes", 13, 13},
	{run{tool: "syscount", args: []string{"--process", "--errno", "ENOENT"}, load: "stat 40"}, nil, "calls", 40, 40},
	{run{tool: "wqlat", load: "pty 50"}, nil, "count", 50, 70}, // the end of a process queues some
	{run{tool: "wqlat", args: []string{"--queue", "none"}, load: "pty 50"}, nil, "count", 0, 0},
	{run{tool: "wakeuptime", load: "wake 20"}, map[string]string{"comm": comm(), "waker": comm()}, "microseconds", 40000, 1 << 40},
	{run{tool: "futexctn", load: "futex 20"}, map[string]string{"comm": comm(), "lock": "0x200000000000", "result": "woken"}, "waits", 20, 20},
	{run{tool: "futexctn", load: "futex 20"}, map[string]string{"lock": "0x200000000000", "result": "ETIMEDOUT"}, "waits", 20, 20},
	{run{tool: "futexctn", load: "futex 20"}, map[string]string{"lock": "0x200000000000", "result": "EAGAIN"}, "waits", 0, 0},
	{run{tool: "futexctn", args: []string{"--hist"}, load: "futex 20"}, map[string]string{"lock": "0x200000000000"}, "count", 40, 40},
	{run{tool: "futexctn", args: []string{"--min-us", "1000000"}, load: "futex 20"}, map[string]string{"lock": "0x200000000000"}, "waits", 0, 0},
	{run{tool: "futexctn", args: []string{"--stacks"}, load: "futex 20"}, map[string]string{"lock": "0x200000000000"}, "microseconds", 20000, 1 << 40},
	{run{tool: "gorunqlat", args: []string{"--by-function"}, load: "go 300"}, map[string]string{"function": "github.com/bpfrepl/bpfrepl/examples/tools.sendNumber [tools.test]"}, "count", 300, 300},
	{run{tool: "gorunqlat", load: "go 300"}, nil, "count", 600, 700}, // and those of the runtime
	{run{tool: "gorunqlat", args: []string{"--states"}, load: "go 300", execs: true}, map[string]string{"old": "running", "new": "dead"}, "changes", 299, 310},
	{run{tool: "stackcount", args: []string{"--probe", "tracepoint:syscalls:sys_enter_getppid"}, load: "getppid 5000"}, map[string]string{"comm": comm()}, "count", 5000, 5000},
	{run{tool: "stackcount", args: []string{"--probe", "tracepoint:syscalls:sys_enter_getppid", "--no-user"}, load: "getppid 5000"}, nil, "", 1, 1},
	{run{tool: "slabratetop", args: []string{"--interval", "600"}, load: "open 200"}, map[string]string{"cache": "filp"}, "allocs", 800, 1000}, // two that fail are allocated, too
	{run{tool: "fileslower", args: []string{"--min-ms", "2", "--all"}, load: "wake 20"}, map[string]string{"op": "read", "ret": "1"}, "", 19, 20},
}

// sampleTests are the tests of tools that sample.
var sampleTests = []sumTest{
	{run{tool: "cpuwalk", load: "spin 1000 1"}, map[string]string{"cpu": "0"}, "samples", 50, 150},
	{run{tool: "profile", load: "spin 1000 1"}, map[string]string{"comm": comm()}, "samples", 50, 150},
	{run{tool: "runqlen", load: "spin 1000 1"}, nil, "count", 50, 150},
}

// diskRows and diskSums read 40 blocks of the file in the environment variable loadFile.
var (
	diskRows = []rowTest{
		{run{tool: "biosnoop", load: "blocks 40"}, []string{"bytes"}, map[string]int{"4096": 40}},
	}
	diskSums = []sumTest{
		{run{tool: "biolatency", load: "blocks 40"}, nil, "count", 40, 40},
		{run{tool: "biolatency", args: []string{"--by-disk", "--by-flags"}, load: "blocks 40"}, nil, "count", 40, 40},
		{run{tool: "biolatency", args: []string{"--disk", "none"}, load: "blocks 40"}, nil, "count", 0, 0},
		{run{tool: "bitesize", load: "blocks 40"}, map[string]string{"comm": comm(), "lo": "4096"}, "count", 40, 40},
		{run{tool: "biostacks", load: "blocks 40"}, nil, "count", 40, 40},
		{run{tool: "readahead", load: "ahead 40"}, nil, "pages", 40, 60}, // the load's program is perhaps read, too
		{run{tool: "readahead", load: "ahead 40"}, nil, "used", 20, 40},
		{run{tool: "readahead", load: "ahead 40"}, nil, "dropped", 20, 20},
		{run{tool: "cachestat", args: []string{"--interval", "600"}, load: "dirty 40"}, nil, "dirtied", 40, 45}, // the inode is written, too
	}
)

// cacheSums read a file that is in the environment variable loadFile, and write it.
var cacheSums = []sumTest{
	{run{tool: "cachestat", args: []string{"--interval", "600"}, load: "cached 500"}, nil, "misses", 500, 520},
	{run{tool: "cachestat", args: []string{"--interval", "600"}, load: "cached 500"}, nil, "hits", 1500, 1900}, // the Go runtime adds some
	{run{tool: "cachestat", args: []string{"--interval", "600"}, load: "cached 500"}, nil, "added", 1000, 1020},
	{run{tool: "cachestat", args: []string{"--interval", "600"}, load: "mapped 500"}, nil, "misses", 500, 520},
	{run{tool: "cachestat", args: []string{"--interval", "600"}, load: "mapped 500"}, nil, "hits", 30, 900}, // some kernels map 16 pages or more at one fault
}
