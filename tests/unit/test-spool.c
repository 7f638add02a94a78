/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/faults.c"
#include "tests/unit/test.h"
#include "agent/spool.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "agent/frames.h"
#include "tests/unit/frame-maker.h"

#define SEGMENT (128u * 1024) /* half of it reserve */
#define LARGE 20000u          /* three such frames and a fourth that does not fit */
#define ACCEPTED_MAX 64

/* A spool with its own chain, and what it said was durable. */
struct bench {
	struct place place;
	struct maker maker;
	struct spool_options options;
	char directory[PATH_MAX + 16], publish[PATH_MAX + 16], acked[PATH_MAX + 16];
	struct spool *spool;
	struct spool_damage damage;
	uint8_t accepted[ACCEPTED_MAX][DIGEST_SIZE]; /* by sequence, from 1 */
};

static void bench_done(struct bench *b)
{
	faults_set(NULL);
	spool_close(b->spool);
	maker_done(&b->maker);
	place_done(&b->place);
}

static void bench_init(struct bench *b)
{
	memset(b, 0, sizeof *b);
	place_init(&b->place);
	maker_init(&b->maker);
	(void)snprintf(b->directory, sizeof b->directory, "%s/spool", b->place.path);
	(void)snprintf(b->publish, sizeof b->publish, "%s/run", b->place.path);
	(void)snprintf(b->acked, sizeof b->acked, "%s/acked", b->place.path);
	b->options = (struct spool_options){
		.directory = b->directory,
		.publish_directory = b->publish,
		.acked_path = b->acked,
		.public_key = b->maker.public_key,
		.cap_bytes = 8 * SEGMENT,
		.segment_bytes = SEGMENT,
	};
}

static int bench_open(struct bench *b)
{
	b->spool = spool_close(b->spool);
	b->damage = (struct spool_damage){ 0 };
	return spool_open(&b->options, &b->spool, &b->damage);
}

static void bench_accept(struct bench *b)
{
	maker_accept(&b->maker);
	assert_in_range(b->maker.sequence, 1, ACCEPTED_MAX - 1);
	memcpy(b->accepted[b->maker.sequence], b->maker.digest, DIGEST_SIZE);
}

/* Signs and appends the next frame; after a failure the chain stands where it stood. */
static int bench_append(struct bench *b, size_t ballast)
{
	struct bytes frame = maker_seal(&b->maker, ballast);
	int r = spool_append(b->spool, frame, b->maker.sequence + 1, false);

	if (r == 0)
		bench_accept(b);
	return r;
}

static void bench_fill(struct bench *b, unsigned n, size_t ballast)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(bench_append(b, ballast), 0);
}

/* The tip is the last frame that was said to be durable, and a reader meets each of them once, in order. Returns how
 * many bytes of damage it met. */
static uint64_t bench_check(struct bench *b)
{
	char *const paths[] = { b->directory };
	_cleanup_(frames_closep) struct frames *f = NULL;
	struct frames_result item;
	uint64_t expected = 1, damage = 0;

	if (b->maker.sequence > 0) {
		const struct spool_tip *tip = spool_tip(b->spool);

		assert_true(tip->exists);
		assert_int_equal(tip->frame.batch->sequence, b->maker.sequence);
		assert_memory_equal(tip->frame.digest, b->maker.previous, DIGEST_SIZE);
	}
	assert_int_equal(frames_open(paths, 1, UINT64_MAX, UINT64_MAX, &f), 0);
	while (frames_next(f, &item) == 0 && item.item != FRAMES_END) {
		if (item.item == FRAMES_DAMAGE) {
			damage += item.damage_bytes;
			continue;
		}
		assert_int_equal(item.item, FRAMES_FRAME);
		assert_int_equal(item.frame.batch->sequence, expected);
		assert_memory_equal(item.frame.digest, b->accepted[expected], DIGEST_SIZE);
		expected++;
	}
	assert_int_equal(expected, b->maker.sequence + 1);
	return damage;
}

static const char *segment_file(unsigned number)
{
	static char name[64];

	(void)snprintf(name, sizeof name, "spool/%020u.seg", number);
	return name;
}

