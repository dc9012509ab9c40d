#include "textflag.h"

// func int80(number, arg1, arg2, arg3 uintptr) uintptr
TEXT ·int80(SB), NOSPLIT, $0-40
	MOVQ number+0(FP), AX
	MOVQ arg1+8(FP), BX
	MOVQ arg2+16(FP), CX
	MOVQ arg3+24(FP), DX
	INT  $0x80
	MOVQ AX, ret+32(FP)
	RET
