/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log file collector on real files, with an intake that only writes down what it is handed: lines
 * as they are, losses as <reason>, what the collector says of itself as <state>, all in their order.
 */
#include "test.h"

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

static int note(const char *before, struct bytes b, const char *after)
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

static const char *at(const char *suffix)
{
	static char names[8][256];
	static unsigned next;
	char *name = names[next++ % 8];

	(void)snprintf(name, sizeof names[0], "%s%s", path, suffix);
	return name;
}

static void put(const char *name, struct bytes b, int flags)
{
	int fd = open(name, O_WRONLY | O_CREAT | flags, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, b), 0);
	(void)close(fd);
}

static void append(const char *name, const char *text)
{
	put(name, bytes_str(text), O_APPEND);
}

static void move(const char *from, const char *to)
{
	assert_int_equal(rename(from, to), 0);
}

static void touch_age(const char *name, int seconds_ago)
{
	struct timespec t[2];

	(void)clock_gettime(CLOCK_REALTIME, &t[0]);
	t[0].tv_sec -= seconds_ago;
	t[1] = t[0];
	assert_int_equal(utimensat(AT_FDCWD, name, t, 0), 0);
}

static struct buf slurp(const char *name)
{
	struct buf b = BUF_INIT(64u << 20);

	assert_int_equal(read_file_at(AT_FDCWD, name, false, &b), 0);
	return b;
}

/* Replaces a file by its compressed form, with the time that it had. */
static void compress_file(const char *name, const char *suffix)
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

static void copy_file(const char *from, const char *to)
{
	_cleanup_(buf_done) struct buf b = slurp(from);

	put(to, buf_bytes(&b), O_TRUNC);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

static Hallmark__V1__Position position(void)
{
	Hallmark__V1__Position p = HALLMARK__V1__POSITION__INIT;

	assert_int_equal(c->ops->position(c, &p), 0);
	return p;
}

static void commit(void)
{
	Hallmark__V1__Position p = position();

	assert_true(hallmark__v1__position__get_packed_size(&p) <= sizeof committed.packed);
	committed.len = hallmark__v1__position__pack(&p, committed.packed);
	committed.log_len = in.log.len;
	committed.stopped_us = clock_wall_us();
	committed.there = true;
	in.room = in.batch;
}

static void pump(bool tick)
{
	int r = c->ops->wake(c, tick);

	assert_int_equal(r, 0);
	while ((r = c->ops->read(c, &in, 100000)) != COLLECTOR_END) {
		assert_true(r == COLLECTOR_MORE || r == COLLECTOR_FULL);
		if (r == COLLECTOR_FULL)
			commit();
	}
}

static void start(int64_t since_us)
{
	struct collector_start s = { since_us, committed.stopped_us };
	Hallmark__V1__Position *p = committed.there ? hallmark__v1__position__unpack(NULL, committed.len, committed.packed) : NULL;

	assert_int_equal(logfile_new(path, &c), 0);
	c->source = 7;
	assert_int_equal(c->ops->start(c, &s, p), 0);
	if (p)
		hallmark__v1__position__free_unpacked(p, NULL);
}

static void stop(void)
{
	c = c->ops->free(c);
	assert_null(c);
	/* the file system's clock is a tick behind ours */
	(void)usleep(5000);
}

/* A fresh directory; `path` is a log in it that is not there yet. */
static void host(void)
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

/* ---- lines --------------------------------------------------------------------------------------------- */

TEST(lines_are_handed_in_to_the_letter_and_empty_ones_make_no_event)
{
	static const char odd[] = "one\ntw\0o\r\n\n\xff\xfe \xc3(\n\r\nlast\n";
	struct collector_start s = { 0 };

	host();
	put(path, bytes_of(odd, sizeof odd - 1), 0);
	start(0);
	pump(false);
	assert_int_equal(in.log.len, sizeof odd - 1 - 1);
	assert_memory_equal(in.log.data, "one|tw\0o\r|\xff\xfe \xc3(|\r|last|", in.log.len);
	assert_int_equal(position().files[0]->offset, sizeof odd - 1);
	assert_int_equal(in.source, 7);
	assert_null(c->ops->trouble(c));
	(void)s;
}

TEST(a_half_written_line_waits_and_the_position_stays_before_it)
{
	host();
	append(path, "one\ntw");
	start(0);
	pump(false);
	assert_int_equal(position().files[0]->offset, 4);
	append(path, "o");
	pump(false);
	assert_got("one|");
	commit();
	stop();
	start(0);
	append(path, "\nthree\n");
	pump(false);
	assert_got("two|three|");
}

TEST(a_full_intake_leaves_the_position_before_the_line)
{
	host();
	append(path, "one\ntwo\nthree\n");
	in.room = 1;
	start(0);
	assert_int_equal(c->ops->read(c, &in, 1000), COLLECTOR_FULL);
	assert_int_equal(position().files[0]->offset, 4);
	assert_int_equal(position().files[0]->head_size, 14);
	assert_int_equal(position().files[0]->tail_size, 4);
	commit();
	stop();
	in.room = SIZE_MAX;
	start(0);
	pump(false);
	assert_got("one|two|three|");
}

TEST(a_budget_is_kept_to)
{
	host();
	append(path, "one\ntwo\nthree\n");
	start(0);
	assert_int_equal(c->ops->read(c, &in, 5), COLLECTOR_MORE);
	assert_got("one|two|");
	assert_int_equal(c->ops->read(c, &in, 5), COLLECTOR_END);
	assert_got("three|");
}

/* Fills `b` with n bytes that repeat at no short distance. */
static void long_text(struct buf *b, size_t n)
{
	for (size_t i = 0; b->len < n; i++)
		assert_int_equal(buf_printf(b, "%zu,", i), 0);
	b->len = n;
}

static void assert_cut(struct bytes whole)
{
	uint8_t digest[32];

	assert_int_equal(in.cut_len, EVENT_RAW_MAX);
	assert_int_equal(in.longer.length, whole.len);
	assert_true(EVP_Digest(whole.data, whole.len, digest, NULL, EVP_sha256(), NULL));
	assert_memory_equal(in.longer.digest, digest, 32);
}

TEST(a_line_of_a_megabyte_is_cut_with_its_length_and_digest)
{
	static const size_t sizes[] = { EVENT_RAW_MAX + 1, 100000, 131072 - 256, 131072, 131073, 1 << 20, 3000001 };

	for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
		for (int encoded = 0; encoded < 3; encoded++) {
			_cleanup_(buf_done) struct buf b = BUF_INIT(8u << 20);

			host();
			long_text(&b, sizes[i]);
			append(path, "before\n");
			put(path, buf_bytes(&b), O_APPEND);
			append(path, "\nafter\n");
			if (encoded) {
				move(path, at(".1"));
				compress_file(at(".1"), encoded == 1 ? ".gz" : ".zst");
				append(path, "next\n");
			}
			in.batch = in.room = 1; /* full before each */
			start(0);
			pump(false);
			assert_cut(buf_bytes(&b));
			in.batch = in.room = SIZE_MAX;
			pump(false);
			if (encoded == 0)
				assert_int_equal(position().files[0]->offset, sizes[i] + 14);
			assert_memory_equal(in.log.data + in.log.len - (encoded ? 11 : 6), encoded ? "after|next|" : "after|",
					    encoded ? 11 : 6);
		}
}

TEST(a_line_of_the_longest_length_is_not_cut)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(1u << 20);

	host();
	long_text(&b, EVENT_RAW_MAX);
	put(path, buf_bytes(&b), O_APPEND);
	append(path, "\n");
	memset(&in.longer, 0, sizeof in.longer);
	start(0);
	pump(false);
	assert_int_equal(in.log.len, 4001);
	assert_int_equal(in.longer.length, 0);
}

