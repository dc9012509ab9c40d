// A variable that is written 500 times.
long watched = 7, beside = 7; // in .bss the kernel would write too, when it clears that
int main() {
	for (int i = 0; i < 500; i++) { *(volatile long *)&watched = i; *(volatile long *)&beside = i; }
	return *(volatile long *)&watched == 0;
}
