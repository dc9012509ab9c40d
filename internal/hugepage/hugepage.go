// Package hugepage has the kernel back large memory by huge pages: what was allocated elsewhere, and what it gives itself. Memory that
// nobody has touched costs a fault for each of its pages, and on a virtual machine ten times as much: reading a map of a million keys spent
// half of its time there.
package hugepage

import (
	"context"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// size is that of a huge page on amd64, and on arm64 with pages of 4 KiB. Where it is another, the advice is for less or for nothing.
const size = 2 << 20

// Advise asks for huge pages behind a slice that was just made, as far as it has whole ones. It is advice: a kernel without them
// refuses it (madvise(2), MADV_HUGEPAGE), and all is as without.
func Advise[T any](s []T) {
	var one T
	AdviseRange(unsafe.Pointer(unsafe.SliceData(s)), uintptr(cap(s))*unsafe.Sizeof(one))
}

// AdviseRange is Advise for n bytes from p on.
func AdviseRange(p unsafe.Pointer, n uintptr) { advise(p, n, unix.MADV_HUGEPAGE) }

func advise(p unsafe.Pointer, n uintptr, advice int) {
	skip := -uintptr(p) & (size - 1)
	if n < skip+size {
		return
	}
	n = (n - skip) &^ (size - 1)
	unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(p, skip)), n), advice)
}

// Alloc gives n bytes of zeros, in huge pages where the kernel has them, that are none of the collector's: what has not been touched
// takes no memory, and what is freed is gone at once. Free gives them back.
func Alloc(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", n, err)
	}
	Advise(b)
	return b, nil
}

// Free frees what Alloc gave. Nothing may refer to it any more.
func Free(b []byte) error { return unix.Munmap(b) }

// PopulateRange has the kernel put pages behind n bytes from p on, as far as they have whole huge ones (madvise(2), MADV_POPULATE_WRITE,
// 5.14), so that whoever comes to write there need not wait for them. Before that kernel it does nothing.
//
// One page after the other, until ctx ends: who wants to map memory meanwhile has to wait for each call.
func PopulateRange(ctx context.Context, p unsafe.Pointer, n uintptr) {
	for off := -uintptr(p) & (size - 1); off+size <= n && ctx.Err() == nil; off += size {
		advise(unsafe.Add(p, off), size, unix.MADV_POPULATE_WRITE)
	}
}
