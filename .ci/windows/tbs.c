/* A stand-in for the TPM Base Services of Windows: it takes commands to a swtpm over TCP and serves the event log from a
 * file. The environment says what it does:
 *   VTPMCTL_TEST_TBS_PORT   the swtpm's port on the loopback interface
 *   VTPMCTL_TEST_TBS_LOG    the file of the event log
 *   VTPMCTL_TEST_TBS_BLOCK  a command code in hex that is refused as Windows refuses those its policy blocks
 *   VTPMCTL_TEST_TBS_ERROR  a result in hex that every call gives
 */
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>

/* Those that the compiler's winerror.h lacks. */
#define TBS_E_INVALID_CONTEXT 0x80284004
#define TBS_E_NO_EVENT_LOG 0x80284011
#define TPM_E_COMMAND_BLOCKED 0x80280400

#define API __declspec(dllexport) UINT32 WINAPI

typedef struct { SOCKET socket; } context;
typedef struct { UINT32 structVersion, tpmVersion, tpmInterfaceType, tpmImpRevision; } device_info;

static UINT32 word(const BYTE *p) { return (UINT32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

/* number reads a hexadecimal number from the environment; 0 without one. */
static UINT32 number(const char *name) {
	char text[32];
	DWORD n = GetEnvironmentVariableA(name, text, sizeof text);
	return n > 0 && n < sizeof text ? strtoul(text, NULL, 16) : 0;
}

static int transfer(SOCKET s, char *p, int n, int sends) {
	while (n > 0) {
		int done = sends ? send(s, p, n, 0) : recv(s, p, n, 0);
		if (done <= 0) return 0;
		p += done, n -= done;
	}
	return 1;
}

API Tbsi_Context_Create(const UINT32 *params, context **out) {
	char port[16];
	WSADATA wsa;
	struct sockaddr_in addr = {0};
	context *c;
	if (number("VTPMCTL_TEST_TBS_ERROR")) return number("VTPMCTL_TEST_TBS_ERROR");
	if (!params || !out || params[0] < 1 || params[0] > 2) return TBS_E_BAD_PARAMETER;
	if (!GetEnvironmentVariableA("VTPMCTL_TEST_TBS_PORT", port, sizeof port)) return TBS_E_TPM_NOT_FOUND;
	if (WSAStartup(MAKEWORD(2, 2), &wsa) || !(c = malloc(sizeof *c))) return TBS_E_IOERROR;
	addr.sin_family = AF_INET;
	addr.sin_port = htons(atoi(port));
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->socket = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(c->socket, (struct sockaddr *)&addr, sizeof addr)) {
		closesocket(c->socket);
		free(c);
		return TBS_E_TPM_NOT_FOUND;
	}
	*out = c;
	return TBS_SUCCESS;
}

API Tbsip_Context_Close(context *c) {
	if (!c) return TBS_E_INVALID_CONTEXT;
	closesocket(c->socket);
	free(c);
	return TBS_SUCCESS;
}

API Tbsip_Submit_Command(context *c, UINT32 locality, UINT32 priority, const BYTE *cmd, UINT32 n, BYTE *out, UINT32 *room) {
	BYTE head[10];
	UINT32 size;
	if (number("VTPMCTL_TEST_TBS_ERROR")) return number("VTPMCTL_TEST_TBS_ERROR");
	if (!c) return TBS_E_INVALID_CONTEXT;
	if (!cmd || n < 10 || !out || !room || locality != 0 || priority < 100 || priority > 400) return TBS_E_BAD_PARAMETER;
	if (number("VTPMCTL_TEST_TBS_BLOCK") && word(cmd + 6) == number("VTPMCTL_TEST_TBS_BLOCK")) return TPM_E_COMMAND_BLOCKED;
	if (!transfer(c->socket, (char *)cmd, n, 1) || !transfer(c->socket, (char *)head, sizeof head, 0)) return TBS_E_IOERROR;
	size = word(head + 2);
	if (size < sizeof head || size > 4096) return TBS_E_IOERROR;
	if (size > *room) return *room = size, TBS_E_INSUFFICIENT_BUFFER;
	memcpy(out, head, sizeof head);
	if (!transfer(c->socket, (char *)out + sizeof head, size - sizeof head, 0)) return TBS_E_IOERROR;
	*room = size;
	return TBS_SUCCESS;
}

API Tbsip_Cancel_Commands(context *c) { return c ? TBS_SUCCESS : TBS_E_INVALID_CONTEXT; }

API Tbsi_GetDeviceInfo(UINT32 size, device_info *info) {
	char port[16];
	if (number("VTPMCTL_TEST_TBS_ERROR")) return number("VTPMCTL_TEST_TBS_ERROR");
	if (size < sizeof *info || !info) return TBS_E_BAD_PARAMETER;
	if (!GetEnvironmentVariableA("VTPMCTL_TEST_TBS_PORT", port, sizeof port)) return TBS_E_TPM_NOT_FOUND;
	info->structVersion = 1, info->tpmVersion = 2, info->tpmInterfaceType = 3, info->tpmImpRevision = 0;
	return TBS_SUCCESS;
}

/* log_file copies the event log; without a buffer, or with one too small, it tells the size. */
static UINT32 log_file(BYTE *out, UINT32 *room) {
	char path[MAX_PATH];
	HANDLE file;
	DWORD size, got;
	if (number("VTPMCTL_TEST_TBS_ERROR")) return number("VTPMCTL_TEST_TBS_ERROR");
	if (!room) return TBS_E_BAD_PARAMETER;
	if (!GetEnvironmentVariableA("VTPMCTL_TEST_TBS_LOG", path, sizeof path)) return TBS_E_NO_EVENT_LOG;
	file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
	if (file == INVALID_HANDLE_VALUE) return TBS_E_NO_EVENT_LOG;
	size = GetFileSize(file, NULL);
	if (!out || *room < size) {
		CloseHandle(file);
		*room = size;
		return out ? TBS_E_INSUFFICIENT_BUFFER : TBS_SUCCESS;
	}
	*room = size;
	got = 0;
	ReadFile(file, out, size, &got, NULL);
	CloseHandle(file);
	return got == size ? TBS_SUCCESS : TBS_E_IOERROR;
}

API Tbsi_Get_TCG_Log(context *c, BYTE *out, UINT32 *room) { return c ? log_file(out, room) : TBS_E_INVALID_CONTEXT; }

/* Type 0 is the log of this boot; there are no others here. */
API Tbsi_Get_TCG_Log_Ex(UINT32 type, BYTE *out, UINT32 *room) {
	return type == 0 ? log_file(out, room) : TBS_E_NO_EVENT_LOG;
}