TEST(a_long_line_that_grows_slowly_is_read_once_and_survives_a_restart)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(8u << 20);

	host();
	long_text(&b, 1000000);
	append(path, "x\n");
	start(0);
	for (size_t done = 0; done < b.len; done += 50000) {
		put(path, bytes_of(b.data + done, 50000), O_APPEND);
		pump(false);
		assert_int_equal(position().files[0]->offset, 2);
		if (done == 500000) {
			commit();
			stop();
			start(0);
		}
	}
	append(path, "\ny\n");
	pump(false);
	assert_cut(buf_bytes(&b));
	assert_int_equal(position().files[0]->offset, 1000005);
	assert_memory_equal(in.log.data + in.log.len - 2, "y|", 2);
}

TEST(an_idle_collector_keeps_no_buffer_and_a_huge_line_no_memory)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(64u << 20);
	struct rusage before, after;

	host();
	long_text(&b, 40u << 20);
	put(path, buf_bytes(&b), O_APPEND);
	append(path, "\nend\n");
	buf_done(&b);
	(void)getrusage(RUSAGE_SELF, &before);
	start(0);
	pump(false);
	(void)getrusage(RUSAGE_SELF, &after);
	assert_int_equal(in.longer.length, 40u << 20);
	assert_true(after.ru_maxrss - before.ru_maxrss < 2048);
}

/* ---- where to begin ------------------------------------------------------------------------------------ */

TEST(at_the_first_start_only_newer_siblings_are_read_and_the_time_is_passed_on)
{
	int64_t since = clock_wall_us() - 3600 * 1000000ll;

	host();
	append(at(".3.gz"), "no gzip, but old\n");
	touch_age(at(".3.gz"), 9000);
	append(at(".2"), "b\n");
	touch_age(at(".2"), 3000);
	compress_file(at(".2"), ".gz");
	append(at(".1"), "c\n");
	touch_age(at(".1"), 2000);
	append(path, "d\n");
	start(since);
	pump(false);
	assert_int_equal(in.since_us, since);
	assert_got("b|c|d|");
	move(path, at(".0"));
	append(path, "e\n");
	pump(false);
	assert_got("e|");
	assert_int_equal(in.since_us, 0);
}

TEST(from_now_on_begins_at_the_line_that_is_being_written)
{
	host();
	append(at(".1"), "older\n");
	append(path, "old\nha");
	start(INT64_MAX);
	pump(false);
	append(path, "lf\nnew\n");
	pump(false);
	assert_got("half|new|");
}

TEST(from_now_on_reads_a_file_that_comes_later_from_its_beginning)
{
	host();
	start(INT64_MAX);
	pump(false);
	append(path, "new\n");
	pump(false);
	assert_got("<missing>new|<found>");
}

TEST(a_first_start_that_is_killed_before_its_first_line_begins_again)
{
	host();
	append(at(".1"), "a\n");
	append(path, "b\n");
	touch_age(at(".1"), 1000);
	touch_age(path, 500);
	start(0);
	commit();
	stop();
	start(0);
	pump(false);
	assert_got("a|b|");
}

/* ---- what comes and goes ------------------------------------------------------------------------------- */

TEST(a_file_that_is_created_later_is_read)
{
	host();
	start(0);
	pump(false);
	assert_got("<missing>");
	assert_non_null(c->ops->trouble(c));
	append(path, "one\n");
	pump(false);
	assert_got("one|<found>");
	assert_null(c->ops->trouble(c));
}

