// Functions that are left by longjmp, and functions that change stacks between their calls and returns. It fails unless all
// that return do so with the right value.
#include <setjmp.h>
#include <stdlib.h>
#include <ucontext.h>

static jmp_buf back;
static ucontext_t scheduler, task[2];
static char stack[2][1 << 16];
static int turns, now, n;
static long sum;

__attribute__((noinline)) int leave(int i) {
	__asm__ volatile("");
	if (i % 2) longjmp(back, i);
	return i;
}
__attribute__((noinline)) int across(int i) { // longjmp passes it
	int r = leave(i) + 1;
	__asm__ volatile("");
	return r;
}
__attribute__((noinline)) int yield(int i) { // returns on its own stack after the other task has run
	swapcontext(&task[now], &scheduler);
	__asm__ volatile("");
	return i + 1;
}
__attribute__((noinline)) int step(int i) {
	int r = yield(i) + yield(i);
	__asm__ volatile("");
	return r;
}
static void body(void) {
	for (int i = 0; i < n; i++) sum += step(i);
}
int main(int argc, char **argv) {
	n = argc > 1 ? atoi(argv[1]) : 100;
	for (volatile int i = 0; i < n; i++)
		if (setjmp(back) == 0) sum += across(i);
	for (int i = 0; i < 2; i++) {
		getcontext(&task[i]);
		task[i].uc_stack.ss_sp = stack[i];
		task[i].uc_stack.ss_size = sizeof stack[i];
		task[i].uc_link = &scheduler;
		makecontext(&task[i], body, 0);
	}
	for (; turns < 2 * (2 * n + 1); turns++) {
		now = turns % 2;
		swapcontext(&scheduler, &task[now]);
	}
	for (int i = 0; i < n; i++) sum -= 4 * (i + 1) + (i % 2 ? 0 : i + 1);
	return sum != 0;
}
