/*
 * A PKCS#11 module for tests: it passes every call on to SoftHSM, except where the
 * file named by YCD_FAULT_RULES says otherwise, and writes every signature that was
 * made to the file named by YCD_FAULT_LOG, and every call that hangs to the one
 * named by YCD_FAULT_HANGS.
 *
 * The rules are read anew before each call, so that a test can switch faults while
 * the module is in use. One rule a line, the first that applies counts:
 *
 *   FUNCTION ACTION [ARGUMENT] [skip=N] [times=N]
 *
 *   error CODE  answer with the code instead of calling
 *   lose CODE   call, and answer with the code all the same
 *   delay MS    wait, then call
 *   hang        wait until the rules change, then call
 *   drop        close the session behind the caller's back, then call
 *
 * skip lets that many calls pass first; times ends the rule after so many.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pkcs11go.h"

enum action { PASS, ERROR, LOSE, DELAY, HANG, DROP };

struct rule {
	char function[40];
	enum action action;
	unsigned long argument;
	long skip, times;    /* times < 0: for ever */
	unsigned generation; /* of the rules that it is one of */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CK_FUNCTION_LIST ours;
static CK_FUNCTION_LIST_PTR real;

static char text[4096]; /* the rules as last read */
static struct rule rules[32];
static int count;
static unsigned generation; /* how often the rules have changed */

static const struct { const char *name; enum action action; } actions[] = {
	{"error", ERROR}, {"lose", LOSE}, {"delay", DELAY}, {"hang", HANG}, {"drop", DROP},
};

/* parse reads one rule; what it does not understand ends the process, because a
 * fault that silently does not happen would make a test pass. */
static void parse(char *line) {
	struct rule r = {.times = -1};
	char *save, *word = strtok_r(line, " ", &save);
	if (!word) return;
	snprintf(r.function, sizeof r.function, "%s", word);
	while ((word = strtok_r(NULL, " ", &save))) {
		size_t i;
		for (i = 0; i < sizeof actions / sizeof *actions; i++) {
			if (!strcmp(word, actions[i].name)) { r.action = actions[i].action; break; }
		}
		if (i < sizeof actions / sizeof *actions) continue;
		if (!strncmp(word, "skip=", 5)) r.skip = atol(word + 5);
		else if (!strncmp(word, "times=", 6)) r.times = atol(word + 6);
		else {
			char *end;
			r.argument = strtoul(word, &end, 0);
			if (*end) { fprintf(stderr, "fault module: bad rule word %s\n", word); abort(); }
		}
	}
	if (r.action == PASS || count == sizeof rules / sizeof *rules) { fprintf(stderr, "fault module: bad rule for %s\n", r.function); abort(); }
	rules[count++] = r;
}

/* reread takes the rules over when the file has changed; the caller holds lock. */
static void reread(void) {
	char now[sizeof text] = "", *save, *line;
	const char *path = getenv("YCD_FAULT_RULES");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		ssize_t n = read(fd, now, sizeof now - 1);
		now[n > 0 ? n : 0] = 0;
		close(fd);
	}
	if (!strcmp(now, text)) return;
	strcpy(text, now);
	generation++;
	count = 0;
	for (line = strtok_r(now, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) parse(line);
}

/* decide returns the rule that applies to this call of function. */
static struct rule decide(const char *function) {
	struct rule out = {.action = PASS};
	pthread_mutex_lock(&lock);
	reread();
	for (int i = 0; i < count; i++) {
		struct rule *r = &rules[i];
		if (strcmp(r->function, function)) continue;
		if (r->skip > 0) { r->skip--; continue; }
		if (r->times == 0) continue;
		if (r->times > 0) r->times--;
		out = *r;
		break;
	}
	out.generation = generation;
	pthread_mutex_unlock(&lock);
	return out;
}

static void nap(long ms) {
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

/* append writes to the file that a variable names, if it names one. */
static void append(const char *variable, const char *line, size_t n) {
	const char *path = getenv(variable);
	if (!path) return;
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, n) != (ssize_t)n) { perror("fault module: log"); abort(); }
	close(fd);
}

static void hang(struct rule r) {
	char line[64];
	append("YCD_FAULT_HANGS", line, (size_t)snprintf(line, sizeof line, "%s\n", r.function));
	for (int changed = 0; !changed; ) {
		nap(2);
		pthread_mutex_lock(&lock);
		reread();
		changed = generation != r.generation;
		pthread_mutex_unlock(&lock);
	}
}

/* before does what the rule says before the call; it returns whether to call. */
static int before(struct rule r, CK_ULONG session) {
	switch (r.action) {
	case ERROR: return 0;
	case DELAY: nap((long)r.argument); return 1;
	case HANG: hang(r); return 1;
	case DROP: real->C_CloseSession(session); return 1;
	default: return 1;
	}
}

