/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes system calls fail, or kills the process at one. Loaded with LD_PRELOAD:
 *
 *     cc -shared -fPIC -o faults.so tests/lib/faults.c
 *     HALLMARK_FAULTS='fdatasync:spool/:EIO:once' LD_PRELOAD=./faults.so hallmarkd …
 *
 * or included by a unit test before all else, which sets its rules with faults_set(). Rules are separated by
 * blanks, each
 *
 *     CALL:SUBSTRING:ACTION[:WHEN]
 *
 * CALL       pread pwrite write fsync fdatasync fallocate posix_fallocate ftruncate rename openat unlinkat mkdir, or
 *            * for all of them except pread (rename: also renameat and renameat2; openat: also open; unlinkat: also
 *            unlink)
 * SUBSTRING  of the path, for calls on a descriptor of what /proc/self/fd says; empty: all
 * ACTION     ENOSPC EIO EROFS EDQUOT EINTR EOPNOTSUPP: fails with it
 *            kill: SIGKILL before the call; killafter: after it; half: writes half of it, then SIGKILL
 *            short: writes half of it, and says so
 *            fail-after: does it, and fails with EIO all the same
 *            pause=MS: waits before the call
 * WHEN       always (the default), once, a number N (the N-th matching call), N+ (that and all that follow)
 *
 * HALLMARK_FAULTS_FILE names a file with the rules instead, read again whenever it changes: for making a running
 * program's disk fail and work again. HALLMARK_FAULTS_HIT names one that is made when a rule was followed.
 * HALLMARK_CLOCK_FILE names one that holds by how many seconds the wall clock is set wrong, read again whenever it changes.
 * What is done to files is written down where disk-log.h is asked for it.
 */
#undef _FORTIFY_SOURCE /* its inline pread() and open() would collide with ours */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/disk-log.h"

#define FAULTS_RULES_MAX 16

enum faults_action { FAULTS_NONE, FAULTS_ERRNO, FAULTS_KILL, FAULTS_KILL_AFTER, FAULTS_HALF, FAULTS_SHORT,
		     FAULTS_FAIL_AFTER, FAULTS_PAUSE };

struct faults_rule {
	char call[24], path[128];
	enum faults_action action;
	int value;                /* errno or milliseconds */
	unsigned long from, to;   /* of the matching calls, counted from 1 */
	unsigned long seen;
};

static struct faults_rule faults_rules[FAULTS_RULES_MAX];
static unsigned faults_n_rules;
static bool faults_ready;
static struct timespec faults_changed;

static const struct { const char *name; int value; } faults_errnos[] = {
	{ "ENOSPC", ENOSPC }, { "EIO", EIO }, { "EROFS", EROFS }, { "EDQUOT", EDQUOT }, { "EINTR", EINTR },
	{ "EOPNOTSUPP", EOPNOTSUPP },
};

static const struct { const char *name; enum faults_action action; } faults_actions[] = {
	{ "kill", FAULTS_KILL }, { "killafter", FAULTS_KILL_AFTER }, { "half", FAULTS_HALF },
	{ "short", FAULTS_SHORT }, { "fail-after", FAULTS_FAIL_AFTER },
};

static void faults_die(const char *what)
{
	(void)fprintf(stderr, "faults: %s\n", what);
	abort();
}

static void faults_parse_action(struct faults_rule *rule, const char *action)
{
	for (size_t i = 0; i < sizeof faults_errnos / sizeof *faults_errnos; i++)
		if (strcmp(action, faults_errnos[i].name) == 0) {
			rule->action = FAULTS_ERRNO;
			rule->value = faults_errnos[i].value;
		}
	for (size_t i = 0; i < sizeof faults_actions / sizeof *faults_actions; i++)
		if (strcmp(action, faults_actions[i].name) == 0)
			rule->action = faults_actions[i].action;
	if (strncmp(action, "pause=", 6) == 0) {
		rule->action = FAULTS_PAUSE;
		rule->value = atoi(action + 6);
	}
	if (rule->action == FAULTS_NONE)
		faults_die("no such action");
}

