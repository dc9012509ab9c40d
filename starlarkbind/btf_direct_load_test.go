package starlarkbind

import "testing"

// fentry and fexit follow the pointers in arguments and results by plain loads where a kprobe needs
// helper reads, except for pointers into a program's memory. The return value has a type, and an
// errno instead of a pointer is a failed read.
func TestFunctionDirect(t *testing.T) {
	needFunctions(t)
	const gone = "e.ret.f_inode could not be read: a pointer on the way is NULL or no longer valid; it reads as empty"
	expect(t, `
a, r = count(), count()
ours = lambda e: e.comm == "load"
def result(kind):
    return lambda e: r.add(by=(kind, e.ret.f_inode.i_size > 1000000, e.ret.f_inode.i_mode & 0o170000 == 0o100000))
for spec in ["kprobe:vfs_read", "fentry:vfs_read", "fexit:vfs_read"]:
    p = probe(spec, lambda e: a.add(by=(e.probe, e.args.file.f_inode.i_size > 1000000, e.args.file.f_inode.i_sb.s_flags != 0)), filter=lambda e: e.comm == "load" and e.args.count == 17)
    print(spec, "FnProbeReadKernel" in p.asm())
kinds = ["kretprobe", "fexit", "return"]
rs = [probe([k + ":do_filp_open", k + ":do_file_open"], result(k), filter=ours, first=True) for k in kinds] # 7.2 has renamed it
make("reads", "/proc/self/exe", 10, 17)
for k, n in sorted(a.items()) + [(k, n) for k, n in sorted(r.items()) if k[1]]:
    print(k, n)
missing = {k[0]: n for k, n in r.items() if not k[2]}
make("opens", 7, "/tmp/no-such-")
print(str([(k[0], n - missing.get(k[0], 0)) for k, n in sorted(r.items()) if not k[2]]))
for k, p in zip(kinds, rs):
    for x in p.errors():
        print(x.helper, x.errno, x.count == r[(k, False, False)], x.message)
`, `kprobe:vfs_read True`, `fentry:vfs_read False`, `fexit:vfs_read False`,
		`("fentry:vfs_read", True, True) 10`, `("fexit:vfs_read", True, True) 10`, `("kprobe:vfs_read", True, True) 10`,
		`("fexit", True, True) 1`, `("kretprobe", True, True) 1`, `("return", True, True) 1`,
		`[("fexit", 8), ("kretprobe", 8), ("return", 8)]`,
		"probe_read_kernel ERANGE True "+gone, "probe_read_kernel ERANGE True "+gone,
		"probe_read_kernel EFAULT True "+gone, "probe_read_kernel EFAULT True "+gone,
		"probe_read_kernel EFAULT True "+gone, "probe_read_kernel EFAULT True "+gone)
}