static bool bench_has(const struct bench *b, unsigned number)
{
	return faccessat(b->place.fd, segment_file(number), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void bench_flip(const struct bench *b, unsigned number, uint64_t offset)
{
	_cleanup_(closep) int fd = openat(b->place.fd, segment_file(number), O_RDWR | O_CLOEXEC);
	uint8_t c;

	assert_int_equal(pread_all(fd, &c, 1, (off_t)offset), 1);
	c ^= 0x40;
	assert_int_equal(pwrite_all(fd, bytes_of(&c, 1), (off_t)offset), 0);
}

static uint64_t bench_nonzero_behind(const struct bench *b, unsigned number, uint64_t offset)
{
	_cleanup_(buf_done) struct buf all = BUF_INIT(16 * SEGMENT);
	uint64_t n = 0;

	assert_int_equal(read_file_at(b->place.fd, segment_file(number), true, &all), 0);
	for (size_t i = offset; i < all.len; i++)
		n += all.data[i] != 0;
	return n;
}

static void bench_expect_committed(struct bench *b)
{
	uint64_t segment, offset, sequence;
	const struct spool_tip *tip = spool_tip(b->spool);

	assert_int_equal(spool_read_committed(b->publish, &segment, &offset, &sequence), 0);
	assert_int_equal(sequence, b->maker.sequence);
	assert_int_equal(segment, tip->segment);
	assert_int_equal(offset, tip->end);
}

/* --- the ordinary run ---------------------------------------------------------------------------------- */

TEST(what_was_appended_is_there_after_reopening)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	assert_false(spool_tip(b.spool)->exists);
	bench_expect_committed(&b);
	bench_fill(&b, 20, 100);
	bench_expect_committed(&b);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	bench_expect_committed(&b);
	assert_int_equal(b.damage.places + b.damage.cut_bytes, 0);
	bench_fill(&b, 20, 100);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	assert_true(bench_has(&b, 1));
	assert_false(bench_has(&b, 2));
}

TEST(segments_follow_one_another_readable_by_the_group_and_preallocated)
{
	_cleanup_(bench_done) struct bench b;
	mode_t before = umask(077);
	struct stat st;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 10, LARGE);
	umask(before);
	for (unsigned i = 1; i <= 4; i++) {
		assert_int_equal(fstatat(b.place.fd, segment_file(i), &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		assert_int_equal(st.st_size, SEGMENT);
		assert_true(st.st_blocks * 512 >= SEGMENT);
	}
	assert_false(bench_has(&b, 5));
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(b.damage.places + b.damage.cut_bytes, 0);
}

TEST(a_new_segment_and_its_directory_are_synced_before_the_first_frame)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	faults_set("fsync:/spool:pause=0 pwrite:.seg:EIO:once fdatasync:.seg:pause=0");
	assert_int_equal(bench_append(&b, 100), -EIO);
	assert_int_equal(faults_rules[0].seen, 2);
	bench_fill(&b, 3, 100);
	assert_int_equal(faults_rules[0].seen, 4);
	assert_int_equal(faults_rules[2].seen, 3);
	faults_set("fsync:/spool:pause=0 pwrite:.seg:pause=0"); /* at the start: the tip, and its segment's name */
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(faults_rules[0].seen, 2);
	assert_int_equal(faults_rules[1].seen, 1);
}

TEST(a_second_one_finds_it_busy_unless_it_only_reads)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(spool_closep) struct spool *other = NULL, *reader = NULL;
	struct spool_options options;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	assert_int_equal(spool_open(&b.options, &other, NULL), -EBUSY);
	options = b.options;
	options.read_only = true;
	options.public_key = NULL;
	assert_int_equal(spool_open(&options, &reader, NULL), 0);
	assert_int_equal(spool_tip(reader)->frame.batch->sequence, 3);
	assert_int_equal(spool_append(reader, maker_seal(&b.maker, 1), 4, false), -EROFS);
	bench_fill(&b, 1, 100);
}

TEST(mistakes_of_the_caller_are_refused)
{
	_cleanup_(bench_done) struct bench b;
	struct bytes frame;

	bench_init(&b);
	b.options.cap_bytes = 2 * SEGMENT - 1;
	assert_int_equal(bench_open(&b), -EINVAL);
	b.options.cap_bytes = 2 * SEGMENT;
	b.options.segment_bytes = 2 * SPOOL_RESERVE - 1;
	assert_int_equal(bench_open(&b), -EINVAL);
	b.options.segment_bytes = SEGMENT;
	assert_int_equal(bench_open(&b), 0);
	frame = maker_seal(&b.maker, 10);
	assert_int_equal(spool_append(b.spool, frame, 2, false), -EINVAL);
	assert_int_equal(spool_append(b.spool, frame, 0, false), -EINVAL);
	assert_int_equal(spool_append(b.spool, BYTES_NONE, 1, false), -EINVAL);
	assert_int_equal(spool_append(b.spool, maker_seal(&b.maker, SEGMENT - SPOOL_RESERVE), 1, true), -EMSGSIZE);
	assert_int_equal(bench_append(&b, 10), 0);
}

TEST(the_reserve_is_only_for_those_who_ask_for_it)
{
	_cleanup_(bench_done) struct bench b;
	unsigned more = 0;

	bench_init(&b);
	b.options.cap_bytes = 2 * SEGMENT;
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 6, LARGE);
	assert_int_equal(bench_append(&b, LARGE), -ENOSPC);
	while (spool_append(b.spool, maker_seal(&b.maker, LARGE), b.maker.sequence + 1, true) == 0) {
		bench_accept(&b);
		more++;
	}
	assert_int_equal(more, 3);
	assert_true(spool_tip(b.spool)->end <= SEGMENT);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
}

/* --- publication --------------------------------------------------------------------------------------- */