TEST(a_directory_that_is_created_later_and_again_is_seen)
{
	char a[80], b[80];

	host();
	(void)snprintf(a, sizeof a, "%s/a", top);
	(void)snprintf(b, sizeof b, "%s/a/b", top);
	(void)snprintf(path, sizeof path, "%s/a/b/auth.log", top);
	start(0);
	pump(false);
	assert_got("<missing>");
	for (int again = 0; again < 3; again++) {
		assert_int_equal(mkdir(a, 0755), 0);
		pump(false);
		assert_int_equal(mkdir(b, 0755), 0);
		pump(false);
		append(path, "one\n");
		pump(false);
		append(path, "two\n");
		pump(false);
		assert_got(again ? "one|two|" : "one|<found>two|");
		assert_int_equal(unlink(path), 0);
		if (again == 1)
			pump(false);
		assert_int_equal(rmdir(b), 0);
		assert_int_equal(rmdir(a), 0);
		pump(false);
	}
}

TEST(what_is_no_regular_file_is_not_read_and_does_not_block)
{
	static const struct {
		mode_t mode;
		const char *got;
	} kinds[] = { { S_IFDIR, "a directory" }, { S_IFIFO, "a FIFO" }, { S_IFSOCK, "a socket" } };

	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		host();
		append(path, "one\n");
		start(0);
		pump(false);
		move(path, at(".1"));
		append(at(".1"), "two\n");
		assert_int_equal(kinds[i].mode == S_IFDIR ? mkdir(path, 0755) : mknod(path, kinds[i].mode | 0644, 0), 0);
		pump(false);
		append(at(".1"), "three\n");
		pump(false);
		assert_got("one|two|<unreadable>three|");
		assert_non_null(strstr(c->ops->trouble(c), kinds[i].got));
		assert_int_equal(remove(path), 0);
		append(path, "four\n");
		pump(false);
		assert_got("four|<readable>");
	}
}

TEST(the_path_may_be_a_link_but_a_sibling_may_not)
{
	char real[128];

	host();
	(void)snprintf(real, sizeof real, "%s/real", top);
	append(real, "one\n");
	append(at(".2"), "zero\n");
	assert_int_equal(symlink(real, path), 0);
	append(at("other"), "not a sibling's\n");
	assert_int_equal(symlink(at("other"), at(".1")), 0);
	start(0);
	pump(false);
	append(real, "two\n");
	pump(false);
	assert_got("zero|one|two|");
}

TEST(a_link_that_is_turned_to_another_file_is_followed)
{
	char a[128], b[128];

	host();
	(void)snprintf(a, sizeof a, "%s/auth.log-20261122", top);
	(void)snprintf(b, sizeof b, "%s/auth.log-20261123", top);
	append(a, "one\n");
	assert_int_equal(symlink(a, path), 0);
	start(0);
	pump(false);
	append(a, "two\n");
	append(b, "three\n");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(b, path), 0);
	pump(false);
	assert_got("one|two|three|");
}

/* Runs the rest of a test as somebody whom permissions bind; returns in the parent, when that has passed. */
static bool as_nobody(void)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0))
			return true;
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/* In a child, a failed assertion must not run the tests that follow: what it got is compared by hand. */
static void leave(const char *got)
{
	bool same = in.log.len == strlen(got) && memcmp(in.log.data, got, in.log.len) == 0;

	if (!same)
		(void)fprintf(stderr, "got %.*s, not %s\n", (int)in.log.len, (const char *)in.log.data, got);
	_exit(same ? 0 : 1);
}

TEST(a_file_that_becomes_unreadable_and_readable_again)
{
	host();
	assert_int_equal(chmod(top, 0777), 0);
	if (!as_nobody())
		return;
	append(path, "one\n");
	(void)chmod(path, 0);
	start(0);
	pump(false);
	(void)chmod(path, 0600);
	pump(false);
	append(path, "two\n");
	(void)chmod(path, 0);
	pump(false); /* it is open */
	(void)rename(path, at(".1"));
	(void)chmod(at(".1"), 0600);
	append(path, "three\n");
	(void)chmod(path, 0);
	pump(false);
	(void)chmod(path, 0600);
	pump(false);
	leave("<unreadable>one|<readable>two|<unreadable>three|<readable>");
}

TEST(a_file_that_is_unreadable_at_the_start_is_found_again_at_its_position)
{
	host();
	assert_int_equal(chmod(top, 0777), 0);
	if (!as_nobody())
		return;
	append(path, "one\n");
	start(0);
	pump(false);
	commit();
	stop();
	append(path, "two\n");
	(void)chmod(path, 0);
	start(0);
	pump(false);
	commit();
	stop();
	start(0);
	pump(true);
	(void)chmod(path, 0600);
	pump(false);
	leave("one|<unreadable><unreadable>two|<readable>");
}

TEST(a_sibling_that_is_unreadable_is_declared)
{
	host();
	assert_int_equal(chmod(top, 0777), 0);
	if (!as_nobody())
		return;
	append(path, "one\n");
	start(0);
	pump(false);
	commit();
	stop();
	append(path, "two\n");
	(void)rename(path, at(".1"));
	(void)chmod(at(".1"), 0);
	append(path, "three\n");
	start(0);
	pump(false);
	leave("one|<unreadable><unreadable>three|"); /* what we sought, and what is newer */
}

/* ---- rotation by renaming, while we run ---------------------------------------------------------------- */

TEST(old_and_new_are_read_until_the_writer_closes_the_old)
{
	int fd;

	host();
	append(path, "one\n");
	start(0);
	pump(false);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "two\n", 4), 4);
	move(path, at(".1"));
	append(path, "four\n");
	assert_int_equal(write(fd, "three\n", 6), 6);
	pump(false);
	assert_got("one|two|three|four|");
	assert_int_equal(position().n_files, 2);
	assert_int_equal(position().files[0]->offset, 14);
	assert_int_equal(position().files[1]->offset, 5);
	assert_int_equal(write(fd, "fi", 2), 2);
	append(path, "six\n");
	pump(false);
	assert_int_equal(write(fd, "ve\n", 3), 3);
	pump(false);
	assert_got("six|five|");
	(void)close(fd);
	pump(false);
	assert_int_equal(position().n_files, 1);
}

