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
// instructions that the kernel does not step over, at the start of a function or everywhere
__asm__(".globl vector\n.type vector,@function\nvector: vmovd %edi,%xmm0\nmov $1,%eax\nret\n.size vector,.-vector\n");
__asm__(".globl locked\n.type locked,@function\nlocked: lock incl (%rdi)\nlock decl (%rdi)\nret\n.size locked,.-locked\n");
// functions that do not return by themselves
__asm__(".globl tail\n.type tail,@function\ntail: inc %edi\njmp compute_sum\n.size tail,.-tail\n");
__asm__(".globl pointed\n.type pointed,@function\npointed: jmp *%rdi\n.size pointed,.-pointed\n");
__asm__(".globl endless\n.type endless,@function\nendless: nop\njmp endless\n.size endless,.-endless\n");
#endif
int main(int argc, char **argv) { return compute_sum(argc, 1) + compute_max(argc, 2) + chosen() + strtol(argv[0], 0, 10); }
