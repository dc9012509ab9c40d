// Memory of a program whose contents are known, by its address in arguments, results, registers and system calls.
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>
#define KEEP __attribute__((noinline))
static char text[] = "known-text";
struct iovec total = {text, 42};
KEEP struct iovec *byref(struct iovec *v) { __asm__ volatile("" : "+r"(v) : : "memory"); return v; }
int main(int argc, char **argv) {
	total.iov_len = 42; // the pages are in memory from here on
	text[0] = 'k';
	for (int n = atoi(argv[1]); n > 0; n--) {
		byref(&total);
		write(-1, &total, 7);
	}
	return 0;
}
