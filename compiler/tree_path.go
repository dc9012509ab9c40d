package compiler

// A window is the part of a struct that is read at once.
type window struct{ start, size int }

// maxWindow is the maximum size of a window in bytes.
const maxWindow = 64

// A pathLayout has the offsets of the members that path() reads. They are offsets in the struct or,
// for a struct with a window, in the window.
type pathLayout struct {
	mnt, dentry          int // of struct path
	fs, root             int // of struct task_struct, and of struct fs_struct
	vfsmount             int // of struct mount
	mount                window
	parent, point, top   int // mnt_parent, mnt_mountpoint, mnt.mnt_root
	entry                window
	hash, up, size, name int // d_hash.pprev, d_parent, d_name.len, d_name.name
	super, fsType, label int // dentry.d_sb, super_block.s_type, file_system_type.name
}
