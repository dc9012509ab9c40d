// C++ functions with names that are mangled.
namespace ns {
struct Widget {
	__attribute__((noinline)) int draw(int a) { __asm__ volatile(""); return a; }
	__attribute__((noinline)) int draw(const char *s, int n) { __asm__ volatile(""); return n + s[0]; }
	__attribute__((noinline)) int operator[](int a) { __asm__ volatile(""); return a + 1; }
};
}
int main() {
	ns::Widget w;
	volatile int s = 0;
	for (int i = 0; i < 300; i++) { s += w.draw(i); if (i % 3 == 0) s += w.draw("x", i); s += w[i]; }
	return 0;
}
