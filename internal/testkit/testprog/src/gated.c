// A static probe behind a semaphore: it exits with the number of times that it was up.
__attribute__((section(".probes"), used)) volatile unsigned short gate;
int main(void) {
	int n = 0;
	for (int i = 0; i < 100; i++)
		if (gate) {
			n++;
			__asm__ volatile("990: nop\n.pushsection .note.stapsdt,\"\",\"note\"\n.balign 4\n.4byte 992f-991f, 994f-993f, 3\n"
				"991: .asciz \"stapsdt\"\n992: .balign 4\n993: .8byte 990b\n.8byte 0\n.8byte gate\n"
				".asciz \"test\"\n.asciz \"gated\"\n.asciz \"\"\n994: .balign 4\n.popsection\n");
		}
	return n;
}
