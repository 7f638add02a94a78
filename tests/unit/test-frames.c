/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"
#include "agent/frames.h"

#include <errno.h>
#include <sys/wait.h>

#include "agent/base/clock.h"
#include "agent/spool.h"
#include "tests/unit/frame-maker.h"

#define SEG(n) "0000000000000000000" #n ".seg"
#define HEADER(version, length) "HMRK" version "\0\0\0" length

/* What a reader met, in letters: F frame (with its sequence), D damage (with its bytes), N newer, E error. */
static char met[4096];
static char met_why[64];

static const char *meet_limited(char *const *paths, size_t n, uint64_t limit_segment, uint64_t limit_offset)
{
	_cleanup_(frames_closep) struct frames *f = NULL;
	struct frames_result item;
	size_t len = 0;

	met[0] = met_why[0] = '\0';
	assert_int_equal(frames_open(paths, n, limit_segment, limit_offset, &f), 0);
	for (;;) {
		unsigned long long number = 0;

		assert_int_equal(frames_next(f, &item), 0);
		if (item.item == FRAMES_END)
			return met;
		assert_non_null(item.path);
		if (item.item == FRAMES_FRAME)
			number = item.frame.batch->sequence;
		if (item.item == FRAMES_DAMAGE || item.item == FRAMES_NEWER)
			number = item.damage_bytes;
		if (item.item == FRAMES_FILE_ERROR)
			number = (unsigned long long)-item.error;
		if (item.item == FRAMES_DAMAGE)
			(void)snprintf(met_why, sizeof met_why, "%s", item.why);
		assert_true(len + 32 < sizeof met);
		len += (size_t)snprintf(met + len, sizeof met - len, "%s%c%llu", len ? " " : "", "?FDNE"[item.item], number);
	}
}

static const char *meet(const char *path)
{
	char copy[PATH_MAX + 512];
	char *const paths[] = { copy };

	(void)snprintf(copy, sizeof copy, "%s", path);
	return meet_limited(paths, 1, UINT64_MAX, UINT64_MAX);
}

/* A file that is put together piece by piece. */
struct bench {
	struct place place;
	struct maker maker;
	struct buf file;
};

static void bench_done(struct bench *b)
{
	place_done(&b->place);
	maker_done(&b->maker);
	buf_done(&b->file);
}

static void bench_init(struct bench *b)
{
	*b = (struct bench){ .file = BUF_INIT(64u * 1024 * 1024) };
	place_init(&b->place);
	maker_init(&b->maker);
}

static void put(struct bench *b, struct bytes piece)
{
	assert_int_equal(buf_append(&b->file, piece), 0);
}

static void put_many(struct bench *b, uint8_t c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_byte(&b->file, c), 0);
}

/* Writes the file, and begins another. */
static const char *save(struct bench *b, const char *name)
{
	(void)unlinkat(b->place.fd, name, 0);
	place_write(&b->place, name, buf_bytes(&b->file), 0);
	buf_clear(&b->file);
	return place_path(&b->place, name);
}

/* --- one file ------------------------------------------------------------------------------------------ */

TEST(frames_come_back_in_order)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	assert_string_equal(meet(save(&b, "empty")), "");
	put(&b, maker_next(&b.maker, 0));
	put(&b, maker_next(&b.maker, 100));
	put(&b, maker_next(&b.maker, 890000));
	put(&b, maker_next(&b.maker, 5));
	assert_string_equal(meet(save(&b, "file")), "F1 F2 F3 F4");
}

TEST(zeros_at_the_end_are_no_damage_and_zeros_between_are)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	put_many(&b, 0, 5000000);
	assert_string_equal(meet(save(&b, "zeros")), "");
	put(&b, maker_next(&b.maker, 10));
	put_many(&b, 0, 5000000);
	assert_string_equal(meet(save(&b, "end")), "F1");
	put(&b, maker_next(&b.maker, 10));
	put_many(&b, 0, 3000000);
	put(&b, maker_next(&b.maker, 10));
	put_many(&b, 0, 7);
	assert_string_equal(meet(save(&b, "between")), "F2 D3000000 F3");
	assert_string_equal(met_why, "zeros between frames");
	put(&b, maker_next(&b.maker, 10));
	put_many(&b, 0, 100);
	put(&b, LIT("x"));
	put_many(&b, 0, 100);
	assert_string_equal(meet(save(&b, "something")), "F4 D101");
}

