// A thread that is there when it says so, and three that it starts when it is told to.
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
static int wake[2];
__attribute__((noinline)) void work(int i) { __asm__ volatile(""); }
static void *thread(void *early) {
	char c;
	if (early && read(wake[0], &c, 1) != 1) return 0;
	char *p = mmap(0, 200 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(p, 200 * 4096, MADV_NOHUGEPAGE);
	for (int i = 0; i < 1000; i++) {
		if (i < 200) p[i * 4096] = 1;
		work(i);
	}
	return 0;
}
int main() {
	pthread_t t[4];
	char c;
	pipe(wake);
	pthread_create(&t[0], 0, thread, "early");
	puts("ready");
	fflush(stdout);
	if (read(0, &c, 1) != 1) return 1;
	write(wake[1], "x", 1);
	for (int i = 1; i < 4; i++) pthread_create(&t[i], 0, thread, 0);
	for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
	return 0;
}
