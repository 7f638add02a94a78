/* SPDX-License-Identifier: Apache-2.0 */
/* The log file collector and compressed siblings, and what is wrong with them. */
#include "tests/unit/logfile-host.h"

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