TEST(a_run_of_damage_is_told_once_with_its_length)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	put(&b, LIT("junk"));
	put(&b, maker_next(&b.maker, 10));
	put_many(&b, 'j', 4000000);
	put(&b, LIT("HMRKHMHMR"));
	put(&b, maker_next(&b.maker, 10));
	put(&b, LIT("HMR"));
	put(&b, maker_next(&b.maker, 10));
	put(&b, LIT("H"));
	assert_string_equal(meet(save(&b, "file")), "D4 F1 D4000009 F2 D3 F3 D1");
}

TEST(a_frame_is_found_wherever_a_read_ends)
{
	for (size_t n = 65536 - 16; n < 65536 + 2; n++) {
		_cleanup_(bench_done) struct bench b;
		char expected[64];

		bench_init(&b);
		put_many(&b, 'j', n);
		put(&b, maker_next(&b.maker, 10));
		(void)snprintf(expected, sizeof expected, "D%zu F1", n);
		assert_string_equal(meet(save(&b, "file")), expected);
	}
}

TEST(a_damaged_frame_does_not_hide_the_next)
{
	_cleanup_(bench_done) struct bench b;
	struct bytes frame;
	size_t size;

	bench_init(&b);
	put(&b, maker_next(&b.maker, 10));
	frame = maker_next(&b.maker, 1000);
	size = frame.len;
	for (size_t i = 0; i < FRAME_HEADER_SIZE; i++) { /* each bit of the header; the version is another matter */
		char expected[64];

		if (i == 4 || i == 5)
			continue;
		(void)snprintf(expected, sizeof expected, "D%zu F3", size);
		for (int bit = 0; bit < 8; bit++) {
			buf_clear(&b.file);
			put(&b, buf_bytes(&b.maker.frame));
			b.file.data[i] ^= (uint8_t)(1 << bit);
			b.maker.sequence = 2;
			{
				_cleanup_(buf_done) struct buf keep = BUF_INIT(FRAME_MAX);

				assert_int_equal(buf_append(&keep, buf_bytes(&b.maker.frame)), 0);
				put(&b, maker_next(&b.maker, 10));
				buf_clear(&b.maker.frame);
				assert_int_equal(buf_append(&b.maker.frame, buf_bytes(&keep)), 0);
			}
			assert_string_equal(meet(save(&b, "file")), expected);
		}
	}
}

TEST(a_frame_that_is_cut_off_at_the_end_says_so)
{
	_cleanup_(bench_done) struct bench b;
	struct bytes frame;

	bench_init(&b);
	put(&b, maker_next(&b.maker, 10));
	frame = maker_next(&b.maker, 10);
	put(&b, bytes_of(frame.data, 50));
	assert_string_equal(meet(save(&b, "file")), "F1 D50");
	assert_string_equal(met_why, "cut off");
	/* the same in the middle is something else */
	frame = maker_next(&b.maker, 5000);
	put(&b, bytes_of(frame.data, 50));
	put(&b, maker_next(&b.maker, 10));
	assert_string_equal(meet(save(&b, "file")), "D50 F4");
	assert_string_not_equal(met_why, "cut off");
}

TEST(a_length_of_4_GiB_is_passed_over)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	for (int i = 0; i < 1000; i++)
		put(&b, LIT(HEADER("\1", "\xff\xff\xff\xff")));
	put(&b, maker_next(&b.maker, 10));
	assert_string_equal(meet(save(&b, "file")), "D12000 F1");
}

