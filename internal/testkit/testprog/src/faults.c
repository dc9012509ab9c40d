// faults CPU N, or -1 for any CPU: N page faults from a process that is called "faulting" just for them.
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
static void touch(char *p, int n) {
	prctl(PR_SET_NAME, n > 1 ? "faulting" : "ready");
	for (int i = 0; i < n; i++) *(volatile char *)(p + i * 4096) = 1;
	prctl(PR_SET_NAME, "done");
}
int main(int argc, char **argv) {
	int cpu = atoi(argv[1]), n = atoi(argv[2]);
	cpu_set_t set;
	CPU_ZERO(&set);
	if (cpu >= 0) {
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof set, &set)) return 1;
	}
	char *p = mmap(0, (n + 1) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || madvise(p, (n + 1) * 4096, MADV_NOHUGEPAGE)) return 1;
	touch(p + n * 4096, 1); // so that the code is there
	touch(p, n);
	return 0;
}
