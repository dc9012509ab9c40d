// Functions that call themselves, one that does not always return, and one whose end is a jump: N DEPTH MILLISECONDS.
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>
#define KEEP __attribute__((noinline))
static jmp_buf env;
// descend calls itself depth-1 times. Each call sleeps after the inner one.
KEEP long descend(long depth, long ms) {
	long below = depth > 1 ? descend(depth - 1, ms) : 0;
	usleep(ms * 1000);
	return below + 1;
}
// escape calls itself depth-1 times. The innermost call leaves all of them if jump is set.
KEEP long escape(long depth, long jump) {
	if (depth > 1) return escape(depth - 1, jump) + 1;
	if (jump) longjmp(env, 1);
	return 1;
}
KEEP long after(long a) { __asm__ volatile(""); return a + 1; }
// leap ends in a jump to after.
KEEP __attribute__((optimize("optimize-sibling-calls"))) long leap(long a) { return after(a * 2); }
int main(int argc, char **argv) {
	volatile long n = atol(argv[1]), depth = atol(argv[2]), ms = atol(argv[3]), s = 0;
	for (volatile long i = 0; i < n; i++) {
		s += descend(depth, ms);
		if (!setjmp(env)) s += escape(depth, 1);
		s += escape(depth, 0);
		s += leap(i);
	}
	return 0;
}
