//go:build !amd64

package main

func int80(number, arg1, arg2, arg3 uintptr) uintptr {
	panic("this architecture has no interrupt for 32-bit system calls")
}
