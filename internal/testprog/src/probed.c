// What users get wrong is tried on this.
#include <stdlib.h>
__attribute__((noinline)) int compute_sum(int a, int b) { __asm__ volatile(""); return a + b; }
__attribute__((noinline)) int compute_max(int a, int b) { __asm__ volatile(""); return a > b ? a : b; }
static int one(void) { return 1; }
static int two(void) { return 2; }
static int (*choose(void))(void) { return getenv("TWO") ? two : one; }
int chosen(void) __attribute__((ifunc("choose")));
int __chosen_fast(void) { return 3; }
#ifdef __x86_64__
__asm__(".globl steps\n.type steps,@function\nsteps: mov $1,%eax\nadd $2,%eax\nret\n.size steps,.-steps\n");
#endif
int main(int argc, char **argv) { return compute_sum(argc, 1) + compute_max(argc, 2) + chosen() + strtol(argv[0], 0, 10); }
