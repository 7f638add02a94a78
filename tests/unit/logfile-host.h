/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the log file collector share: a host of real files, and an intake that only writes down what
 * it is handed: lines as they are, losses as <reason>, what the collector says of itself as <state>, all in their
 * order. Once in a program.
 */
#ifndef HALLMARK_TESTS_UNIT_LOGFILE_HOST_H
#define HALLMARK_TESTS_UNIT_LOGFILE_HOST_H

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/base/clock.h"
#include "agent/base/io.h"
#include "collectors/collector.h"

/* ---- time, which a test may move on ------------------------------------------------------------------ */

static time_t boot_skipped_s;

int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_BOOTTIME)
		t->tv_sec += boot_skipped_s;
	return r;
}

/* ---- the intake that writes down ----------------------------------------------------------------------- */

struct intake {
	struct buf log;
	size_t room; /* calls until it is full; each commit makes room for `batch` again */
	size_t batch;
	int64_t since_us;
	struct long_line longer;
	size_t cut_len;
	uint32_t source;
};

static struct intake in = { .log = BUF_INIT(64u << 20) };

static inline int note(const char *before, struct bytes b, const char *after)
{
	if (in.room == 0)
		return INTAKE_FULL;
	in.room--;
	assert_int_equal(buf_str(&in.log, before), 0);
	assert_int_equal(buf_append(&in.log, b), 0);
	assert_int_equal(buf_str(&in.log, after), 0);
	return INTAKE_OK;
}

int intake_line(struct intake *i, uint32_t source, struct bytes line, const struct long_line *longer, int64_t since_us)
{
	int r = note("", bytes_of(line.data, MIN(line.len, 4000)), "|");

	assert_ptr_equal(i, &in);
	assert_int_not_equal(line.len, 0);
	assert_true(line.len <= EVENT_RAW_MAX);
	assert_true(!longer || line.len == EVENT_RAW_MAX);
	if (r != INTAKE_OK)
		return r;
	in.since_us = since_us;
	in.source = source;
	if (longer) {
		in.longer = *longer;
		in.cut_len = line.len;
	}
	return INTAKE_OK;
}

int intake_loss(struct intake *i, uint32_t source, const struct loss *loss)
{
	assert_ptr_equal(i, &in);
	assert_string_equal(loss->unit, "unknown");
	return note("<", bytes_str(loss->reason), ">");
}

int intake_own(struct intake *i, uint32_t source, enum own_event which, const struct bytes *values)
{
	assert_ptr_equal(i, &in);
	assert_int_equal(which, OWN_SOURCE_STATE);
	return note("<", values[1], ">");
}

/* ---- the host: a directory, a collector, its last committed position ----------------------------------- */

static char top[64], path[128];
static struct collector *c;
static struct {
	uint8_t packed[16384];
	size_t len;
	int64_t stopped_us;
	size_t log_len;
	bool there;
} committed;

static inline const char *at(const char *suffix)
{
	static char names[8][256];
	static unsigned next;
	char *name = names[next++ % 8];

	(void)snprintf(name, sizeof names[0], "%s%s", path, suffix);
	return name;
}

static inline void put(const char *name, struct bytes b, int flags)
{
	int fd = open(name, O_WRONLY | O_CREAT | flags, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, b), 0);
	(void)close(fd);
}

static inline void append(const char *name, const char *text)
{
	put(name, bytes_str(text), O_APPEND);
}

static inline void move(const char *from, const char *to)
{
	assert_int_equal(rename(from, to), 0);
}

static inline void touch_age(const char *name, int seconds_ago)
{
	struct timespec t[2];

	(void)clock_gettime(CLOCK_REALTIME, &t[0]);
	t[0].tv_sec -= seconds_ago;
	t[1] = t[0];
	assert_int_equal(utimensat(AT_FDCWD, name, t, 0), 0);
}

static inline struct buf slurp(const char *name)
{
	struct buf b = BUF_INIT(64u << 20);

	assert_int_equal(read_file_at(AT_FDCWD, name, false, &b), 0);
	return b;
}