#define CALL(name, first, ...) \
	struct rule r = decide(#name); \
	if (!before(r, (CK_ULONG)(first))) return r.argument; \
	CK_RV rv = real->name(__VA_ARGS__);
#define ANSWER return r.action == LOSE ? r.argument : rv;

/* record writes down a signature: the token's label and what was signed, in hex. */
static void record(CK_SESSION_HANDLE s, const unsigned char *data, CK_ULONG n) {
	CK_SESSION_INFO session;
	CK_TOKEN_INFO token;
	char line[1024], *p = line;
	memset(&token, ' ', sizeof token);
	if (real->C_GetSessionInfo(s, &session) == CKR_OK) real->C_GetTokenInfo(session.slotID, &token);
	int label = 32;
	while (label > 0 && token.label[label - 1] == ' ') label--;
	p += sprintf(p, "%.*s ", label, (const char *)token.label);
	for (CK_ULONG i = 0; i < n && p < line + sizeof line - 4; i++) p += sprintf(p, "%02x", data[i]);
	*p++ = '\n';
	append("YCD_FAULT_LOG", line, (size_t)(p - line));
}

static CK_RV f_Sign(CK_SESSION_HANDLE s, CK_BYTE_PTR data, CK_ULONG n, CK_BYTE_PTR sig, CK_ULONG_PTR len) {
	CALL(C_Sign, s, s, data, n, sig, len)
	if (rv == CKR_OK && sig) record(s, data, n);
	ANSWER
}
static CK_RV f_Initialize(CK_VOID_PTR args) { CALL(C_Initialize, 0, args) ANSWER }
static CK_RV f_Finalize(CK_VOID_PTR reserved) { CALL(C_Finalize, 0, reserved) ANSWER }
static CK_RV f_GetSlotList(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR n) { CALL(C_GetSlotList, 0, present, list, n) ANSWER }
static CK_RV f_GetTokenInfo(CK_SLOT_ID id, CK_TOKEN_INFO_PTR info) { CALL(C_GetTokenInfo, 0, id, info) ANSWER }
static CK_RV f_InitToken(CK_SLOT_ID id, CK_UTF8CHAR_PTR pin, CK_ULONG n, CK_UTF8CHAR_PTR label) { CALL(C_InitToken, 0, id, pin, n, label) ANSWER }
static CK_RV f_OpenSession(CK_SLOT_ID id, CK_FLAGS flags, CK_VOID_PTR app, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR s) { CALL(C_OpenSession, 0, id, flags, app, notify, s) ANSWER }
static CK_RV f_CloseSession(CK_SESSION_HANDLE s) { CALL(C_CloseSession, s, s) ANSWER }
static CK_RV f_Login(CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG n) { CALL(C_Login, s, s, user, pin, n) ANSWER }
static CK_RV f_Logout(CK_SESSION_HANDLE s) { CALL(C_Logout, s, s) ANSWER }
static CK_RV f_InitPIN(CK_SESSION_HANDLE s, CK_UTF8CHAR_PTR pin, CK_ULONG n) { CALL(C_InitPIN, s, s, pin, n) ANSWER }
static CK_RV f_SetPIN(CK_SESSION_HANDLE s, CK_UTF8CHAR_PTR old, CK_ULONG n, CK_UTF8CHAR_PTR pin, CK_ULONG m) { CALL(C_SetPIN, s, s, old, n, pin, m) ANSWER }
static CK_RV f_CreateObject(CK_SESSION_HANDLE s, CK_ATTRIBUTE_PTR t, CK_ULONG n, CK_OBJECT_HANDLE_PTR h) { CALL(C_CreateObject, s, s, t, n, h) ANSWER }
static CK_RV f_DestroyObject(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE h) { CALL(C_DestroyObject, s, s, h) ANSWER }
static CK_RV f_GetAttributeValue(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_PTR t, CK_ULONG n) { CALL(C_GetAttributeValue, s, s, h, t, n) ANSWER }
static CK_RV f_FindObjectsInit(CK_SESSION_HANDLE s, CK_ATTRIBUTE_PTR t, CK_ULONG n) { CALL(C_FindObjectsInit, s, s, t, n) ANSWER }
static CK_RV f_FindObjects(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE_PTR h, CK_ULONG max, CK_ULONG_PTR n) { CALL(C_FindObjects, s, s, h, max, n) ANSWER }
static CK_RV f_SignInit(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE h) { CALL(C_SignInit, s, s, m, h) ANSWER }
static CK_RV f_GenerateKeyPair(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_ATTRIBUTE_PTR pub, CK_ULONG n, CK_ATTRIBUTE_PTR priv, CK_ULONG k, CK_OBJECT_HANDLE_PTR hp, CK_OBJECT_HANDLE_PTR hk) {
	CALL(C_GenerateKeyPair, s, s, m, pub, n, priv, k, hp, hk)
	ANSWER
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out) {
	pthread_mutex_lock(&lock);
	if (!real) {
		const char *path = getenv("YCD_FAULT_WRAPS");
		void *lib = dlopen(path ? path : "/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
		CK_C_GetFunctionList get = lib ? (CK_C_GetFunctionList)dlsym(lib, "C_GetFunctionList") : NULL;
		if (!get || get(&real) != CKR_OK) {
			pthread_mutex_unlock(&lock);
			return CKR_GENERAL_ERROR;
		}
		ours = *real;
		ours.C_GetFunctionList = C_GetFunctionList;
		ours.C_Initialize = f_Initialize;
		ours.C_Finalize = f_Finalize;
		ours.C_GetSlotList = f_GetSlotList;
		ours.C_GetTokenInfo = f_GetTokenInfo;
		ours.C_InitToken = f_InitToken;
		ours.C_OpenSession = f_OpenSession;
		ours.C_CloseSession = f_CloseSession;
		ours.C_Login = f_Login;
		ours.C_Logout = f_Logout;
		ours.C_InitPIN = f_InitPIN;
		ours.C_SetPIN = f_SetPIN;
		ours.C_CreateObject = f_CreateObject;
		ours.C_DestroyObject = f_DestroyObject;
		ours.C_GetAttributeValue = f_GetAttributeValue;
		ours.C_FindObjectsInit = f_FindObjectsInit;
		ours.C_FindObjects = f_FindObjects;
		ours.C_SignInit = f_SignInit;
		ours.C_Sign = f_Sign;
		ours.C_GenerateKeyPair = f_GenerateKeyPair;
	}
	pthread_mutex_unlock(&lock);
	*out = &ours;
	return CKR_OK;
}