TEST(only_a_proper_committed_file_is_believed)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "7 4096 12\n", 0 },
		{ "0 0 0\n", 0 },
		{ "18446744073709551615 9223372036854775807 18446744073709551615\n", 0 },
		{ "7 9223372036854775808 12\n", -EBADMSG },
		{ "7 4096 18446744073709551616\n", -EBADMSG },
		{ "0 0 3\n", -EBADMSG },
		{ "7 0 12\n", -EBADMSG },
		{ "7 4096 0\n", -EBADMSG },
		{ "7 4096 12", -EBADMSG },
		{ "7 4096 12\n\n", -EBADMSG },
		{ "7 4096  12\n", -EBADMSG },
		{ "7 4096\n", -EBADMSG },
		{ "-7 4096 12\n", -EBADMSG },
		{ "", -EBADMSG },
		{ "00000000000000000000000000000000000000000000000000000000000000000007 4096 12\n", -EBADMSG },
	};
	_cleanup_(place_done) struct place p;
	uint64_t segment, offset, sequence;

	place_init(&p);
	assert_int_equal(spool_read_committed(p.path, &segment, &offset, &sequence), -ENOENT);
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		assert_int_equal(replace_file_at(p.fd, "committed", bytes_str(cases[i].text), 0644, false), 0);
		assert_int_equal(spool_read_committed(p.path, &segment, &offset, &sequence), cases[i].r);
	}
	assert_int_equal(unlinkat(p.fd, "committed", 0), 0);
	assert_int_equal(mkfifoat(p.fd, "committed", 0644), 0);
	assert_int_equal(spool_read_committed(p.path, &segment, &offset, &sequence), -EBADMSG);
}

TEST(a_failed_publication_fails_no_append_and_is_made_up_for)
{
	_cleanup_(bench_done) struct bench b;
	struct spool_usage usage;
	uint64_t segment, offset, sequence;
	struct stat st;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(fstatat(b.place.fd, "run/committed", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	bench_fill(&b, 1, 100);
	faults_set("rename:committed:ENOSPC");
	bench_fill(&b, 1, 100);
	spool_usage(b.spool, &usage);
	assert_int_equal(usage.publish_error, -ENOSPC);
	assert_int_equal(spool_read_committed(b.publish, &segment, &offset, &sequence), 0);
	assert_int_equal(sequence, 1);
	faults_set(NULL);
	bench_fill(&b, 1, 100);
	bench_expect_committed(&b);
	spool_usage(b.spool, &usage);
	assert_int_equal(usage.publish_error, 0);
}

TEST(a_frame_is_published_only_once_it_is_durable)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t segment, offset, sequence;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 2, 100);
	faults_set("fdatasync:.seg:EIO:once");
	assert_int_equal(bench_append(&b, 100), -EIO);
	assert_int_equal(spool_read_committed(b.publish, &segment, &offset, &sequence), 0);
	assert_int_equal(sequence, 2);
	bench_fill(&b, 1, 100);
	bench_expect_committed(&b);
	assert_int_equal(spool_tip(b.spool)->segment, 2);
}

TEST(a_chain_that_was_set_back_behind_what_was_published_is_told)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 7, LARGE);
	b.spool = spool_close(b.spool);
	assert_int_equal(unlinkat(b.place.fd, segment_file(3), 0), 0);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 6);
	assert_int_equal(b.damage.published_sequence, 7);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.published_sequence, 0);
}

/* --- failing system calls ------------------------------------------------------------------------------ */

/* What a daemon does: after a failure it signs again and appends once more, and while nothing goes it waits. */
static void bench_append_stubbornly(struct bench *b, size_t ballast)
{
	for (int i = 0; i < 20; i++) {
		int r = b->spool ? 0 : bench_open(b);

		if (r == 0)
			r = bench_append(b, ballast);
		if (r == 0)
			return;
	}
	fail_msg("nothing goes any more");
}

TEST(no_failing_call_loses_or_repeats_anything)
{
	static const char *const rules[] = {
		"openat:.seg:EIO", "openat:.seg:ENOSPC", "openat:lock:EROFS", "fallocate::ENOSPC",
		"fallocate::EOPNOTSUPP", "fallocate::EINTR", "fallocate::EIO", "fallocate::EDQUOT", "ftruncate::EIO",
		"fsync::EIO", "fsync::fail-after", "fdatasync::EIO", "fdatasync::ENOSPC", "fdatasync::fail-after",
		"pwrite::EIO", "pwrite::ENOSPC", "pwrite::EROFS", "pwrite::EINTR", "pwrite::short",
		"pwrite::fail-after", "unlinkat:.seg:EROFS", "rename::EIO", "openat:committed:ENOSPC", "write::ENOSPC",
		"pread:.seg:short", "pread:.seg:EINTR",
	};

	for (size_t i = 0; i < ELEMENTSOF(rules); i++)
		for (unsigned n = 1;; n++) {
			_cleanup_(bench_done) struct bench b;
			char rule[128];
			bool met;

			bench_init(&b);
			(void)snprintf(rule, sizeof rule, "%s:%u", rules[i], n);
			faults_set(rule);
			for (int k = 0; k < 8; k++)
				bench_append_stubbornly(&b, k % 2 ? 100 : LARGE);
			met = faults_seen() >= n;
			faults_set(NULL);
			assert_int_equal(bench_open(&b), 0);
			assert_int_equal(bench_check(&b), 0);
			bench_expect_committed(&b);
			bench_fill(&b, 1, 100);
			assert_int_equal(bench_open(&b), 0);
			assert_int_equal(bench_check(&b), 0);
			if (!met)
				break;
		}
}

