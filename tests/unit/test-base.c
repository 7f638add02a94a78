/* SPDX-License-Identifier: Apache-2.0 */
/* Views, buffers and files. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/base/arena.h"
#include "agent/base/io.h"

/* --- bytes --------------------------------------------------------------------------------- */

TEST(a_view_is_compared_by_what_it_shows)
{
	assert_true(bytes_eq(LIT("a\0b"), bytes_of("a\0b", 3)));
	assert_false(bytes_eq(LIT("a\0b"), LIT("a\0c")));
	assert_false(bytes_eq(LIT("ab"), LIT("abc")));
	assert_true(bytes_eq(BYTES_NONE, LIT("")));
	assert_true(bytes_starts(LIT("abc"), LIT("ab")));
	assert_true(bytes_starts(LIT("abc"), BYTES_NONE));
	assert_false(bytes_starts(LIT("ab"), LIT("abc")));
	assert_false(bytes_starts(LIT("xb"), LIT("ab")));
	assert_int_equal(bytes_str(NULL).len, 0);
}

TEST(the_rest_of_a_view_ends_where_the_view_ends)
{
	assert_bytes_equal(bytes_from(LIT("abc"), 1), "bc");
	assert_bytes_equal(bytes_from(LIT("abc"), 0), "abc");
	assert_int_equal(bytes_from(LIT("abc"), 3).len, 0);
	assert_int_equal(bytes_from(LIT("abc"), 4).len, 0);
	assert_int_equal(bytes_from(BYTES_NONE, 1).len, 0);
}

TEST(numbers_are_digits_and_nothing_else)
{
	static const struct {
		const char *text;
		int r;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "0042", 0, 42 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "0x1", -EINVAL, 0 },
		{ "1/", -EINVAL, 0 },
		{ "1:", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		uint64_t v = 4711;

		assert_int_equal(bytes_to_u64(bytes_str(cases[i].text), &v), cases[i].r);
		assert_int_equal(v, cases[i].r == 0 ? cases[i].value : 4711);
	}
}

/* --- buf ----------------------------------------------------------------------------------- */

TEST(a_buffer_grows_to_its_maximum_and_no_further)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(100);
	uint8_t block[60] = { 7 };

	assert_int_equal(buf_append(&b, bytes_of(block, sizeof block)), 0);
	assert_int_equal(buf_append(&b, bytes_of(block, sizeof block)), -EMSGSIZE);
	assert_int_equal(b.len, 60);
	assert_int_equal(buf_append(&b, bytes_of(block, 40)), 0);
	assert_int_equal(b.len, 100);
	assert_int_equal(buf_byte(&b, 1), -EMSGSIZE);
	assert_int_equal(buf_append(&b, BYTES_NONE), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
	assert_int_equal(b.len, 100);
	assert_int_equal(b.data[60], 7);
	buf_clear(&b);
	assert_int_equal(b.cap, 100);
	buf_done(&b);
	assert_null(b.data);
	assert_int_equal(b.max, 100);
	assert_int_equal(buf_str(&b, "again"), 0);
	assert_bytes_equal(buf_bytes(&b), "again");
}

TEST(formatted_text_is_appended_without_its_end)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(16);

	assert_int_equal(buf_printf(&b, "%s-%d", "ab", 12), 0);
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_bytes_equal(buf_bytes(&b), "ab-12");
	assert_int_equal(buf_printf(&b, "%s", "0123456789ab"), -EMSGSIZE);
	assert_bytes_equal(buf_bytes(&b), "ab-12");
}

/* --- io ------------------------------------------------------------------------------------ */

struct place {
	char path[32];
	int fd;
};

static struct place new_place(void)
{
	struct place p = { .path = "/tmp/test-base.XXXXXX" };

	assert_non_null(mkdtemp(p.path));
	p.fd = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p.fd >= 0);
	return p;
}

static void remove_place(struct place *p, const char *const *names)
{
	for (; *names; names++)
		if (unlinkat(p->fd, *names, 0) < 0)
			assert_int_equal(unlinkat(p->fd, *names, AT_REMOVEDIR), 0);
	/* nothing else was left behind */
	assert_int_equal(rmdir(p->path), 0);
	(void)close(p->fd);
}

