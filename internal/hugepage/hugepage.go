// Package hugepage asks the kernel to back large memory with huge pages, both memory that was
// allocated elsewhere and memory that the package allocates itself. Memory that nobody has touched
// yet costs a page fault for each of its pages, and ten times as much in a virtual machine: reading
// a map of a million keys spent half of its time on page faults.
package hugepage

import (
	"context"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// size is the size of a huge page on amd64, and on arm64 with 4 KiB pages. With another size, the
// advice covers less of the memory, or none of it.
const size = 2 << 20

// Advise asks for huge pages for a slice that was just made. It covers the whole huge pages inside
// the slice. It is only advice: a kernel without huge pages rejects it (madvise(2), MADV_HUGEPAGE),
// and nothing changes.
func Advise[T any](s []T) {
	var one T
	AdviseRange(unsafe.Pointer(unsafe.SliceData(s)), uintptr(cap(s))*unsafe.Sizeof(one))
}

// AdviseRange is like Advise for the n bytes that start at p.
func AdviseRange(p unsafe.Pointer, n uintptr) { advise(p, n, unix.MADV_HUGEPAGE) }

func advise(p unsafe.Pointer, n uintptr, advice int) {
	skip := -uintptr(p) & (size - 1)
	if n < skip+size {
		return
	}
	n = (n - skip) &^ (size - 1)
	unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(p, skip)), n), advice)
}

// Alloc returns n zero bytes that the garbage collector does not manage, in huge pages if the
// kernel has them. Bytes that have not been touched use no memory. Free releases the memory to the
// kernel immediately.
func Alloc(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", n, err)
	}
	Advise(b)
	return b, nil
}

// Free frees a slice that Alloc returned. Nothing may refer to its memory any more.
func Free(b []byte) error { return unix.Munmap(b) }

// PopulateRange asks the kernel to allocate pages for the whole huge pages in the n bytes that
// start at p, so that later writes cause no page faults (madvise(2), MADV_POPULATE_WRITE). Before
// Linux 5.14 it does nothing.
//
// It populates one huge page at a time, until ctx ends, because each call blocks other threads that
// want to map memory.
func PopulateRange(ctx context.Context, p unsafe.Pointer, n uintptr) {
	for off := -uintptr(p) & (size - 1); off+size <= n && ctx.Err() == nil; off += size {
		advise(unsafe.Add(p, off), size, unix.MADV_POPULATE_WRITE)
	}
}