TEST(a_failed_fsync_abandons_the_segment_and_its_frame_is_void)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	faults_set("fdatasync:.seg:fail-after:once");
	assert_int_equal(bench_append(&b, 100), -EIO); /* its bytes are there nevertheless */
	bench_fill(&b, 2, 100);
	assert_true(bench_has(&b, 2));
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.places + b.damage.cut_bytes, 0);
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(spool_tip(b.spool)->segment, 2);
}

TEST(a_torn_frame_in_an_abandoned_segment_is_no_damage)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	faults_set("pwrite:.seg:short:once pwrite:.seg:EIO:2");
	assert_int_equal(bench_append(&b, 100), -EIO);
	bench_fill(&b, 2, 100);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.places + b.damage.cut_bytes, 0);
	assert_int_equal(bench_check(&b), 0);
}

TEST(a_new_segment_whose_first_frame_failed_leaves_no_trace)
{
	_cleanup_(bench_done) struct bench b;
	struct spool_usage usage;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	faults_set("fdatasync:.seg:EIO");
	for (int i = 0; i < 30; i++) /* far more than the cap would allow */
		assert_int_equal(bench_append(&b, 100), -EIO);
	faults_set(NULL);
	bench_fill(&b, 2, 100);
	spool_usage(b.spool, &usage);
	assert_int_equal(usage.segments, 1);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
}

TEST(a_tip_that_cannot_be_made_durable_in_place_is_carried_over)
{
	static const char *const rules[] = { "pwrite:.seg:EIO:once", "fsync:.seg:EIO:once", "ftruncate:.seg:EIO:once" };

	for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
		_cleanup_(bench_done) struct bench b;

		bench_init(&b);
		assert_int_equal(bench_open(&b), 0);
		bench_fill(&b, 3, 100);
		place_write(&b.place, segment_file(1), LIT("torn"), (off_t)spool_tip(b.spool)->end);
		faults_set(rules[i]);
		assert_int_equal(bench_open(&b), 0);
		assert_int_equal(spool_tip(b.spool)->segment, 2);
		bench_expect_committed(&b);
		bench_fill(&b, 2, 100);
		assert_int_equal(bench_open(&b), 0);
		assert_int_equal(b.damage.places + b.damage.cut_bytes, 0);
		assert_int_equal(bench_check(&b), 0);
	}
}

/* --- kills --------------------------------------------------------------------------------------------- */

/* Runs `steps` appends in a child that is killed at its n-th call in the spool; what it was told to be durable comes
 * back through a pipe. False once it lived to the end. */
static bool kill_at(struct bench *b, const char *action, unsigned n, int steps)
{
	struct {
		uint64_t sequence;
		uint8_t digest[DIGEST_SIZE];
	} said;
	int fds[2], status;
	pid_t pid;

	b->spool = spool_close(b->spool);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char rule[PATH_MAX + 64];

		(void)snprintf(rule, sizeof rule, "*:%s:%s:%u", strrchr(b->place.path, '/'), action, n);
		faults_set(rule);
		if (bench_open(b) < 0)
			_exit(1);
		for (int i = 0; i < steps; i++) {
			if (bench_append(b, i % 2 ? 100 : LARGE) < 0)
				_exit(1);
			said.sequence = b->maker.sequence;
			memcpy(said.digest, b->maker.digest, DIGEST_SIZE);
			if (write_all(fds[1], bytes_of(&said, sizeof said)) < 0)
				_exit(1);
		}
		_exit(0);
	}
	(void)close(fds[1]);
	while (read(fds[0], &said, sizeof said) == sizeof said) {
		assert_int_equal(said.sequence, b->maker.sequence + 1);
		memcpy(b->maker.digest, said.digest, DIGEST_SIZE);
		bench_accept(b);
	}
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

/* After a kill the frame that was in flight may be there or not: both is right, but not half. */
static void bench_reopen_after_kill(struct bench *b)
{
	const struct spool_tip *tip;

	assert_int_equal(bench_open(b), 0);
	tip = spool_tip(b->spool);
	if (tip->exists && tip->frame.batch->sequence == b->maker.sequence + 1) {
		memcpy(b->maker.digest, tip->frame.digest, DIGEST_SIZE);
		bench_accept(b);
	}
	assert_int_equal(bench_check(b), tip->exists ? 0 : b->damage.bytes);
	assert_true(b->damage.bytes == 0 || !tip->exists); /* the very first frame: there is nothing that it is behind */
	if (tip->exists)
		assert_int_equal(bench_nonzero_behind(b, (unsigned)tip->segment, tip->end), 0);
	bench_expect_committed(b);
}

