// Package hugepage asks the kernel to back large memory by huge pages. Memory that nobody has touched costs a fault for each of its
// pages, and on a virtual machine ten times as much: reading a map of a million keys spent half of its time there.
package hugepage

import (
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
func AdviseRange(p unsafe.Pointer, n uintptr) {
	skip := -uintptr(p) & (size - 1)
	if n < skip+size {
		return
	}
	n = (n - skip) &^ (size - 1)
	unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(p, skip)), n), unix.MADV_HUGEPAGE)
}
