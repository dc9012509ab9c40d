// Functions that exceptions leave: every third call of leaf throws, through middle, to outer. It fails unless all are caught, and
// all destructors run.
#include <cstdlib>
#include <stdexcept>
struct Guard {
	int *n;
	~Guard() { ++*n; }
};
int destroyed, caught;
__attribute__((noinline)) int leaf(int n) {
	if (n % 3 == 0) throw std::runtime_error("three");
	return n + 1;
}
__attribute__((noinline)) int middle(int n) {
	Guard g{&destroyed};
	return leaf(n) + 1;
}
__attribute__((noinline)) int outer(int n) {
	try {
		return middle(n);
	} catch (const std::exception &) {
		caught++;
		return -1;
	}
}
__attribute__((noinline)) int tail(int n) { return leaf(n); }
__attribute__((noinline)) int choose(int n) { // a jump table
	switch (n % 8) {
	case 0: return leaf(n + 1) & 7;
	case 1: return n * 3;
	case 2: return n ^ 5;
	case 3: return n / 7;
	case 4: return n << 2;
	case 5: return n - 9;
	case 6: return n | 64;
	}
	return n;
}
static int (*volatile table[])(int) = {leaf, middle};
__attribute__((noinline)) int pointer(int n) { return table[n & 1](n); }
int main(int argc, char **argv) {
	int n = argc > 1 ? atoi(argv[1]) : 300;
	volatile long sum = 0;
	for (int i = 0; i < n; i++) sum = sum + outer(i);
	for (int i = 0; i < n; i++)
		if (i % 3) sum = sum + tail(i) + pointer(i);
	for (int i = 0; i < n; i++)
		if (i % 3 != 2) sum = sum + choose(i);
	return caught != n / 3 || destroyed != n + n / 3;
}