TEST(a_newer_format_is_told_apart_from_damage)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	put(&b, maker_next(&b.maker, 10));
	put(&b, LIT(HEADER("\2", "\4\0\0\0") "abcd"));
	put(&b, LIT("j" HEADER("\3", "\2\0\0\0") "xy"));
	put(&b, maker_next(&b.maker, 10));
	put(&b, LIT(HEADER("\2", "\5\0\0\0") "abcd"));
	assert_string_equal(meet(save(&b, "file")), "F1 N16 D1 N14 F2 D16");
	/* nor does it hide a frame */
	put(&b, LIT(HEADER("\2", "\0\1\0\0")));
	put(&b, maker_next(&b.maker, 500));
	assert_string_equal(meet(save(&b, "file")), "D12 F3");
}

/* --- hostile lengths ----------------------------------------------------------------------------------- */

TEST(a_million_tiny_frames_take_little_time)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t start;

	bench_init(&b);
	for (int i = 0; i < 1000000; i++)
		put(&b, LIT(HEADER("\1", "\1\0\0\0") "\n"));
	put(&b, maker_next(&b.maker, 10));
	(void)save(&b, "file");
	start = clock_boot_us();
	assert_string_equal(meet(place_path(&b.place, "file")), "D13000000 F1");
	assert_in_range(clock_boot_us() - start, 0, 20000000); /* valgrind's pace */
}

/* Frames within frames, of which each is well-formed but for its batch and ends where they all end: taken apart one by
 * one, these 2.5 MB would be hashed as 60 GB. */
TEST(lengths_that_reach_over_one_another_take_linear_time)
{
	static const uint8_t tail[] = "\x12\x27" PAYLOAD_TYPE "\x1a\x03\x0a\x01s";
	const size_t tail_len = sizeof tail - 1, head_len = FRAME_HEADER_SIZE + 4, pieces = 52000;
	_cleanup_(bench_done) struct bench b;
	uint64_t start;

	bench_init(&b);
	assert_int_equal(sizeof PAYLOAD_TYPE - 1, 0x27);
	for (int region = 0; region < 3; region++) {
		for (size_t i = pieces; i > 0; i--) {
			size_t payload = (i - 1) * head_len + 20000, envelope = 4 + payload + tail_len;

			put(&b, LIT(HEADER("\1", "")));
			put(&b, bytes_of((uint8_t[]){ envelope & 0xff, envelope >> 8 & 0xff, (uint8_t)(envelope >> 16), 0, '\n',
						      0x80 | (payload & 0x7f), 0x80 | (payload >> 7 & 0x7f),
						      (uint8_t)(payload >> 14) }, 8));
		}
		put_many(&b, 'j', 20000);
		put(&b, bytes_of(tail, tail_len));
	}
	put(&b, maker_next(&b.maker, 10));
	(void)save(&b, "file");
	start = clock_boot_us();
	assert_non_null(strstr(meet(place_path(&b.place, "file")), " F1"));
	assert_in_range(clock_boot_us() - start, 0, 10000000);
}

/* --- streams, lists and directories -------------------------------------------------------------------- */

TEST(a_pipe_is_read_however_it_trickles)
{
	_cleanup_(bench_done) struct bench b;
	char path[64];
	int fds[2], status;
	pid_t pid;

	bench_init(&b);
	put(&b, LIT("jj"));
	for (int i = 0; i < 5; i++)
		put(&b, maker_next(&b.maker, (size_t)i * 3000));
	put(&b, LIT("HMRK\1"));
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (size_t i = 0; i < b.file.len; i += 77)
			if (write_all(fds[1], bytes_of(b.file.data + i, MIN((size_t)77, b.file.len - i))) < 0)
				_exit(1);
		_exit(0);
	}
	(void)close(fds[1]);
	(void)snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
	assert_string_equal(meet(path), "D2 F1 F2 F3 F4 F5 D5");
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

