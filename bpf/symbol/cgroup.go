package symbol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The ID of a cgroup is the inode number of its directory.

// cgroups caches the paths of cgroups by ID.
var cgroups = struct {
	mu    sync.Mutex
	paths map[uint64]string
	read  time.Time
}{}

// cgroupAge is the minimum time between two reads of the tree. An unknown ID may belong to a cgroup
// that no longer exists, so the tree is not read for each one.
const cgroupAge = time.Second

// ErrNoCgroup2 is returned if no cgroup v2 hierarchy is mounted.
var ErrNoCgroup2 = errors.New("no cgroup hierarchy of version 2 is mounted; as root: mount -t cgroup2 none /sys/fs/cgroup")

// CgroupPath returns the path of a cgroup below the root of the hierarchy; "/" is the root itself.
// ok is false if no cgroup has that ID now or had it when the tree was last read.
func CgroupPath(id uint64) (path string, ok bool, err error) {
	c := &cgroups
	c.mu.Lock()
	defer c.mu.Unlock()
	if path, ok = c.paths[id]; ok || time.Since(c.read) < cgroupAge {
		return path, ok, nil
	}
	root, err := cgroupRoot()
	if err != nil {
		return "", false, err
	}
	if c.paths == nil {
		c.paths = map[uint64]string{}
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed in the meantime
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		}
		var st unix.Stat_t
		if err := unix.Stat(p, &st); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return nil
			}
			return err
		}
		c.paths[st.Ino] = "/" + strings.TrimPrefix(strings.TrimPrefix(p, root), "/")
		return nil
	})
	if err != nil {
		return "", false, fmt.Errorf("read the tree of cgroups: %w", err)
	}
	c.read = time.Now()
	path, ok = c.paths[id]
	return path, ok, nil
}

// CgroupID returns the ID of the cgroup with the given path below the root of the hierarchy.
func CgroupID(path string) (uint64, error) {
	root, err := cgroupRoot()
	if err != nil {
		return 0, err
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(root, path), &st); err != nil {
		return 0, fmt.Errorf("cgroup %q: %w", path, err)
	}
	return st.Ino, nil
}

// cgroupRoot returns the mount point of the cgroup v2 hierarchy.
func cgroupRoot() (string, error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", fmt.Errorf("find the cgroups: %w", err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1], nil
		}
	}
	return "", ErrNoCgroup2
}