static void faults_parse(struct faults_rule *rule, char *text)
{
	char *call = strsep(&text, ":"), *path = strsep(&text, ":"), *action = strsep(&text, ":"), *when = text;

	if (!path || !action || strlen(call) >= sizeof rule->call || strlen(path) >= sizeof rule->path)
		faults_die("a rule is CALL:SUBSTRING:ACTION[:WHEN]");
	*rule = (struct faults_rule){ .from = 1, .to = ULONG_MAX };
	strcpy(rule->call, call);
	strcpy(rule->path, path);
	faults_parse_action(rule, action);
	if (!when || strcmp(when, "always") == 0)
		return;
	if (strcmp(when, "once") == 0) {
		rule->to = 1;
		return;
	}
	rule->from = strtoul(when, &when, 10);
	if (*when != '+')
		rule->to = rule->from;
}

/* Replaces all rules; NULL or "": none. */
__attribute__((unused)) static void faults_set(const char *rules)
{
	char text[1024], *rest = text, *one;

	faults_ready = true;
	faults_n_rules = 0;
	if (!rules || strlen(rules) >= sizeof text)
		return;
	strcpy(text, rules);
	while ((one = strsep(&rest, " \n")))
		if (*one && faults_n_rules < FAULTS_RULES_MAX)
			faults_parse(&faults_rules[faults_n_rules++], one);
}

/* How often the first rule's call was seen. */
__attribute__((unused)) static unsigned long faults_seen(void)
{
	return faults_rules[0].seen;
}

static void faults_load(void)
{
	const char *file = getenv("HALLMARK_FAULTS_FILE");
	struct stat st;
	char text[1024];
	ssize_t n;
	int fd;

	if (!file) {
		if (!faults_ready)
			faults_set(getenv("HALLMARK_FAULTS"));
		return;
	}
	if (stat(file, &st) < 0 || memcmp(&st.st_mtim, &faults_changed, sizeof faults_changed) == 0)
		return;
	faults_changed = st.st_mtim;
	fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	(void)close(fd);
	text[n < 0 ? 0 : n] = '\0';
	faults_set(text);
}

static const struct faults_rule *faults_match(const char *call, const char *path)
{
	const struct faults_rule *hit = NULL;

	for (unsigned i = 0; i < faults_n_rules; i++) {
		struct faults_rule *rule = &faults_rules[i];
		bool all = strcmp(rule->call, "*") == 0 && strcmp(call, "pread") != 0;

		if ((!all && strcmp(rule->call, call) != 0) || !strstr(path, rule->path))
			continue;
		rule->seen++;
		if (rule->seen >= rule->from && rule->seen <= rule->to && !hit)
			hit = rule;
	}
	return hit;
}