TEST(a_kill_at_any_step_loses_and_repeats_nothing)
{
	static const char *const actions[] = { "kill", "killafter", "half" };

	for (size_t i = 0; i < ELEMENTSOF(actions); i++)
		for (unsigned n = 1;; n++) {
			_cleanup_(bench_done) struct bench b;
			bool killed;

			bench_init(&b);
			killed = kill_at(&b, actions[i], n, 7);
			bench_reopen_after_kill(&b);
			bench_fill(&b, 2, 100);
			assert_int_equal(bench_open(&b), 0);
			assert_int_equal(bench_check(&b), 0);
			if (!killed)
				break;
		}
}

TEST(a_kill_at_any_step_of_recovery_is_recovered_from)
{
	for (unsigned n = 1;; n++) {
		_cleanup_(bench_done) struct bench b;
		bool killed;

		bench_init(&b);
		assert_int_equal(bench_open(&b), 0);
		bench_fill(&b, 5, LARGE);
		/* a torn frame, and a new segment that was never used */
		place_write(&b.place, segment_file(2), LIT("HMRK\1\0\0\0torn"), (off_t)spool_tip(b.spool)->end);
		place_write(&b.place, segment_file(3), LIT("\0\0\0\0"), 0);
		killed = kill_at(&b, "kill", n, 0);
		bench_reopen_after_kill(&b);
		assert_false(bench_has(&b, 3));
		bench_fill(&b, 2, 100);
		assert_int_equal(bench_open(&b), 0);
		assert_int_equal(bench_check(&b), 0);
		if (!killed)
			break;
	}
}

/* --- damage -------------------------------------------------------------------------------------------- */

TEST(a_frame_torn_at_any_byte_is_cut_off)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(buf_done) struct buf torn = BUF_INIT(FRAME_MAX);
	uint64_t end;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 40);
	end = spool_tip(b.spool)->end;
	b.spool = spool_close(b.spool);
	assert_int_equal(buf_append(&torn, maker_seal(&b.maker, 40)), 0);
	for (size_t n = 1; n < torn.len; n++) {
		place_write(&b.place, segment_file(1), bytes_of(torn.data, n), (off_t)end);
		assert_int_equal(bench_open(&b), 0);
		assert_int_equal(bench_check(&b), 0);
		assert_int_equal(b.damage.bytes, 0);
		assert_in_range(b.damage.cut_bytes, 1, torn.len);
		assert_int_equal(bench_nonzero_behind(&b, 1, end), 0);
		b.spool = spool_close(b.spool);
	}
	/* a later part of it reached the disk, and the first did not */
	place_write(&b.place, segment_file(1), bytes_from(buf_bytes(&torn), 100), (off_t)end + 100);
	assert_int_equal(bench_open(&b), 0);
	assert_true(b.damage.cut_bytes > 0);
	assert_int_equal(bench_nonzero_behind(&b, 1, end), 0);
	bench_fill(&b, 1, 40);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
}

TEST(damage_before_the_tip_is_told_and_does_not_hide_it)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t ends[6] = { 0 };

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	for (int i = 1; i <= 5; i++) {
		bench_fill(&b, 1, 500);
		ends[i] = spool_tip(b.spool)->end;
	}
	bench_flip(&b, 1, ends[1] + 200); /* content of the second, in its events: well-formed all the same */
	bench_flip(&b, 1, ends[3] + 9);   /* length of the fourth */
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 5);
	assert_int_equal(b.damage.places, 2);
	assert_int_equal(b.damage.bytes, ends[2] - ends[1] + ends[4] - ends[3]);
	assert_int_equal(b.damage.first_segment, 1);
	assert_int_equal(b.damage.first_offset, ends[1]);
	assert_int_equal(b.damage.cut_bytes, 0);
}

TEST(a_tip_with_a_wrong_signature_is_no_tip)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t end;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	end = spool_tip(b.spool)->end;
	bench_fill(&b, 1, 100);
	bench_flip(&b, 1, spool_tip(b.spool)->end - 1);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 3);
	assert_int_equal(spool_tip(b.spool)->end, end);
	assert_true(b.damage.cut_bytes > 0);
	assert_int_equal(bench_nonzero_behind(&b, 1, end), 0);
}

TEST(missing_frames_are_a_place_of_no_bytes)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(buf_done) struct buf all = BUF_INIT(4 * SEGMENT);
	uint64_t ends[4] = { 0 };

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	for (int i = 1; i <= 3; i++) {
		bench_fill(&b, 1, 500);
		ends[i] = spool_tip(b.spool)->end;
	}
	b.spool = spool_close(b.spool);
	assert_int_equal(read_file_at(b.place.fd, segment_file(1), true, &all), 0);
	place_write(&b.place, segment_file(1), bytes_from(buf_bytes(&all), ends[2]), (off_t)ends[1]);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 3);
	assert_int_equal(b.damage.places, 1);
	assert_int_equal(b.damage.bytes, 0);
	assert_int_equal(b.damage.first_offset, ends[1]);
}