TEST(the_rest_of_a_line_is_taken_when_nobody_will_finish_it)
{
	int fd;

	host();
	append(path, "one\n");
	start(0);
	pump(false);
	fd = open(path, O_WRONLY | O_APPEND);
	move(path, at(".1"));
	append(path, "three\n");
	assert_int_equal(write(fd, "tw", 2), 2);
	pump(false);
	assert_got("one|three|");
	(void)close(fd);
	pump(false);
	assert_got("tw|");
	assert_int_equal(position().n_files, 1);
}

TEST(an_old_file_is_read_on_when_only_one_of_its_writers_closed_it)
{
	int a, b;

	host();
	append(path, "one\n");
	start(0);
	pump(false);
	a = open(path, O_WRONLY | O_APPEND);
	b = open(path, O_WRONLY | O_APPEND);
	append(path, "two\n"); /* closed, but before it went away */
	move(path, at(".1"));
	append(path, "three\n");
	pump(false);
	assert_int_equal(position().n_files, 2);
	(void)close(b);
	assert_int_equal(write(a, "four\n", 5), 5);
	pump(false);
	assert_int_equal(write(a, "five\n", 5), 5);
	pump(false);
	(void)close(a);
	pump(false);
	assert_got("one|two|three|four|five|");
	assert_int_equal(position().n_files, 1);
}

TEST(many_rotations_at_once_are_read_in_order_and_positions_stay_few)
{
	char text[16], suffix[16], want[256] = "";

	host();
	for (int n = 40; n > 0; n--) {
		(void)snprintf(text, sizeof text, "%d\n", n);
		(void)snprintf(suffix, sizeof suffix, ".%d", n);
		append(at(suffix), text);
		(void)snprintf(want + strlen(want), sizeof want - strlen(want), "%d|", n);
	}
	append(path, "0\n");
	start(0);
	pump(false);
	assert_true(position().n_files <= 16);
	assert_got(strcat(want, "0|"));
}

TEST(a_quiet_old_file_is_let_go_after_five_minutes_and_a_deleted_one_after_one)
{
	int fd;

	for (int deleted = 0; deleted < 2; deleted++) {
		host();
		append(path, "one\n");
		start(0);
		pump(false);
		fd = open(path, O_WRONLY | O_APPEND);
		if (deleted)
			assert_int_equal(unlink(path), 0);
		else
			move(path, at(".1"));
		append(path, "two\n");
		pump(false);
		boot_skipped_s = deleted ? 50 : 290;
		pump(true);
		assert_int_equal(position().n_files, 2);
		boot_skipped_s = deleted ? 61 : 301;
		pump(true);
		assert_int_equal(position().n_files, 1);
		(void)close(fd);
		assert_got("one|two|");
	}
}

TEST(several_rotations_between_two_looks_are_read_in_order)
{
	host();
	append(path, "one\n");
	start(0);
	pump(false);
	append(path, "two\n");
	move(path, at(".1"));
	append(path, "three\n");
	move(at(".1"), at(".2"));
	move(path, at(".1"));
	append(path, "four\n");
	move(at(".2"), at(".3"));
	compress_file(at(".3"), ".gz");
	move(at(".1"), at(".2"));
	move(path, at(".1"));
	append(path, "five\n");
	pump(false);
	assert_got("one|two|three|four|five|");
}

TEST(a_file_that_is_compressed_at_once_is_read_from_the_descriptor)
{
	for (int zstd = 0; zstd < 2; zstd++) {
		host();
		append(path, "one\n");
		start(0);
		pump(false);
		append(path, "two\n");
		move(path, at(".1"));
		compress_file(at(".1"), zstd ? ".zst" : ".gz");
		append(path, "three\n");
		pump(false);
		move(path, at(".0"));
		append(path, "four\n");
		pump(false);
		assert_got("one|two|three|four|");
	}
}

TEST(a_file_that_stays_away_is_read_on_until_a_new_one_comes)
{
	host();
	append(path, "one\n");
	start(0);
	pump(false);
	move(path, at("-20261123"));
	append(at("-20261123"), "two\n");
	pump(false);
	pump(true);
	boot_skipped_s = 1000;
	pump(true);
	append(at("-20261123"), "three\n");
	pump(false);
	assert_got("one|two|<missing>three|");
	commit();
	stop();
	start(0);
	append(at("-20261123"), "four\n");
	append(path, "five\n");
	pump(false);
	assert_got("<missing>four|five|<found>");
}

TEST(a_file_that_is_moved_away_and_back_is_read_once)
{
	host();
	append(path, "one\n");
	start(0);
	pump(false);
	move(path, at(".1"));
	pump(false);
	move(at(".1"), path);
	append(path, "two\n");
	pump(false);
	boot_skipped_s = 1000;
	pump(true);
	append(path, "three\n");
	pump(false);
	assert_got("one|two|three|");
}

TEST(after_an_overflow_of_the_queue_everything_is_looked_at_again)
{
	_cleanup_(buf_done) struct buf limit = BUF_INIT(64);
	char other[128];
	unsigned long max;

	host();
	append(path, "one\n");
	start(0);
	pump(false);
	assert_int_equal(read_file_at(AT_FDCWD, "/proc/sys/fs/inotify/max_queued_events", false, &limit), 0);
	assert_int_equal(buf_byte(&limit, '\0'), 0);
	max = strtoul((const char *)limit.data, NULL, 10);
	(void)snprintf(other, sizeof other, "%s/other", top);
	for (unsigned long i = 0; i <= max / 2; i++) {
		append(other, "");
		assert_int_equal(unlink(other), 0);
	}
	append(path, "two\n");
	move(path, at(".1"));
	append(path, "three\n");
	for (int i = 0; i < 50; i++)
		pump(false);
	assert_got("one|two|three|");
}

