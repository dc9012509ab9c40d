/* Allocates memory by each function of libc, frees a part of it, and fails to allocate some. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void *kept[64];
static int n;

static void keep(void *p) { kept[n++] = p; }

static void check(int ok)
{
	if (!ok)
		_exit(1);
}

void use_malloc(void)
{
	for (int i = 0; i < 10; i++) {
		void *p = malloc(1000);
		if (i < 6)
			keep(p);
		else
			free(p);
	}
}

void use_calloc(void)
{
	for (int i = 0; i < 5; i++) {
		void *p = calloc(10, 30);
		if (i < 3)
			keep(p);
		else
			free(p);
	}
}

void use_realloc(void)
{
	for (int i = 0; i < 4; i++) {
		void *p = realloc(malloc(100), 5000);
		if (i < 2)
			keep(p);
		else
			free(p);
	}
	keep(realloc(NULL, 80));
}

void fail_realloc(void)
{
	void *p = malloc(70);
	check(realloc(p, SIZE_MAX / 4) == NULL);
	keep(p);
}

void use_memalign(void)
{
	for (int i = 0; i < 5; i++) {
		void *p;
		check(posix_memalign(&p, 64, 256) == 0);
		if (i < 2)
			keep(p);
		else
			free(p);
	}
	keep(aligned_alloc(64, 512));
	keep(memalign(64, 1024));
}

void fail(void)
{
	void *p = &n;
	for (int i = 0; i < 7; i++)
		check(malloc(SIZE_MAX / 4) == NULL);
	check(calloc(SIZE_MAX / 8, 4) == NULL);
	check(posix_memalign(&p, 3, 256) != 0);
}

void map(void)
{
	for (int i = 0; i < 5; i++) {
		void *p = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (i < 3)
			keep(p);
		else
			munmap(p, 3 * 4096);
	}
	munmap(kept[n - 1], 4096);
	check(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
}

int main(int argc, char **argv)
{
	char c;
	if (argc > 1)
		check(read(0, &c, 1) == 1);
	use_malloc();
	use_calloc();
	use_realloc();
	fail_realloc();
	use_memalign();
	fail();
	map();
	usleep(300000); /* the names of its functions are read while it lives */
	return 0;
}