/* Replaces a file by its compressed form, with the time that it had. */
static inline void compress_file(const char *name, const char *suffix)
{
	_cleanup_(buf_done) struct buf b = slurp(name);
	struct stat st;
	char to[300];

	assert_int_equal(stat(name, &st), 0);
	(void)snprintf(to, sizeof to, "%s%s", name, suffix);
	if (strcmp(suffix, ".gz") == 0) {
		gzFile z = gzopen(to, "wb");

		assert_int_equal(b.len == 0 ? 0 : gzwrite(z, b.data, (unsigned)b.len), b.len);
		assert_int_equal(gzclose(z), Z_OK);
	} else {
		size_t cap = ZSTD_compressBound(b.len), n;
		_cleanup_(freep) void *data = malloc(cap);

		ZSTD_CCtx *z = ZSTD_createCCtx();

		/* as zstd(1) does */
		assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1)));
		n = ZSTD_compress2(z, data, cap, b.data, b.len);
		(void)ZSTD_freeCCtx(z);
		assert_false(ZSTD_isError(n));
		put(to, bytes_of(data, n), O_TRUNC);
	}
	assert_int_equal(utimensat(AT_FDCWD, to, (struct timespec[]){ st.st_atim, st.st_mtim }, 0), 0);
	assert_int_equal(unlink(name), 0);
}

static inline void copy_file(const char *from, const char *to)
{
	_cleanup_(buf_done) struct buf b = slurp(from);

	put(to, buf_bytes(&b), O_TRUNC);
}

static inline int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

static inline Hallmark__V1__Position position(void)
{
	Hallmark__V1__Position p = HALLMARK__V1__POSITION__INIT;

	assert_int_equal(c->ops->position(c, &p), 0);
	return p;
}

static inline void commit(void)
{
	Hallmark__V1__Position p = position();

	assert_true(hallmark__v1__position__get_packed_size(&p) <= sizeof committed.packed);
	committed.len = hallmark__v1__position__pack(&p, committed.packed);
	committed.log_len = in.log.len;
	committed.stopped_us = clock_wall_us();
	committed.there = true;
	in.room = in.batch;
}

static inline void pump(bool tick)
{
	int r = c->ops->wake(c, tick);

	assert_int_equal(r, 0);
	while ((r = c->ops->read(c, &in, 100000)) != COLLECTOR_END) {
		assert_true(r == COLLECTOR_MORE || r == COLLECTOR_FULL);
		if (r == COLLECTOR_FULL)
			commit();
	}
}

static inline void start(int64_t since_us)
{
	struct collector_start s = { since_us, committed.stopped_us };
	Hallmark__V1__Position *p = committed.there ? hallmark__v1__position__unpack(NULL, committed.len, committed.packed) : NULL;

	assert_int_equal(logfile_new(path, &c), 0);
	c->source = 7;
	assert_int_equal(c->ops->start(c, &s, p), 0);
	if (p)
		hallmark__v1__position__free_unpacked(p, NULL);
}

static inline void stop(void)
{
	c = c->ops->free(c);
	assert_null(c);
	/* the file system's clock is a tick behind ours */
	(void)usleep(5000);
}

/* A fresh directory; `path` is a log in it that is not there yet. */
static inline void host(void)
{
	if (c)
		stop();
	if (top[0])
		(void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	(void)snprintf(top, sizeof top, "%s/hallmark-logfile-XXXXXX", getenv("TMPDIR") ?: "/tmp");
	assert_non_null(mkdtemp(top));
	(void)snprintf(path, sizeof path, "%s/auth.log", top);
	memset(&committed, 0, sizeof committed);
	buf_clear(&in.log);
	in.room = in.batch = SIZE_MAX;
	boot_skipped_s = 0;
}

static inline void long_text(struct buf *b, size_t n)
{
	for (size_t i = 0; b->len < n; i++)
		assert_int_equal(buf_printf(b, "%zu,", i), 0);
	b->len = n;
}

/* What the intake got since the last call. */
#define assert_got(s)                                    \
	do {                                             \
		(void)buf_byte(&in.log, '\0');           \
		assert_string_equal(in.log.data, s);     \
		buf_clear(&in.log);                      \
	} while (0)

__attribute__((destructor)) static void tidy(void)
{
	if (c)
		c->ops->free(c);
	if (top[0])
		(void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	buf_done(&in.log);
}

#endif
