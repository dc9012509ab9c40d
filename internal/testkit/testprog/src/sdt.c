// Static probes with arguments of all kinds. It writes their notes as sys/sdt.h does, which need not be installed.
#include <stdlib.h>
#define NOTE(name, semaphore, spec, ...) __asm__ volatile( \
	"990: nop\n" \
	".pushsection .note.stapsdt,\"\",\"note\"\n.balign 4\n" \
	".4byte 992f-991f, 994f-993f, 3\n" \
	"991: .asciz \"stapsdt\"\n992: .balign 4\n" \
	"993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte " semaphore "\n" \
	".asciz \"test\"\n.asciz \"" name "\"\n.asciz \"" spec "\"\n994: .balign 4\n.popsection\n" \
	".ifndef _.stapsdt.base\n.pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
	".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n.popsection\n.endif\n" \
	:: __VA_ARGS__)
__attribute__((section(".probes"), used)) volatile unsigned short gate_semaphore;
int counter = 100;
signed char small[4] = {-1, -2, 3, 4};
char text[] = "text";
int prepared;

__attribute__((noinline)) void step(int i, long l, char *s) {
	struct { int x; signed char c; unsigned short u; } local = {i * 2, (signed char)-i, 65535};
	int four[4] = {i, i + 1, i + 2, i + 3};
	long index = i & 3;
	__asm__ volatile("" :: "m"(local), "m"(four));
	NOTE("regs", "0", "-4@%0 8@%1 8@%2 -4@%3", "r"(i), "r"(l), "r"(s), "i"(-5));
	NOTE("mem", "0", "-4@%0 -1@%1 2@%2", "m"(local.x), "m"(local.c), "m"(local.u));
#ifdef __x86_64__
	register long base __asm__("rbx") = (long)four;
	register long at __asm__("rcx") = index;
	NOTE("x86", "0", "-4@(%%rbx,%%rcx,4) -4@counter(%%rip) -1@small+1(%%rip) 1@%%ah 4@$7", "r"(base), "r"(at), "a"(0x1200L));
#endif
	NOTE("twice", "0", "-4@%0", "r"(i));
	NOTE("twice", "0", "-4@%0", "m"(local.x));
	NOTE("none", "0", "");
	NOTE("real", "0", "8f@%0 -4@%1", "r"(l), "r"(i));
	if (gate_semaphore) {
		prepared++; // what a program works out only for who looks
		NOTE("gate", "gate_semaphore", "-4@%0", "r"(prepared));
	}
}

int main(int argc, char **argv) {
	text[0] = 't'; // its page is in memory from here on
	for (int i = 0; i < atoi(argv[1]); i++) step(i, 1000 + i, text);
	return prepared & 127;
}