TEST(a_page_that_cannot_be_read_is_damage_and_no_more)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 60, 500);
	b.spool = spool_close(b.spool);
	faults_set("pread:.seg:EIO:once");
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 60);
	assert_int_equal(b.damage.places, 1);
	assert_in_range(b.damage.bytes, 4096, 6000);
	assert_int_equal(b.damage.first_offset, 0);
}

TEST(a_frame_of_another_key_is_not_the_tip)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(maker_done) struct maker other;
	_cleanup_(buf_done) struct buf frame = BUF_INIT(FRAME_MAX);
	uint64_t end;

	bench_init(&b);
	maker_init(&other);
	other.sequence = 1000;
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	end = spool_tip(b.spool)->end;
	b.spool = spool_close(b.spool);
	assert_int_equal(buf_append(&frame, maker_next(&other, 100)), 0);
	place_write(&b.place, segment_file(1), buf_bytes(&frame), (off_t)end);
	place_write(&b.place, segment_file(9), buf_bytes(&frame), 0);
	/* whoever does not know the key takes the newest frame's */
	b.options.read_only = true;
	b.options.public_key = NULL;
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 1001);
	b.options.read_only = false;
	b.options.public_key = b.maker.public_key;
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(spool_tip(b.spool)->end, end);
	assert_int_equal(b.damage.cut_bytes, 2 * frame.len);
	assert_false(bench_has(&b, 9));
}

TEST(a_spool_of_another_key_only_is_left_alone)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(maker_done) struct maker other;
	uint64_t end;

	bench_init(&b);
	maker_init(&other);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 4, LARGE);
	end = spool_tip(b.spool)->end;
	b.options.public_key = other.public_key;
	assert_int_equal(bench_open(&b), 0);
	assert_false(spool_tip(b.spool)->exists);
	assert_true(b.damage.bytes > 3 * LARGE);
	assert_int_equal(b.damage.cut_bytes, 0);
	assert_true(bench_has(&b, 1));
	assert_true(bench_nonzero_behind(&b, 2, 0) > 0);
	b.options.public_key = b.maker.public_key;
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(spool_tip(b.spool)->end, end);
}

TEST(old_segments_and_frames_put_behind_new_ones_do_not_set_the_chain_back)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(buf_done) struct buf first = BUF_INIT(4 * SEGMENT), second = BUF_INIT(4 * SEGMENT);

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 11, LARGE);
	assert_int_equal(spool_tip(b.spool)->segment, 4);
	assert_int_equal(read_file_at(b.place.fd, segment_file(1), true, &first), 0);
	assert_int_equal(read_file_at(b.place.fd, segment_file(2), true, &second), 0);
	place_write(&b.place, segment_file(4), bytes_of(first.data, 20300), (off_t)spool_tip(b.spool)->end);
	place_write(&b.place, segment_file(5), buf_bytes(&first), 0);
	place_write(&b.place, segment_file(6), buf_bytes(&second), 0);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->segment, 4);
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(b.damage.bytes, 0);
	assert_true(b.damage.cut_bytes > 7 * LARGE);
	assert_false(bench_has(&b, 5));
	assert_false(bench_has(&b, 6));
}

TEST(what_only_has_a_segments_name_is_passed_over)
{
	_cleanup_(bench_done) struct bench b;
	struct stat st;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 4, LARGE);
	assert_int_equal(renameat(b.place.fd, "spool/00000000000000000002.seg", b.place.fd,
				  "spool/00000000000000000070.seg"), 0); /* a gap */
	assert_int_equal(mkfifoat(b.place.fd, "spool/00000000000000000071.seg", 0600), 0);
	assert_int_equal(symlinkat("00000000000000000001.seg", b.place.fd, "spool/00000000000000000072.seg"), 0);
	assert_int_equal(mkdirat(b.place.fd, "spool/00000000000000000073.seg", 0700), 0);
	assert_int_equal(mkfifoat(b.place.fd, "spool/18446744073709551615.seg", 0600), 0);
	place_write(&b.place, "spool/18446744073709551614.seg", BYTES_NONE, 0);
	place_write(&b.place, "spool/18446744073709551616.seg", LIT("x"), 0);
	place_write(&b.place, "spool/0000000000000000074.seg", LIT("x"), 0);
	place_write(&b.place, "spool/00000000000000000074.seg.tmp", LIT("x"), 0);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->segment, 70);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 4);
	assert_int_equal(b.damage.places + b.damage.cut_bytes, 0);
	bench_fill(&b, 4, LARGE);
	assert_int_equal(spool_tip(b.spool)->segment, 74);
	assert_int_equal(fstatat(b.place.fd, "spool/00000000000000000072.seg", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
}

TEST(junk_without_any_frame_is_kept_told_and_written_behind)
{
	_cleanup_(bench_done) struct bench b;
	uint8_t junk[300];

	bench_init(&b);
	memset(junk, 'j', sizeof junk);
	assert_int_equal(mkdirat(b.place.fd, "spool", 0700), 0);
	place_write(&b.place, segment_file(3), bytes_of(junk, sizeof junk), 0);
	place_write(&b.place, segment_file(4), BYTES_NONE, 0);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.bytes, sizeof junk);
	assert_int_equal(b.damage.first_segment, 3);
	assert_int_equal(b.damage.cut_bytes, 0);
	assert_true(bench_has(&b, 3));
	assert_false(bench_has(&b, 4));
	bench_fill(&b, 3, 100);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.places, 0);
	assert_int_equal(bench_check(&b), 0); /* nothing is missing: an abandoned end */
}