/* ---- truncation, while we run --------------------------------------------------------------------------- */

TEST(copytruncate_reads_the_rest_from_the_copy_and_declares_what_may_be_missing)
{
	static const char *const suffixes[] = { "", ".gz", ".zst" };

	for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
		for (int unread = 0; unread < 2; unread++) {
			host();
			append(at(".2"), "nought\n");
			touch_age(at(".2"), 1000);
			append(path, "one\n");
			start(0);
			pump(false);
			append(path, "two\n");
			if (!unread)
				pump(false);
			copy_file(path, at(".1"));
			if (i > 0)
				compress_file(at(".1"), suffixes[i]);
			assert_int_equal(truncate(path, 0), 0);
			append(path, "three\n");
			pump(false);
			append(path, "four\n");
			pump(false);
			assert_got("nought|one|two|<truncated>three|four|");
			assert_int_equal(position().n_files, 1);
		}
}

TEST(copytruncate_before_the_first_line_was_counted)
{
	host();
	append(path, "one\ntwo\n");
	in.room = 0;
	start(0);
	assert_int_equal(c->ops->read(c, &in, 1000), COLLECTOR_FULL);
	copy_file(path, at(".1"));
	assert_int_equal(truncate(path, 0), 0);
	in.room = SIZE_MAX;
	append(path, "three\n");
	pump(false);
	assert_got("one|two|<truncated>three|");
}

TEST(several_copytruncates_between_two_looks_declare_each)
{
	host();
	append(path, "one\n");
	start(0);
	pump(false);
	append(path, "two\n");
	copy_file(path, at(".1"));
	assert_int_equal(truncate(path, 0), 0);
	append(path, "three\n");
	move(at(".1"), at(".2"));
	copy_file(path, at(".1"));
	assert_int_equal(truncate(path, 0), 0);
	append(path, "four\n");
	pump(false);
	assert_got("one|two|<truncated>three|<truncated>four|");
}

TEST(after_a_copytruncate_a_renaming_loses_nothing)
{
	host();
	append(path, "one\n");
	start(0);
	pump(false);
	copy_file(path, at(".1"));
	assert_int_equal(truncate(path, 0), 0);
	append(path, "two\n");
	pump(false);
	assert_got("one|<truncated>two|");
	move(at(".1"), at(".3"));
	move(path, at(".2"));
	append(at(".1"), "three\n");
	append(path, "four\n");
	pump(false);
	assert_got("three|four|");
}

TEST(truncation_in_place_is_declared_and_nothing_is_read_twice)
{
	host();
	append(path, "one\ntwo\nthree\n");
	start(0);
	pump(false);
	assert_int_equal(truncate(path, 0), 0);
	pump(false);
	append(path, "four\n");
	pump(false);
	assert_got("one|two|three|<truncated>four|");
	append(path, "five\nsix\n");
	pump(false);
	assert_int_equal(truncate(path, 10), 0);
	pump(false);
	append(path, "seven\n");
	pump(false);
	assert_got("five|six|<truncated>seven|");
}

TEST(a_file_that_was_truncated_and_grew_past_the_position_is_noticed)
{
	host();
	append(path, "one\ntwo\n");
	start(0);
	pump(false);
	assert_int_equal(truncate(path, 0), 0);
	append(path, "three\nfour\nfive\nsix\n");
	pump(false);
	assert_got("one|two|<truncated>three|four|five|six|");
}

TEST(a_long_half_line_that_is_truncated_is_given_up)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(8u << 20);

	host();
	long_text(&b, 200000);
	append(path, "one\n");
	put(path, buf_bytes(&b), O_APPEND);
	start(0);
	pump(false);
	assert_int_equal(truncate(path, 0), 0);
	append(path, "two\n");
	pump(false);
	assert_got("one|<truncated>two|");
}

/* ---- restarts ------------------------------------------------------------------------------------------- */

/* One letter a step, of what happens while the agent is down:
 *   w  a line more is written            r  rename rotation: .1 -> .2, log -> .1 (not recreated)
 *   z  the newest plain sibling to .gz   Z  … to .zst           d  rename to log-DATE, a day later each time
 *   c  copytruncate to .1                t  truncate to zero    u  unlink the newest sibling */
static void play(const char *steps)
{
	static int line, day;
	char newest[256] = "";

	line = 2;
	day = 1;
	for (; *steps; steps++) {
		char text[32], name[32];

		(void)usleep(2000);
		switch (*steps) {
		case 'w':
			(void)snprintf(text, sizeof text, "%d\n", line++);
			append(path, text);
			break;
		case 'r':
		case 'c':
			for (int n = 8; n > 0; n--)
				for (int z = 0; z < 4; z++) {
					static const char *const zs[] = { "", ".gz", ".zst", ".xz" };
					char from[32], to[32];

					(void)snprintf(from, sizeof from, ".%d%s", n, zs[z]);
					(void)snprintf(to, sizeof to, ".%d%s", n + 1, zs[z]);
					(void)rename(at(from), at(to));
				}
			(void)snprintf(newest, sizeof newest, "%s", at(".1"));
			if (*steps == 'r') {
				move(path, newest);
				break;
			}
			copy_file(path, newest);
			assert_int_equal(truncate(path, 0), 0);
			break;
		case 'd':
			(void)snprintf(name, sizeof name, "-202611%02d", day++);
			(void)snprintf(newest, sizeof newest, "%s", at(name));
			move(path, newest);
			break;
		case 'z':
			compress_file(newest, ".gz");
			(void)strcat(newest, ".gz");
			break;
		case 'Z':
			compress_file(newest, ".zst");
			(void)strcat(newest, ".zst");
			break;
		case 't':
			assert_int_equal(truncate(path, 0), 0);
			break;
		case 'u':
			assert_int_equal(unlink(newest), 0);
			break;
		}
	}
}

