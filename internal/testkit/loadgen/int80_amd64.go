package main

// int80 makes a system call the way 32-bit programs do. Their system calls have other numbers.
func int80(number, arg1, arg2, arg3 uintptr) uintptr