TEST(a_newer_format_behind_the_tip_is_not_touched)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t end;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	end = spool_tip(b.spool)->end;
	b.spool = spool_close(b.spool);
	place_write(&b.place, segment_file(1), LIT("HMRK\2\0\0\0\4\0\0\0abcd"), (off_t)end);
	assert_int_equal(bench_open(&b), -EPROTONOSUPPORT);
	assert_true(bench_nonzero_behind(&b, 1, end) > 0);
	bench_flip(&b, 1, end); /* no longer one */
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
}

TEST(a_reader_changes_nothing)
{
	_cleanup_(bench_done) struct bench b;
	uint64_t end;

	bench_init(&b);
	b.options.read_only = true;
	assert_int_equal(bench_open(&b), -ENOENT);
	b.options.read_only = false;
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	end = spool_tip(b.spool)->end;
	b.spool = spool_close(b.spool);
	place_write(&b.place, segment_file(1), LIT("torn"), (off_t)end);
	place_write(&b.place, segment_file(2), BYTES_NONE, 0);
	b.options.read_only = true;
	faults_set("fsync::EIO pwrite::EIO fallocate::EIO ftruncate::EIO unlinkat::EIO rename::EIO");
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.cut_bytes, 4);
	assert_int_equal(bench_nonzero_behind(&b, 1, end), 4);
	assert_true(bench_has(&b, 2));
}

/* --- the cap ------------------------------------------------------------------------------------------- */

static void bench_acked(struct bench *b, const char *text)
{
	assert_int_equal(replace_file_at(b->place.fd, "acked", bytes_str(text), 0644, false), 0);
}

/* Three segments of three frames, at a cap of three. */
static void bench_init_full(struct bench *b)
{
	bench_init(b);
	b->options.cap_bytes = 3 * SEGMENT;
	assert_int_equal(bench_open(b), 0);
	bench_fill(b, 9, LARGE);
	assert_int_equal(bench_append(b, LARGE), -ENOSPC);
}

TEST(acknowledged_segments_go_first_and_are_no_loss)
{
	_cleanup_(bench_done) struct bench b;
	struct spool_lost lost;
	struct spool_usage usage;

	bench_init_full(&b);
	bench_acked(&b, "7\n");
	spool_usage(b.spool, &usage);
	assert_int_equal(usage.bytes, 3 * SEGMENT);
	assert_int_equal(usage.segments, 3);
	assert_int_equal(usage.unacknowledged_bytes, SEGMENT);
	assert_int_equal(spool_make_room(b.spool, false, &lost), 0);
	assert_int_equal(lost.segments, 0);
	assert_false(bench_has(&b, 1));
	assert_true(bench_has(&b, 2)); /* acknowledged too, but its room is not needed */
	assert_int_equal(spool_make_room(b.spool, false, &lost), 0);
	assert_true(bench_has(&b, 2));
	assert_int_equal(bench_append(&b, LARGE), 0);
}

TEST(an_unacknowledged_segment_goes_only_as_a_declared_loss)
{
	_cleanup_(bench_done) struct bench b;
	struct spool_lost lost;

	bench_init_full(&b);
	bench_acked(&b, "2");
	assert_int_equal(spool_make_room(b.spool, false, &lost), -ENOSPC);
	assert_int_equal(lost.segments, 1);
	assert_int_equal(lost.bytes, SEGMENT);
	assert_int_equal(lost.first_sequence, 1);
	assert_int_equal(lost.last_sequence, 3);
	assert_true(bench_has(&b, 1));
	assert_int_equal(spool_make_room(b.spool, true, &lost), 0);
	assert_int_equal(lost.segments, 1);
	assert_int_equal(lost.last_sequence, 3);
	assert_false(bench_has(&b, 1));
	assert_true(bench_has(&b, 2));
	assert_int_equal(bench_append(&b, LARGE), 0);
	/* what deletion needs to know is found again at the next start */
	b.options.cap_bytes = 2 * SEGMENT;
	assert_int_equal(bench_open(&b), 0);
	bench_acked(&b, "6");
	assert_int_equal(spool_make_room(b.spool, false, &lost), -ENOSPC);
	assert_false(bench_has(&b, 2));
	assert_int_equal(lost.segments, 1);
	assert_int_equal(lost.first_sequence, 7);
	assert_int_equal(lost.last_sequence, 9);
}