TEST(what_happened_while_the_agent_was_down_is_made_up_for)
{
	static const struct {
		const char *steps, *got;
	} cases[] = {
		{ "", "" },
		{ "w", "2|" },
		{ "wrw", "2|3|" },
		{ "wrzw", "2|3|" },
		{ "wrZw", "2|3|" },
		{ "wrwrw", "2|3|4|" },
		{ "wrwrwrw", "2|3|4|5|" },
		{ "wrzwrzwrw", "2|3|4|5|" },
		{ "wrzwrZwrzw", "2|3|4|5|" },
		{ "wdw", "2|3|" },
		{ "wdzw", "2|3|" },
		{ "wdwdwdw", "2|3|4|5|" },
		{ "wdzwdzwdZw", "2|3|4|5|" },
		{ "wcw", "2|<truncated>3|" },
		{ "wc", "2|<truncated>" },
		{ "wczw", "2|<truncated>3|" },
		{ "wcwcw", "2|<truncated>3|<truncated>4|" },
		{ "wczwczwczw", "2|<truncated>3|<truncated>4|<truncated>5|" },
		{ "wtw", "<truncated>3|" },
		{ "twww", "<truncated>2|3|4|" },
		{ "wruw", "<rotated_away>3|" },
		{ "wruwrw", "<rotated_away>3|4|" },
		{ "wruwrzwrw", "<rotated_away>3|4|5|" },
		{ "wcuw", "<truncated>3|" },
		{ "wcuwcw", "<truncated>3|<truncated>4|" },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		for (int full = 0; full < 2; full++) {
			host();
			append(at(".1"), "old a\n");
			touch_age(at(".1"), 5000);
			append(path, "first of the file, number 1\n");
			start(clock_wall_us() - 1000000000);
			pump(false);
			assert_got("first of the file, number 1|");
			commit();
			stop();
			play(cases[i].steps);
			/* with full, the intake takes one thing at a time, and each time we are killed after it */
			in.room = in.batch = full ? 1 : SIZE_MAX;
			start(0);
			for (int r; full && (r = c->ops->read(c, &in, 1000)) != COLLECTOR_END;) {
				assert_int_equal(r, COLLECTOR_FULL);
				commit();
				stop();
				start(0);
			}
			in.room = SIZE_MAX;
			pump(false);
			commit();
			stop();
			start(0);
			pump(false);
			if (in.log.len != strlen(cases[i].got) || memcmp(in.log.data, cases[i].got, in.log.len) != 0)
				print_message("after %s%s\n", cases[i].steps, full ? ", bit by bit" : "");
			assert_got(cases[i].got);
		}
}

TEST(a_file_that_was_empty_when_last_seen_may_have_been_copied_and_truncated_since)
{
	for (int down = 0; down < 2; down++)
		for (int times = 1; times < 3; times++) {
			host();
			append(path, "");
			start(0);
			pump(false);
			commit();
			if (down)
				stop();
			(void)usleep(20000);
			append(path, "one\n");
			copy_file(path, at(".2"));
			assert_int_equal(truncate(path, 0), 0);
			if (times == 2) {
				append(path, "two\n");
				copy_file(path, at(".1"));
				assert_int_equal(truncate(path, 0), 0);
			}
			append(path, "three\n");
			if (down)
				start(0);
			pump(false);
			assert_got(times == 2 ? "one|<truncated>two|<truncated>three|" : "one|<truncated>three|");
		}
}

TEST(the_first_line_of_a_new_file_does_not_bring_back_the_old_one)
{
	int fd;

	host();
	append(path, "one\n");
	start(0);
	pump(false);
	fd = open(path, O_WRONLY | O_APPEND);
	move(path, at(".1"));
	append(path, "");
	pump(false);
	(void)usleep(20000);
	assert_int_equal(write(fd, "two\n", 4), 4);
	(void)close(fd);
	append(path, "three\n");
	pump(false);
	compress_file(at(".1"), ".gz");
	append(path, "four\n");
	pump(false);
	assert_got("one|two|three|four|");
}

TEST(a_copy_that_was_made_before_our_last_line_is_not_read_again)
{
	static const char *const suffixes[] = { "", ".gz", ".zst" };

	for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
		for (int down = 0; down < 2; down++) {
			host();
			append(path, "this is a line of some length, number one\n");
			if (down)
				for (int n = 0; n < 20; n++)
					append(path, "and another of them\n");
			start(0);
			pump(false);
			copy_file(path, at(".1"));
			if (i > 0)
				compress_file(at(".1"), suffixes[i]);
			append(path, "two\n");
			pump(false);
			commit();
			if (down)
				stop();
			buf_clear(&in.log);
			assert_int_equal(truncate(path, 0), 0);
			append(path, "three\n");
			if (down)
				start(0);
			pump(false);
			assert_got("<truncated>three|");
		}
}

TEST(an_empty_file_is_found_again_behind_the_one_before_it)
{
	int fd;

	host();
	append(path, "one\n");
	start(0);
	pump(false);
	fd = open(path, O_WRONLY | O_APPEND);
	move(path, at(".1"));
	append(path, "");
	assert_int_equal(write(fd, "two\n", 4), 4);
	(void)close(fd);
	pump(false);
	assert_got("one|two|");
	commit();
	stop();
	append(path, "three\n");
	move(at(".1"), at(".2"));
	move(path, at(".1"));
	append(path, "four\n"); /* before the number is free again */
	compress_file(at(".1"), ".gz");
	start(0);
	pump(false);
	assert_got("three|four|");
}

/* ---- compressed siblings, and what is wrong with them --------------------------------------------------- */

/* One line was read of a log that was then rotated and compressed; `spoil` then changes the compressed file. */
static void rotated_and(void (*spoil)(const char *name), const char *suffix)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(4u << 20);

	host();
	append(path, "one\n");
	start(0);
	pump(false);
	commit();
	stop();
	/* more than decodes in one piece, so that some of it comes out before what is spoilt */
	for (int n = 0; n < 60000; n++)
		assert_int_equal(buf_printf(&b, "line %d %x\n", n, (unsigned)n * 2654435761u), 0);
	put(path, buf_bytes(&b), O_APPEND);
	move(path, at(".1"));
	compress_file(at(".1"), suffix);
	append(path, "last\n");
	spoil(at(strcmp(suffix, ".gz") == 0 ? ".1.gz" : ".1.zst"));
	start(0);
	pump(false);
}

