/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/faults.c"
#include "tests/unit/test.h"
#include "agent/spool.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "tests/unit/spool-bench.h"

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

TEST(a_file_system_without_preallocation_will_do)
{
	_cleanup_(bench_done) struct bench b;
	struct stat st;

	bench_init(&b);
	assert_int_equal(bench_open(&b), 0);
	faults_set("fallocate::EOPNOTSUPP:1+");
	bench_fill(&b, 4, LARGE);
	assert_int_equal(fstatat(b.place.fd, segment_file(2), &st, 0), 0);
	assert_int_equal(st.st_size, SEGMENT);
	faults_set("pwrite:.seg:ENOSPC:1"); /* where the full disk is met now */
	assert_int_equal(bench_append(&b, 100), -ENOSPC);
	bench_fill(&b, 4, LARGE);
	faults_set("fallocate::EINTR:once");
	bench_fill(&b, 4, LARGE);
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
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

TEST(a_segment_that_somebody_took_away_or_cut_is_written_no_more)
{
	for (int cut = 0; cut < 2; cut++) {
		_cleanup_(bench_done) struct bench b;
		char path[PATH_MAX + 64];

		bench_init(&b);
		assert_int_equal(bench_open(&b), 0);
		bench_fill(&b, 2, 100);
		(void)snprintf(path, sizeof path, "%s/%s", b.place.path, segment_file(1));
		assert_int_equal(cut ? truncate(path, (off_t)spool_tip(b.spool)->end - 1) : unlink(path), 0);
		assert_int_equal(bench_append(&b, 100), -ESTALE);
		assert_int_equal(bench_append(&b, 100), -ESTALE);
		assert_int_equal(bench_open(&b), 0);
		assert_int_equal(b.damage.published_sequence, 2);
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

TEST(the_newest_frame_stays_though_a_useless_segment_follows_it)
{
	_cleanup_(bench_done) struct bench b;
	struct spool_lost lost;

	bench_init(&b);
	b.options.cap_bytes = 2 * SEGMENT;
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, LARGE);
	faults_set("fdatasync:.seg:EIO unlinkat:.seg:EIO");
	assert_int_equal(bench_append(&b, LARGE), -EIO);
	assert_true(bench_has(&b, 2));
	assert_int_equal(bench_append(&b, LARGE), -ENOSPC);
	assert_int_equal(spool_make_room(b.spool, true, &lost), 0);
	assert_int_equal(lost.segments, 0);
	assert_true(bench_has(&b, 1));
	faults_set(NULL);
	bench_fill(&b, 1, LARGE); /* and it blocks nothing */
	assert_false(bench_has(&b, 2));
	assert_int_equal(bench_open(&b), 0);
	assert_int_equal(bench_check(&b), 0);
}

TEST(a_larger_segment_of_another_configuration_blocks_nothing)
{
	_cleanup_(bench_done) struct bench b;
	struct spool_lost lost;

	bench_init(&b);
	b.options.segment_bytes = 4 * SEGMENT;
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 10, LARGE);
	b.options.segment_bytes = SEGMENT;
	b.options.cap_bytes = 2 * SEGMENT;
	assert_int_equal(bench_open(&b), 0);
	bench_fill(&b, 3, LARGE);
	assert_int_equal(spool_tip(b.spool)->segment, 2);
	assert_int_equal(spool_make_room(b.spool, true, &lost), 0);
	assert_int_equal(lost.first_sequence, 1);
	assert_int_equal(lost.last_sequence, 10);
	assert_false(bench_has(&b, 1));
	bench_fill(&b, 3, LARGE);
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

/* Mounts of our own, or the test is skipped: to be called before anything is allocated, since skip() jumps. */
static void need_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
}

/* A tmpfs of that size at the bench's place. */
static void bench_mount(struct bench *b, const char *size)
{
	char options[64];

	(void)snprintf(options, sizeof options, "size=%s", size);
	assert_int_equal(mkdir(b->directory, 0700), 0);
	assert_int_equal(mount("tmpfs", b->directory, "tmpfs", 0, options), 0);
}

static void bench_unmount(struct bench *b)
{
	b->spool = spool_close(b->spool);
	assert_int_equal(umount(b->directory), 0);
}

TEST(a_full_disk_is_met_before_a_frame_and_the_reserve_works_there)
{
	_cleanup_(bench_done) struct bench b;

	need_mounts();
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

	need_mounts();
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