TEST(a_lying_mark_destroys_nothing_early)
{
	static const char *const lies[] = { "10", "18446744073709551615", "18446744073709551616", "-1", "9 9", "", "\n",
					    "0x9", "9\n\n", "99999999999999999999999999999999999999999", "9a" };
	_cleanup_(bench_done) struct bench b;
	struct spool_lost lost;

	bench_init_full(&b);
	for (size_t i = 0; i < ELEMENTSOF(lies); i++) {
		bench_acked(&b, lies[i]);
		assert_int_equal(spool_make_room(b.spool, false, &lost), -ENOSPC);
		assert_int_equal(lost.segments, 1);
	}
	assert_int_equal(unlinkat(b.place.fd, "acked", 0), 0);
	assert_int_equal(mkfifoat(b.place.fd, "acked", 0644), 0);
	assert_int_equal(spool_make_room(b.spool, false, &lost), -ENOSPC);
	assert_true(bench_has(&b, 1));
	/* the highest that can be believed: still only what the cap needs, and never the newest frame */
	assert_int_equal(unlinkat(b.place.fd, "acked", 0), 0);
	bench_acked(&b, "9");
	assert_int_equal(spool_make_room(b.spool, false, &lost), 0);
	assert_false(bench_has(&b, 1));
	assert_true(bench_has(&b, 2));
	assert_true(bench_has(&b, 3));
}

TEST(the_newest_valid_frame_never_goes)
{
	_cleanup_(bench_done) struct bench b;
	struct spool_lost lost;

	bench_init_full(&b);
	/* abandoned: the newest frame is not in the segment that would come next */
	faults_set("fdatasync:.seg:EIO:once");
	assert_int_equal(spool_append(b.spool, maker_seal(&b.maker, 100), b.maker.sequence + 1, true), -EIO);
	bench_acked(&b, "9");
	assert_int_equal(spool_make_room(b.spool, true, &lost), 0);
	b.options.cap_bytes = 2 * SEGMENT;
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(spool_tip(b.spool)->segment, 3);
	assert_int_equal(spool_tip(b.spool)->frame.batch->sequence, 10); /* in flight, and it got there */
	bench_acked(&b, "10");
	assert_int_equal(spool_make_room(b.spool, true, &lost), 0);
	assert_int_equal(lost.segments, 0);
	assert_false(bench_has(&b, 2));
	assert_true(bench_has(&b, 3));
	bench_accept(&b);
	memcpy(b.maker.previous, spool_tip(b.spool)->frame.digest, DIGEST_SIZE);
	assert_int_equal(bench_append(&b, LARGE), 0);
}

TEST(a_sparse_file_does_not_count_for_what_it_claims)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(closep) int fd = -1;
	struct spool_usage usage;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	b.spool = spool_close(b.spool);
	fd = openat(b.place.fd, segment_file(1), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	place_write(&b.place, segment_file(1), LIT("junk"), 0);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(b.damage.bytes, 4);
	spool_usage(b.spool, &usage);
	assert_true(usage.bytes < SEGMENT);
	assert_int_equal(bench_append(&b, 100), 0);
}

/* --- real file systems --------------------------------------------------------------------------------- */

/* A tmpfs of that size at the bench's place, in a mount namespace of our own. */
static void bench_mount(struct bench *b, const char *size)
{
	char options[64];

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	(void)snprintf(options, sizeof options, "size=%s", size);
	assert_int_equal(mkdir(b->directory, 0700), 0);
	if (mount("tmpfs", b->directory, "tmpfs", 0, options) < 0)
		skip();
}

static void bench_unmount(struct bench *b)
{
	b->spool = spool_close(b->spool);
	assert_int_equal(umount(b->directory), 0);
}

TEST(a_full_disk_is_met_before_a_frame_and_the_reserve_works_there)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	bench_mount(&b, "400k"); /* three segments */
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 9, LARGE);
	assert_int_equal(bench_append(&b, LARGE), -ENOSPC);
	assert_false(bench_has(&b, 4));
	assert_int_equal(spool_append(b.spool, maker_seal(&b.maker, LARGE), 10, true), 0);
	bench_accept(&b);
	assert_int_equal(bench_append(&b, 100), -ENOSPC);
	assert_int_equal(bench_open(&b), 0); /* also on a full disk */
	assert_int_equal(bench_check(&b), 0);
	assert_int_equal(bench_append(&b, 100), -ENOSPC);
	assert_int_equal(mount("none", b.directory, "none", MS_REMOUNT, "size=1m"), 0);
	bench_fill(&b, 3, LARGE);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	bench_unmount(&b);
}

TEST(a_read_only_file_system_is_told_and_survived)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b);
	bench_mount(&b, "1m");
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, 100);
	b.spool = spool_close(b.spool);
	assert_int_equal(mount("none", b.directory, "none", MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(bench_open(&b), -EROFS);
	b.options.read_only = true;
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	b.options.read_only = false;
	assert_int_equal(mount("none", b.directory, "none", MS_REMOUNT, NULL), 0);
	assert_int_equal(bench_open(&b), 0);
	/* it becomes read-only under us, as after an error of the disk */
	faults_set("pwrite:.seg:EROFS openat:.seg:EROFS");
	assert_int_equal(bench_append(&b, 100), -EROFS);
	assert_int_equal(bench_append(&b, 100), -EROFS);
	faults_set(NULL);
	bench_fill(&b, 1, 100);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
	bench_unmount(&b);
}