TEST(a_file_is_replaced_whole_and_with_its_mode)
{
	struct place p = new_place();
	_cleanup_(buf_done) struct buf b = BUF_INIT(64);
	mode_t mask = umask(0077);
	struct stat st;

	assert_int_equal(replace_file_at(p.fd, "f", LIT("first"), 0644, true), 0);
	assert_int_equal(replace_file_at(p.fd, "f", LIT("second"), 0600, false), 0);
	assert_int_equal(replace_file_at(p.fd, "g", LIT("x"), 0644, false), 0);
	(void)umask(mask);
	assert_int_equal(read_file_at(p.fd, "f", true, &b), 0);
	assert_bytes_equal(buf_bytes(&b), "second");
	assert_int_equal(fstatat(p.fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstatat(p.fd, "g", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	remove_place(&p, (const char *const[]){ "f", "g", NULL });
}

TEST(a_failed_replacement_leaves_the_old_file_and_nothing_else)
{
	struct place p = new_place();
	char name[300];

	assert_int_equal(mkdirat(p.fd, "d", 0700), 0);
	assert_int_equal(mkdirat(p.fd, "d/x", 0700), 0);
	assert_true(replace_file_at(p.fd, "d", LIT("x"), 0600, true) < 0);
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(replace_file_at(p.fd, name, LIT("x"), 0600, true), -ENAMETOOLONG);
	/* what an interrupted run left is no hindrance */
	assert_int_equal(replace_file_at(p.fd, "f", LIT("x"), 0600, true), 0);
	assert_int_equal(renameat(p.fd, "f", p.fd, ".f.tmp"), 0);
	assert_int_equal(replace_file_at(p.fd, "f", LIT("y"), 0600, true), 0);
	remove_place(&p, (const char *const[]){ "d/x", "d", "f", NULL });
}

TEST(a_file_that_is_too_large_is_not_read_in_part)
{
	struct place p = new_place();
	_cleanup_(buf_done) struct buf b = BUF_INIT(40000);
	static const uint8_t large[40000];

	assert_int_equal(replace_file_at(p.fd, "f", bytes_of(large, sizeof large), 0600, false), 0);
	assert_int_equal(buf_str(&b, "abc"), 0);
	assert_int_equal(read_file_at(p.fd, "f", false, &b), -EMSGSIZE);
	assert_bytes_equal(buf_bytes(&b), "abc");
	buf_clear(&b);
	assert_int_equal(read_file_at(p.fd, "f", false, &b), 0);
	assert_int_equal(b.len, sizeof large);
	assert_int_equal(replace_file_at(p.fd, "f", LIT("12345678"), 0600, false), 0);
	assert_int_equal(read_file_at(p.fd, "none", false, &b), -ENOENT);
	assert_int_equal(symlinkat("f", p.fd, "link"), 0);
	buf_clear(&b);
	assert_int_equal(read_file_at(p.fd, "link", true, &b), -ELOOP);
	assert_int_equal(read_file_at(p.fd, "link", false, &b), 0);
	assert_bytes_equal(buf_bytes(&b), "12345678");
	remove_place(&p, (const char *const[]){ "f", "link", NULL });
}

TEST(reads_and_writes_are_whole)
{
	struct place p = new_place();
	_cleanup_(closep) int fd = openat(p.fd, "f", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char data[16];

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, LIT("hello")), 0);
	assert_int_equal(pwrite_all(fd, LIT("world"), 7), 0);
	assert_int_equal(pread_all(fd, data, sizeof data, 0), 12);
	assert_memory_equal(data, "hello\0\0world", 12);
	assert_int_equal(pread_all(fd, data, 3, 1), 3);
	assert_memory_equal(data, "ell", 3);
	assert_int_equal(pread_all(fd, data, 3, 100), 0);
	assert_int_equal(pread_all(-1, data, 3, 0), -EBADF);
	assert_int_equal(write_all(-1, LIT("x")), -EBADF);
	assert_int_equal(pwrite_all(-1, LIT("x"), 0), -EBADF);
	remove_place(&p, (const char *const[]){ "f", NULL });
}

TEST(a_directory_is_made_with_all_above_it)
{
	struct place p = new_place();
	char path[64];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof path, "%s/a/b", p.path);
	for (unsigned i = 0; i < 2; i++) { /* the second time it is there */
		fd = open_directory(path, 0700);
		assert_true(fd >= 0);
		(void)close(fd);
	}
	assert_int_equal(fstatat(p.fd, "a/b", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(replace_file_at(p.fd, "f", LIT("x"), 0600, false), 0);
	(void)snprintf(path, sizeof path, "%s/f", p.path);
	assert_int_equal(open_directory(path, 0700), -ENOTDIR);
	(void)snprintf(path, sizeof path, "%s/f/g", p.path);
	assert_int_equal(open_directory(path, 0700), -ENOTDIR);
	assert_int_equal(open_directory("", 0700), -ENAMETOOLONG);
	remove_place(&p, (const char *const[]){ "a/b", "a", "f", NULL });
}

/* --- arena -------------------------------------------------------------------------------- */

TEST(the_same_bytes_are_kept_once)
{
	struct arena arena = { 0 };
	const uint8_t *first[1000];

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 1000; i++) {
			struct bytes kept = arena_keep(&arena, bytes_of(&i, i % 2 ? sizeof i : 2));

			assert_non_null(kept.data);
			assert_memory_equal(kept.data, &i, kept.len);
			assert_int_equal(kept.data[kept.len], 0);
			if (round > 0)
				assert_ptr_equal(kept.data, first[i]);
			first[i] = kept.data;
		}
	}
	assert_int_equal(arena_keep(&arena, BYTES_NONE).len, 0);
	assert_non_null(arena_keep(&arena, BYTES_NONE).data);
	/* from then on they are copied again; what was kept stays */
	arena_settle(&arena);
	assert_ptr_not_equal(arena_keep(&arena, bytes_of(first[1], sizeof(unsigned))).data, first[1]);
	assert_int_equal(*(const unsigned *)(const void *)first[1], 1);
	arena_done(&arena);
}
