package tools

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Loads of files, mounts and the page cache.

// loadLives creates and deletes two files n[0] times, and fails to delete one. It also opens a file
// that exists.
func loadLives(n ...int) error {
	if err := unix.Chdir(os.TempDir()); err != nil {
		return err
	}
	dir, err := unix.Open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	if err := create("kept"); err != nil {
		return err
	}
	at := unix.AT_FDCWD
	for range n[0] {
		if err := errors.Join(
			create("one"), create("two"), create("kept"),
			call(unix.EISDIR, unix.SYS_UNLINK, cstring(os.TempDir())),
			call(unix.ENOENT, unix.SYS_UNLINKAT, uintptr(at), cstring("none"), 0),
			call(0, unix.SYS_UNLINK, cstring(os.TempDir()+"/./one")),
			call(0, unix.SYS_UNLINKAT, uintptr(dir), cstring("two"), 0),
		); err != nil {
			return err
		}
	}
	return nil
}

// loadLinks deletes a file n[0] times that has two names, and as often one that was renamed.
func loadLinks(n ...int) error {
	if err := unix.Chdir(os.TempDir()); err != nil {
		return err
	}
	for range n[0] {
		if err := errors.Join(
			create("first"), unix.Link("first", "second"), unix.Unlink("first"), unix.Unlink("second"),
			create("old"), unix.Rename("old", "new"), unix.Unlink("new"),
		); err != nil {
			return err
		}
	}
	return nil
}

// create opens a file for writing, and creates it if it does not exist.
func create(name string) error {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// sparse makes the file in the environment variable loadFile n pages long, of which no cache and no
// disk has any. They are not read ahead.
func sparse(n int) (int, error) {
	fd, err := unix.Open(os.Getenv(loadFile), unix.O_RDWR|unix.O_TRUNC, 0)
	if err != nil {
		return 0, err
	}
	return fd, errors.Join(unix.Ftruncate(fd, int64(n)*4096), unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM))
}

// loadCached reads n[0] pages that are not in the page cache and reads them again, writes as many,
// and reads all of them in one call for more than the file has.
func loadCached(n ...int) error {
	fd, err := sparse(n[0])
	if err != nil {
		return err
	}
	b := make([]byte, n[0]*16384)
	for range 2 {
		for i := range n[0] {
			if _, err := unix.Pread(fd, b[:4096], int64(i)*4096); err != nil {
				return err
			}
		}
	}
	for i := range n[0] {
		if _, err := unix.Pwrite(fd, b[:4096], int64(n[0]+i)*4096); err != nil {
			return err
		}
	}
	if size, err := unix.Pread(fd, b, 0); err != nil || size != 2*n[0]*4096 {
		return fmt.Errorf("read %d bytes: %w", size, err)
	}
	return nil
}

// loadMapped reads n[0] pages that are not in the page cache by a mapping, and again by another.
func loadMapped(n ...int) error {
	fd, err := sparse(n[0])
	if err != nil {
		return err
	}
	for range 2 {
		b, err := unix.Mmap(fd, 0, n[0]*4096, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		if err := unix.Madvise(b, unix.MADV_RANDOM); err != nil {
			return err
		}
		for i := range n[0] {
			if b[i*4096] != 0 {
				return errors.New("the file is not empty")
			}
		}
		if err := unix.Munmap(b); err != nil {
			return err
		}
	}
	return nil
}

// loadDirty writes n[0] pages of the file in the environment variable loadFile.
func loadDirty(n ...int) error {
	fd, err := unix.Open(os.Getenv(loadFile), unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for i := range n[0] {
		if _, err := unix.Pwrite(fd, make([]byte, 4096), int64(i)*4096); err != nil {
			return err
		}
	}
	return nil
}

// loadAhead reads the first half of a file of n[0] pages page by page, lets the kernel read all of
// the file ahead, and drops it from the page cache. It begins without it there.
func loadAhead(n ...int) error {
	fd, err := unix.Open(os.Getenv(loadFile), unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return err
	}
	for i := range n[0] / 2 {
		if _, err := unix.Pread(fd, make([]byte, 4096), int64(i)*4096); err != nil {
			return err
		}
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_WILLNEED); err != nil {
		return err
	}
	b, err := unix.Mmap(fd, 0, n[0]*4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	cached := make([]byte, n[0])
	for { // pages that are being read are not dropped
		if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
			return err
		}
		if err := call(0, unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&cached[0]))); err != nil {
			return err
		}
		if !bytes.Contains(cached, []byte{1}) {
			return nil
		}
	}
}

// loadMounts mounts a file system n[0] times by each of two interfaces, and fails to unmount one.
func loadMounts(n ...int) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	dir := os.TempDir()
	for range n[0] {
		if err := errors.Join(unix.Mount("none", dir, "ramfs", unix.MS_NOSUID, "mode=700"), unix.Unmount(dir, unix.MNT_DETACH)); err != nil {
			return err
		}
		if err := unix.Unmount(dir, 0); err != unix.EINVAL {
			return err
		}
		const fs, mnt = 100, 101
		if err := moveTo(fs)(unix.Fsopen("ramfs", unix.FSOPEN_CLOEXEC)); err != nil {
			return err
		}
		if err := errors.Join(unix.FsconfigSetString(fs, "mode", "711"), unix.FsconfigCreate(fs)); err != nil {
			return err
		}
		if err := moveTo(mnt)(unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOEXEC)); err != nil {
			return err
		}
		if err := errors.Join(unix.MoveMount(mnt, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH), unix.Close(mnt), unix.Close(fs), unix.Unmount(dir, 0)); err != nil {
			return err
		}
	}
	return nil
}

// moveTo returns a function that changes the number of a descriptor to fd.
func moveTo(fd int) func(old int, err error) error {
	return func(old int, err error) error {
		if err != nil {
			return err
		}
		return errors.Join(unix.Dup3(old, fd, unix.O_CLOEXEC), unix.Close(old))
	}
}