static void faults_hit(void)
{
	const char *path = getenv("HALLMARK_FAULTS_HIT");

	if (path)
		(void)close((int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void faults_kill(void)
{
	(void)kill(getpid(), SIGKILL);
	_exit(137);
}

/* What to do with this call: FAULTS_NONE: let it pass. With FAULTS_ERRNO errno is set. */
static enum faults_action faults_begin(const char *call, int fd, const char *path)
{
	char link[32], target[PATH_MAX];
	const struct faults_rule *rule;
	int saved = errno;
	ssize_t n;

	faults_load();
	if (faults_n_rules == 0) {
		errno = saved;
		return FAULTS_NONE;
	}
	target[0] = '\0';
	if (fd >= 0) {
		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = '\0';
	}
	if (path) {
		size_t len = *path == '/' ? 0 : strlen(target);

		(void)snprintf(target + len, sizeof target - len, "/%s", path);
	}
	rule = faults_match(call, target);
	errno = saved;
	if (!rule)
		return FAULTS_NONE;
	faults_hit();
	if (rule->action == FAULTS_KILL)
		faults_kill();
	if (rule->action == FAULTS_ERRNO)
		errno = rule->value;
	if (rule->action == FAULTS_PAUSE) {
		struct timespec t = { rule->value / 1000, rule->value % 1000 * 1000000L };

		(void)nanosleep(&t, NULL);
		return FAULTS_NONE;
	}
	return rule->action;
}

/* After the call itself. */
static long faults_end(enum faults_action action, long result)
{
	if (action == FAULTS_KILL_AFTER || action == FAULTS_HALF)
		faults_kill();
	if (action == FAULTS_FAIL_AFTER) {
		errno = EIO;
		return -1;
	}
	return result;
}

/* The length that a write is to have. */
static size_t faults_length(enum faults_action action, size_t len)
{
	return (action == FAULTS_HALF || action == FAULTS_SHORT) && len > 1 ? len / 2 : len;
}

static void *faults_real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		faults_die(name);
	return f;
}

/* The body of a wrapper: `call_` is the real call, in which `real` is the function; `log_` is done if it was done. */
#define FAULTS_BODY(name_, call, fd_, path_, call_, log_)               \
	{                                                               \
		static typeof(name_) *real;                             \
		enum faults_action action = faults_begin(call, fd_, path_); \
		long result;                                            \
		if (action == FAULTS_ERRNO)                             \
			return -1;                                      \
		if (!real)                                              \
			real = (typeof(name_) *)faults_real(#name_);    \
		result = call_;                                         \
		if (result >= 0)                                        \
			log_;                                           \
		return (typeof(call_))faults_end(action, result);       \
	}
#define FAULTS_NO_LOG (void)0

/* Of a sync it is told also that it failed. */
#define FAULTS_SYNC(name_)                                              \
	{                                                               \
		static typeof(name_) *real;                             \
		enum faults_action action = faults_begin(#name_, fd, NULL); \
		int result = -1;                                        \
		if (!real)                                              \
			real = (typeof(name_) *)faults_real(#name_);    \
		if (action != FAULTS_ERRNO)                             \
			result = (int)faults_end(action, real(fd));     \
		disk_sync(fd, result == 0);                             \
		return result;                                          \
	}

ssize_t pread(int fd, void *data, size_t len, off_t offset)
FAULTS_BODY(pread, "pread", fd, NULL, real(fd, data, faults_length(action, len), offset), FAULTS_NO_LOG)
ssize_t pread64(int fd, void *data, size_t len, off64_t offset)
FAULTS_BODY(pread64, "pread", fd, NULL, real(fd, data, faults_length(action, len), offset), FAULTS_NO_LOG)
ssize_t __pread_chk(int fd, void *data, size_t len, off_t offset, size_t size);
ssize_t __pread_chk(int fd, void *data, size_t len, off_t offset, size_t size)
FAULTS_BODY(__pread_chk, "pread", fd, NULL, real(fd, data, faults_length(action, len), offset, size), FAULTS_NO_LOG)
ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
FAULTS_BODY(pwrite, "pwrite", fd, NULL, real(fd, data, faults_length(action, len), offset),
	    disk_change('w', fd, data, result, offset))
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
FAULTS_BODY(pwrite64, "pwrite", fd, NULL, real(fd, data, faults_length(action, len), offset),
	    disk_change('w', fd, data, result, offset))
ssize_t write(int fd, const void *data, size_t len)
FAULTS_BODY(write, "write", fd, NULL, real(fd, data, faults_length(action, len)), disk_append(fd, data, result))
int fsync(int fd) FAULTS_SYNC(fsync)
int fdatasync(int fd) FAULTS_SYNC(fdatasync)
int fallocate(int fd, int mode, off_t offset, off_t len)
FAULTS_BODY(fallocate, "fallocate", fd, NULL, real(fd, mode, offset, len),
	    disk_change('a', fd, NULL, 0, offset + len))
int fallocate64(int fd, int mode, off64_t offset, off64_t len)
FAULTS_BODY(fallocate64, "fallocate", fd, NULL, real(fd, mode, offset, len),
	    disk_change('a', fd, NULL, 0, offset + len))
int ftruncate(int fd, off_t len) FAULTS_BODY(ftruncate, "ftruncate", fd, NULL, real(fd, len),
	    disk_change('t', fd, NULL, 0, len))
int ftruncate64(int fd, off64_t len) FAULTS_BODY(ftruncate64, "ftruncate", fd, NULL, real(fd, len),
	    disk_change('t', fd, NULL, 0, len))
int rename(const char *from, const char *to) FAULTS_BODY(rename, "rename", -1, to, real(from, to),
	    disk_rename(AT_FDCWD, from, AT_FDCWD, to))
int renameat(int from_fd, const char *from, int to_fd, const char *to)
FAULTS_BODY(renameat, "rename", to_fd, to, real(from_fd, from, to_fd, to),
	    disk_rename(from_fd, from, to_fd, to))
int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
FAULTS_BODY(renameat2, "rename", to_fd, to, real(from_fd, from, to_fd, to, flags),
	    disk_rename(from_fd, from, to_fd, to))
int unlinkat(int fd, const char *path, int flags) FAULTS_BODY(unlinkat, "unlinkat", fd, path, real(fd, path, flags),
	    disk_name('u', fd, path))
int mkdir(const char *path, mode_t mode)
FAULTS_BODY(mkdir, "mkdir", -1, path, real(path, mode), disk_name('d', AT_FDCWD, path))
int mkdirat(int fd, const char *path, mode_t mode)
FAULTS_BODY(mkdirat, "mkdir", fd, path, real(fd, path, mode), disk_name('d', fd, path))
int unlink(const char *path) FAULTS_BODY(unlink, "unlinkat", -1, path, real(path),
	    disk_name('u', AT_FDCWD, path))

/* posix_fallocate(3) returns the error. */
static int faults_posix_fallocate(const char *name, int fd, off_t offset, off_t len)
{
	enum faults_action action = faults_begin("posix_fallocate", fd, NULL);

	if (action == FAULTS_ERRNO)
		return errno;
	return (int)faults_end(action, ((int (*)(int, off_t, off_t))faults_real(name))(fd, offset, len));
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	return faults_posix_fallocate("posix_fallocate", fd, offset, len);
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	return faults_posix_fallocate("posix_fallocate64", fd, offset, len);
}

static mode_t faults_mode(int flags, va_list ap)
{
	return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(ap, mode_t) : 0;
}

#define FAULTS_OPEN(name_, fd_, declaration, call_)                       \
	int name_ declaration                                             \
	{                                                                 \
		static typeof(name_) *real;                               \
		enum faults_action action = faults_begin("openat", fd_, path); \
		bool made = (flags & O_CREAT) && !disk_has(fd_, path);    \
		mode_t mode;                                              \
		va_list ap;                                               \
		long result;                                              \
		va_start(ap, flags);                                      \
		mode = faults_mode(flags, ap);                            \
		va_end(ap);                                               \
		if (action == FAULTS_ERRNO)                               \
			return -1;                                        \
		if (!real)                                                \
			real = (typeof(name_) *)faults_real(#name_);      \
		result = call_;                                           \
		if (result >= 0 && made)                                  \
			disk_name('c', fd_, path);                        \
		return (int)faults_end(action, result);                   \
	}

FAULTS_OPEN(openat, fd, (int fd, const char *path, int flags, ...), real(fd, path, flags, mode))
FAULTS_OPEN(openat64, fd, (int fd, const char *path, int flags, ...), real(fd, path, flags, mode))
FAULTS_OPEN(open, AT_FDCWD, (const char *path, int flags, ...), real(path, flags, mode))
FAULTS_OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), real(path, flags, mode))

/* Read anew whenever the file has changed. */
static long faults_clock_seconds(const char *path)
{
	static struct timespec changed;
	static long seconds;
	struct stat st;
	char text[32];
	ssize_t n;
	int fd;

	if (stat(path, &st) < 0 || memcmp(&st.st_mtim, &changed, sizeof changed) == 0)
		return seconds;
	changed = st.st_mtim;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	(void)close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return seconds = strtol(text, NULL, 10);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	const char *path = id == CLOCK_REALTIME ? getenv("HALLMARK_CLOCK_FILE") : NULL;
	int r = (int)syscall(SYS_clock_gettime, id, ret), saved = errno;

	if (r == 0 && path)
		ret->tv_sec += faults_clock_seconds(path);
	errno = saved;
	return r;
}
