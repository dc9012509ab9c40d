// Memory of a program whose contents are known, by its address in arguments, results, registers and system calls.
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>
#define KEEP __attribute__((noinline))
static char text[] = "known-text";
struct iovec total = {text, 42};
KEEP struct iovec *byref(struct iovec *v) { __asm__ volatile("" : "+r"(v) : : "memory"); return v; }
static void note(struct iovec *v) { // a static probe, as sys/sdt.h makes one: see sdt.c
	__asm__ volatile(
		"990: nop\n.pushsection .note.stapsdt,\"\",\"note\"\n.balign 4\n.4byte 992f-991f, 994f-993f, 3\n"
		"991: .asciz \"stapsdt\"\n992: .balign 4\n993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte 0\n"
		".asciz \"test\"\n.asciz \"note\"\n.asciz \"8@%0\"\n994: .balign 4\n.popsection\n"
		".ifndef _.stapsdt.base\n.pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
		".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n.popsection\n.endif\n"
		:: "r"(v));
}
int main(int argc, char **argv) {
	total.iov_len = 42; // the pages are in memory from here on
	text[0] = 'k';
	for (int n = atoi(argv[1]); n > 0; n--) {
		byref(&total);
		note(&total);
		write(-1, &total, 7);
	}
	return 0;
}
