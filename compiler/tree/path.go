package tree

// A Window is the part of a struct that is read at once.
type Window struct{ Start, Size int }

// MaxWindow is the maximum size of a window in bytes.
const MaxWindow = 64

// A PathLayout has the offsets of the members that path() reads. They are offsets in the struct or,
// for a struct with a window, in the window.
type PathLayout struct {
	Mnt, Dentry          int // of struct path
	Fs, Root             int // of struct task_struct, and of struct fs_struct
	Vfsmount             int // of struct mount
	Mount                Window
	Parent, Point, Top   int // mnt_parent, mnt_mountpoint, mnt.mnt_root
	Entry                Window
	Hash, Up, Size, Name int // d_hash.pprev, d_parent, d_name.len, d_name.name
	Super, FsType, Label int // dentry.d_sb, super_block.s_type, file_system_type.name
}
