/* Wine 8 lacks this library, without which no Go program starts: its one function that Go needs. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *out, SIZE_T n) { return RtlGenRandom(out, (ULONG)n); }
