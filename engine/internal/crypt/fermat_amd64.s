#include "textflag.h"

// The two kernels of fermat_amd64.go: eight rows, of which each adds a word times eight words. The carries of the low
// halves of the products run in CF, those of the high halves in OF. The eight words added to stay in registers; a row
// shifts them down by one, so that the next row names them in turn.

#define PRODUCT(off, a, b) \
	MULXQ off(SI), AX, BX; \
	ADCXQ AX, a; \
	ADOXQ BX, b

// ROW adds DX times the words at SI. a0 is then done: it goes to t and becomes the new top word. MOVQ keeps the carries.
#define ROW(at, a0, a1, a2, a3, a4, a5, a6, a7) \
	XORQ  AX, AX; \
	PRODUCT(0, a0, a1); \
	PRODUCT(8, a1, a2); \
	PRODUCT(16, a2, a3); \
	PRODUCT(24, a3, a4); \
	PRODUCT(32, a4, a5); \
	PRODUCT(40, a5, a6); \
	PRODUCT(48, a6, a7); \
	MULXQ 56(SI), AX, BX; \
	ADCXQ AX, a7; \
	MOVQ  a0, at(DI); \
	MOVQ  BX, a0; \
	MOVQ  $0, AX; \
	ADCXQ AX, a0; \
	ADOXQ AX, a0

// TIMES is a row whose multiplier is a word at CX.
#define TIMES(at, a0, a1, a2, a3, a4, a5, a6, a7) \
	MOVQ at(CX), DX; \
	ROW(at, a0, a1, a2, a3, a4, a5, a6, a7)

// ZERO is a row whose multiplier makes a0 zero. It is noted at CX.
#define ZERO(at, a0, a1, a2, a3, a4, a5, a6, a7) \
	MOVQ  a0, DX; \
	IMULQ inverse+16(FP), DX; \
	MOVQ  DX, at(CX); \
	ROW(at, a0, a1, a2, a3, a4, a5, a6, a7)

// ROWS leaves the final carry in AX.
#define ROWS(KIND) \
	MOVQ 0(DI), R8; \
	MOVQ 8(DI), R9; \
	MOVQ 16(DI), R10; \
	MOVQ 24(DI), R11; \
	MOVQ 32(DI), R12; \
	MOVQ 40(DI), R13; \
	MOVQ 48(DI), R14; \
	MOVQ 56(DI), R15; \
	KIND(0, R8, R9, R10, R11, R12, R13, R14, R15); \
	KIND(8, R9, R10, R11, R12, R13, R14, R15, R8); \
	KIND(16, R10, R11, R12, R13, R14, R15, R8, R9); \
	KIND(24, R11, R12, R13, R14, R15, R8, R9, R10); \
	KIND(32, R12, R13, R14, R15, R8, R9, R10, R11); \
	KIND(40, R13, R14, R15, R8, R9, R10, R11, R12); \
	KIND(48, R14, R15, R8, R9, R10, R11, R12, R13); \
	KIND(56, R15, R8, R9, R10, R11, R12, R13, R14); \
	ADDQ R8, 64(DI); \
	ADCQ R9, 72(DI); \
	ADCQ R10, 80(DI); \
	ADCQ R11, 88(DI); \
	ADCQ R12, 96(DI); \
	ADCQ R13, 104(DI); \
	ADCQ R14, 112(DI); \
	ADCQ R15, 120(DI); \
	MOVQ $0, AX; \
	ADCQ $0, AX

// func addProduct(t *[16]uint64, x, y *[8]uint64) (carry uint64)
TEXT ·addProduct(SB), NOSPLIT, $0-32
	MOVQ t+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), CX
	ROWS(TIMES)
	MOVQ AX, carry+24(FP)
	RET

// func cancel(t *[16]uint64, m *[8]uint64, inverse uint64, q *[8]uint64) (carry uint64)
TEXT ·cancel(SB), NOSPLIT, $0-40
	MOVQ t+0(FP), DI
	MOVQ m+8(FP), SI
	MOVQ q+24(FP), CX
	ROWS(ZERO)
	MOVQ AX, carry+32(FP)
	RET