TEST(a_frame_is_handed_out_before_the_stream_goes_on)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(frames_closep) struct frames *f = NULL;
	struct frames_result item;
	int fds[2], before = dup(STDIN_FILENO);
	char dash[] = "-";
	char *const paths[] = { dash };

	bench_init(&b);
	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[0], STDIN_FILENO) >= 0);
	assert_int_equal(frames_open(paths, 1, UINT64_MAX, UINT64_MAX, &f), 0);
	for (uint64_t i = 1; i <= 3; i++) { /* would wait for ever if it wanted more than the frame */
		assert_int_equal(write_all(fds[1], maker_next(&b.maker, 100)), 0);
		assert_int_equal(frames_next(f, &item), 0);
		assert_int_equal(item.item, FRAMES_FRAME);
		assert_int_equal(item.frame.batch->sequence, i);
		assert_string_equal(item.path, "-");
	}
	(void)close(fds[1]);
	assert_int_equal(frames_next(f, &item), 0);
	assert_int_equal(item.item, FRAMES_END);
	(void)close(fds[0]);
	(void)dup2(before, STDIN_FILENO);
	(void)close(before);
}

TEST(a_directory_is_read_by_name_regular_files_only)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, "2026-11-02");
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, "2026-11-01");
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, ".hidden");
	assert_int_equal(mkfifoat(b.place.fd, "2026-11-00", 0600), 0);
	assert_int_equal(mkdirat(b.place.fd, "2026-11-03", 0700), 0);
	assert_int_equal(symlinkat("2026-11-01", b.place.fd, "2026-11-04"), 0);
	assert_string_equal(meet(b.place.path), "F2 F1");
}

TEST(a_file_that_cannot_be_read_is_told_and_the_next_is_read)
{
	_cleanup_(bench_done) struct bench b;
	char missing[PATH_MAX + 512], there[PATH_MAX + 512];
	char *const paths[] = { missing, there, missing, there };

	bench_init(&b);
	(void)snprintf(missing, sizeof missing, "%s", place_path(&b.place, "missing"));
	put(&b, maker_next(&b.maker, 1));
	(void)snprintf(there, sizeof there, "%s", save(&b, "there"));
	assert_string_equal(meet_limited(paths, 4, UINT64_MAX, UINT64_MAX), "E2 F1 E2 F1");
}

/* --- spools -------------------------------------------------------------------------------------------- */

TEST(an_abandoned_end_is_passed_over)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	put(&b, LIT("lock"));
	(void)save(&b, "lock");
	put(&b, maker_next(&b.maker, 1));
	put(&b, maker_next(&b.maker, 1));
	put(&b, maker_seal(&b.maker, 1)); /* 3, void */
	put_many(&b, 0, 1000);
	(void)save(&b, SEG(1));
	put(&b, maker_seal(&b.maker, 1)); /* 3 again, void as well */
	(void)save(&b, SEG(2));
	(void)save(&b, SEG(3)); /* never used */
	put(&b, maker_next(&b.maker, 1));
	put(&b, bytes_of(maker_seal(&b.maker, 200).data, 100)); /* 4, torn */
	put_many(&b, 0, 1000);
	(void)save(&b, SEG(4));
	put(&b, maker_next(&b.maker, 1));
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, SEG(5));
	assert_string_equal(meet(b.place.path), "F1 F2 F3 F4 F5");
}

TEST(what_is_missing_behind_damage_is_not_taken_for_an_abandoned_end)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	put(&b, maker_next(&b.maker, 1));
	put(&b, LIT("what was frame 2"));
	maker_accept(&b.maker);
	(void)save(&b, SEG(1));
	put(&b, maker_next(&b.maker, 1));
	put(&b, LIT("torn"));
	(void)save(&b, SEG(2));
	assert_string_equal(meet(b.place.path), "F1 D16 F3 D4");
}

TEST(a_segment_of_another_key_or_without_a_signature_makes_nothing_void)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(maker_done) struct maker other;

	bench_init(&b);
	maker_init(&other);
	put(&b, maker_next(&b.maker, 1));
	put(&b, maker_next(&b.maker, 1));
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, SEG(1));
	b.maker.sequence = 2;
	put(&b, maker_next(&b.maker, 1));
	b.file.data[b.file.len - 1] ^= 1;
	(void)save(&b, SEG(2));
	other.sequence = 2;
	put(&b, maker_next(&other, 1));
	(void)save(&b, SEG(3));
	assert_string_equal(meet(b.place.path), "F1 F2 F3 F3 F3");
}