static void cut_in_half(const char *name)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(truncate(name, st.st_size / 2), 0);
}

static void flip_a_bit(const char *name)
{
	int fd = open(name, O_RDWR);
	struct stat st;
	uint8_t c1;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, &c1, 1, st.st_size * 3 / 4), 1);
	c1 ^= 0x10;
	assert_int_equal(pwrite(fd, &c1, 1, st.st_size * 3 / 4), 1);
	(void)close(fd);
}

static void add_garbage(const char *name)
{
	append(name, "garbage");
}

static void add_a_member(const char *name)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(1024);

	append(at(".more"), "another member\n");
	compress_file(at(".more"), strrchr(name, '.'));
	b = slurp(strcmp(strrchr(name, '.'), ".gz") == 0 ? at(".more.gz") : at(".more.zst"));
	put(name, buf_bytes(&b), O_APPEND);
}

static bool log_ends_with(const char *s)
{
	return in.log.len >= strlen(s) && memcmp(in.log.data + in.log.len - strlen(s), s, strlen(s)) == 0;
}

TEST(a_damaged_or_cut_compressed_file_is_read_as_far_as_it_goes_and_declared)
{
	static const char *const suffixes[] = { ".gz", ".zst" };
	static void (*const spoils[])(const char *) = { cut_in_half, flip_a_bit };

	for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
		for (size_t k = 0; k < ELEMENTSOF(spoils); k++) {
			rotated_and(spoils[k], suffixes[i]);
			assert_memory_equal(in.log.data, "one|line 0 0|line 1 9e3779b1|", 29);
			assert_true(log_ends_with("<damaged>last|"));
			assert_true(in.log.len > 200000);
		}
}

TEST(further_members_are_read_and_garbage_after_the_last_is_not)
{
	rotated_and(add_a_member, ".gz");
	assert_true(log_ends_with("line 59999 6bd1f2af|another member|last|"));
	rotated_and(add_a_member, ".zst");
	assert_true(log_ends_with("line 59999 6bd1f2af|another member|last|"));
	rotated_and(add_garbage, ".gz");
	assert_true(log_ends_with("line 59999 6bd1f2af|last|"));
	rotated_and(add_garbage, ".zst");
	assert_true(log_ends_with("line 59999 6bd1f2af|<damaged>last|"));
}

TEST(a_zstd_window_that_is_too_big_is_refused_and_declared)
{
	for (int log = 23; log < 25; log++) {
		uint8_t data[256];
		ZSTD_CCtx *z = ZSTD_createCCtx();
		ZSTD_inBuffer from = { "zero\n", 5, 0 };
		ZSTD_outBuffer to = { data, sizeof data, 0 };

		host();
		/* a stream of unknown length says its window, however little it holds */
		assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, log)));
		assert_false(ZSTD_isError(ZSTD_compressStream2(z, &to, &from, ZSTD_e_flush)));
		assert_int_equal(ZSTD_compressStream2(z, &to, &from, ZSTD_e_end), 0);
		(void)ZSTD_freeCCtx(z);
		put(at(".1.zst"), bytes_of(data, to.pos), 0);
		append(path, "one\n");
		start(0);
		pump(false);
		assert_got(log == 23 ? "zero|one|" : "<damaged>one|");
	}
}

TEST(what_is_compressed_in_another_way_is_declared)
{
	host();
	append(path, "one\n");
	start(0);
	pump(false);
	commit();
	stop();
	append(path, "two\n");
	move(path, at(".1.xz")); /* its content does not matter: we do not look */
	append(path, "three\n");
	start(0);
	pump(false);
	assert_got("one|<rotated_away><unreadable>three|");
}

TEST(a_compressed_twin_of_a_plain_sibling_is_not_read)
{
	host();
	append(at(".1"), "one\n");
	append(at(".1.gz"), "half of what gzip is writing");
	append(path, "two\n");
	start(0);
	pump(false);
	assert_got("one|two|");
}

TEST(the_last_line_of_a_rotated_file_is_taken_without_its_newline)
{
	static const char *const suffixes[] = { "", ".gz", ".zst" };

	for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
		host();
		append(path, "one\ntw");
		start(0);
		pump(false);
		commit();
		stop();
		append(path, "o\nthr");
		move(path, at(".1"));
		touch_age(at(".1"), 400); /* nobody will finish it */
		if (i > 0)
			compress_file(at(".1"), suffixes[i]);
		append(path, "four\n");
		start(0);
		pump(false);
		assert_got("one|two|thr|four|");
	}
}

