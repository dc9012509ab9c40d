package main

// int80 makes a system call as 32-bit programs do. Their numbers are other ones.
func int80(number, arg1, arg2, arg3 uintptr) uintptr