TEST(what_lies_beside_segments_is_read_behind_them)
{
	_cleanup_(bench_done) struct bench b;
	char *const paths[] = { b.place.path };

	bench_init(&b);
	put(&b, maker_next(&b.maker, 1));
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, "0");
	b.maker.sequence = 1;
	put(&b, maker_next(&b.maker, 1));
	put(&b, LIT("torn"));
	(void)save(&b, SEG(1));
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, SEG(2));
	put(&b, LIT("torn"));
	(void)save(&b, "x");
	assert_string_equal(meet(b.place.path), "F2 F3 F1 F2 D4");
	assert_string_equal(meet_limited(paths, 1, 1, 0), "F1 F2 D4");
}

TEST(nothing_behind_the_committed_end_is_read)
{
	_cleanup_(bench_done) struct bench b;
	char *const paths[] = { b.place.path };
	size_t end;

	bench_init(&b);
	put(&b, maker_next(&b.maker, 1));
	put(&b, maker_next(&b.maker, 1));
	put(&b, LIT("torn")); /* abandoned */
	(void)save(&b, SEG(1));
	put(&b, maker_next(&b.maker, 1));
	put(&b, maker_next(&b.maker, 1));
	end = b.file.len;
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, SEG(2));
	put(&b, maker_next(&b.maker, 1));
	(void)save(&b, SEG(3));
	assert_string_equal(meet_limited(paths, 1, 2, end), "F1 F2 F3 F4");
	assert_string_equal(meet_limited(paths, 1, 2, UINT64_MAX), "F1 F2 F3 F4 F5");
	assert_string_equal(meet_limited(paths, 1, 1, UINT64_MAX), "F1 F2 D4");
	assert_string_equal(meet_limited(paths, 1, 2, 0), "F1 F2 D4");
	assert_string_equal(meet_limited(paths, 1, 1, 0), "");
	assert_string_equal(meet_limited(paths, 1, 0, 0), "");
	assert_string_equal(meet(b.place.path), "F1 F2 F3 F4 F5 F6");
}

/* --- everything at once -------------------------------------------------------------------------------- */

/* What is no frame, and much like one. Returns its length. */
static size_t put_junk(struct bench *b)
{
	size_t before = b->file.len, n = (size_t)random();

	switch (random() % 4) {
	case 0:
		put_many(b, 'j', n % 300000);
		break;
	case 1:
		put(b, bytes_of("HMRKHMRK", n % 8));
		break;
	case 2:
		put(b, LIT("HMRK\1\0\0\0"));
		put(b, bytes_of((uint8_t[]){ n & 0xff, n >> 8 & 0xff, n >> 16 & 15, 0 }, 4));
		break;
	default:
		put_many(b, 0, n % 5000);
		put(b, LIT("."));
	}
	return b->file.len - before;
}

/* Frames and junk in random order and sizes, over several buffers: what comes back is what was put in. */
TEST(frames_and_damage_come_back_as_they_were_put_in)
{
	for (unsigned seed = 1; seed <= 12; seed++) {
		_cleanup_(bench_done) struct bench b;
		char expected[4096] = "";
		size_t len = 0, junk = 0;

		bench_init(&b);
		srandom(seed);
		while (b.file.len < 6u * 1024 * 1024 && len + 64 < sizeof expected) {
			if (random() % 3 == 0) {
				junk += put_junk(&b);
				continue;
			}
			put(&b, maker_next(&b.maker, (size_t)random() % (random() % 4 ? 5000 : 700000)));
			if (junk)
				len += (size_t)snprintf(expected + len, sizeof expected - len, "%sD%zu", len ? " " : "", junk);
			len += (size_t)snprintf(expected + len, sizeof expected - len, "%sF%llu", len ? " " : "",
						(unsigned long long)b.maker.sequence);
			junk = 0;
		}
		put(&b, LIT("HMRK"));
		(void)snprintf(expected + len, sizeof expected - len, "%sD%zu", len ? " " : "", junk + 4);
		assert_string_equal(meet(save(&b, "file")), expected);
	}
}
