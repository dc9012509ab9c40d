// Functions that are called so often as the argument says, with known arguments and results.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define KEEP __attribute__((noinline))
KEEP long six(long a, int b, long c, long d, long e, const char *f) { __asm__ volatile(""); return a + b + c + d + e + f[0]; }
static char hello[] = "hello";
KEEP int call_a(int a) { __asm__ volatile(""); return -a; }
KEEP int call_b(int a) { __asm__ volatile(""); return a * 2; }
KEEP long eight(long a, long b, long c, long d, long e, long f, long g, long h, long i, long j) { __asm__ volatile(""); return a + h + j; }
KEEP static int unused_alias(int a) { __asm__ volatile(""); return a; }
int other_name(int a) __attribute__((alias("unused_alias")));
#ifdef __x86_64__ // mov is 5 bytes, add 3
__asm__(".globl steps\n.type steps,@function\nsteps: mov $1,%eax\nadd $2,%eax\nret\n.size steps,.-steps\n");
#else
__asm__(".globl steps\n.type steps,%function\nsteps: mov w0,#1\nadd w0,w0,#2\nret\n.size steps,.-steps\n");
#endif
int steps(void);
int main(int argc, char **argv) {
	int n = atoi(argv[1]);
	volatile long s = 0;
	hello[0] = 'h'; // its page is in memory from here on
	for (int i = 0; i < n; i++) {
		s += six(i, -1, 3, 4, 5, hello);
		s += call_a(i);
		if (i % 2) s += call_b(i);
		s += unused_alias(i) + steps() + eight(1, 2, 3, 4, 5, 6, 7, i, 9, 10);
	}
	return 0;
}