TEST(a_number_that_is_used_again_does_not_make_another_file_the_same)
{
	struct stat old, new;
	int tries = 0;

	do {
		host();
		append(path, "one, of the old file, which was longer than the new one\n");
		start(0);
		pump(false);
		commit();
		stop();
		buf_clear(&in.log);
		assert_int_equal(stat(path, &old), 0);
		assert_int_equal(unlink(path), 0);
		append(path, "two, of the new file, long enough to hold the position of the old, and more\nthree\n");
		assert_int_equal(stat(path, &new), 0);
	} while (old.st_ino != new.st_ino && ++tries < 50);
	if (old.st_ino != new.st_ino)
		skip();
	start(0);
	pump(false);
	assert_got("<rotated_away>two, of the new file, long enough to hold the position of the old, and more|three|");
}

TEST(other_files_beside_the_log_are_none_of_its_siblings)
{
	static const char *const others[] = { ".bak", "-old", ".1.orig", "2", ".1~", ".gz", ".x.1", "-2026x", ".1.gz.tmp" };

	host();
	append(path, "one\n");
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		append(at(others[i]), "no\n");
	start(0);
	pump(false);
	assert_got("one|");
}

TEST(numbers_order_siblings_and_else_the_time_does)
{
	host();
	append(at(".0"), "c\n");
	append(at(".2"), "b\n");
	append(at(".10"), "a\n");
	touch_age(at(".0"), 900);
	touch_age(at(".2"), 100); /* a restored backup's times say nothing */
	touch_age(at(".10"), 800);
	append(path, "d\n");
	start(0);
	pump(false);
	assert_got("a|b|c|d|");
	host();
	append(at("-20261103"), "b\n");
	append(at("-20261001"), "a\n");
	append(at(".1"), "c\n");
	touch_age(at("-20261103"), 900);
	touch_age(at("-20261001"), 1900);
	touch_age(at(".1"), 800);
	append(path, "d\n");
	start(0);
	pump(false);
	assert_got("a|b|c|d|");
}

TEST(a_position_that_does_not_hold_together_is_a_loss)
{
	Hallmark__V1__FilePosition file = HALLMARK__V1__FILE_POSITION__INIT, *files[] = { &file };
	Hallmark__V1__Position p = HALLMARK__V1__POSITION__INIT;
	static const uint64_t offsets[] = { 1, UINT64_MAX };

	for (size_t i = 0; i < ELEMENTSOF(offsets); i++) {
		host();
		append(path, "one\n");
		file.offset = offsets[i];
		p.source = path;
		p.files = files;
		p.n_files = 1;
		committed.len = hallmark__v1__position__pack(&p, committed.packed);
		committed.there = true;
		start(0);
		pump(false);
		assert_got("<rotated_away>one|");
	}
}

/* ---- everything at once --------------------------------------------------------------------------------- */

/* A writer, rotations and an agent that is killed, all at random: with renaming, each line is there once. */
static void at_random(unsigned seed)
{
	static bool seen[2000];
	char trace[4096] = "";
	int line = 0, written = -1;
	size_t steps = 0;

	host();
	srand(seed);
	memset(seen, 0, sizeof seen);
	written = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	start(0);
	for (int i = 0; i < 150; i++) {
		int what = rand() % 20;
		char text[64];

		trace[steps++] = (char)('a' + what);
		if (what < 10) {
			(void)snprintf(text, sizeof text, "line %d %s\n", line++, rand() % 4 ? "" : "and more of it");
			assert_int_equal(write(written, text, strlen(text)), strlen(text));
		} else if (what < 14) {
			in.room = in.batch = rand() % 4 ? SIZE_MAX : (size_t)(1 + rand() % 3);
			pump(rand() % 4 == 0);
		} else if (what < 16) {
			if (what == 14)
				commit();
			else
				in.log.len = committed.there ? committed.log_len : 0; /* killed: what was not committed is not */
			stop();
			start(0);
		} else if (what < 18) {
			for (int n = 30; n > 0; n--)
				for (int z = 0; z < 2; z++) {
					char from[32], to[32];

					(void)snprintf(from, sizeof from, ".%d%s", n, z ? ".gz" : "");
					(void)snprintf(to, sizeof to, ".%d%s", n + 1, z ? ".gz" : "");
					(void)rename(at(from), at(to));
				}
			if (access(path, F_OK) == 0)
				move(path, at(".1"));
		} else {
			(void)close(written);
			written = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
			if (what == 19 && access(at(".1"), F_OK) == 0)
				compress_file(at(".1"), ".gz");
		}
		(void)usleep(500);
	}
	(void)close(written);
	in.room = SIZE_MAX;
	append(path, "end\n");
	pump(false);
	assert_int_equal(buf_byte(&in.log, '\0'), 0);
	if (strstr((const char *)in.log.data, "<trunc") || strstr((const char *)in.log.data, "<rot"))
		fail_msg("a loss, with seed %u: %s\n%s", seed, trace, (const char *)in.log.data);
	for (const char *p = (const char *)in.log.data; (p = strstr(p, "line ")); p++) {
		int n = atoi(p + 5);

		if (seen[n])
			fail_msg("line %d twice, with seed %u: %s\n%s", n, seed, trace, (const char *)in.log.data);
		seen[n] = true;
	}
	for (int n = 0; n < line; n++)
		if (!seen[n])
			fail_msg("line %d is missing, with seed %u: %s", n, seed, trace);
}

TEST(each_line_is_there_once_whatever_happens_and_in_whatever_order)
{
	const char *seed = getenv("SEED"), *runs = getenv("RUNS");

	for (int i = 0; i < (runs ? atoi(runs) : 10); i++)
		at_random(seed ? (unsigned)atoi(seed) : (unsigned)(i + 1));
}
