/* SPDX-License-Identifier: Apache-2.0 */
/* The log file collector while a log is rotated or truncated under it. */
#include "tests/unit/logfile-host.h"

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

TEST(where_the_file_that_was_read_is_deleted_those_behind_it_may_be_lost_too)
{
	host();
	append(path, "one\n");
	start(0);
	pump(false);
	append(path, "two\n");
	move(path, at(".1"));
	(void)usleep(20000); /* the file system's clock ticks */
	append(path, "lost\n");
	assert_int_equal(unlink(at(".1")), 0);
	move(path, at(".1"));
	append(path, "three\n");
	move(at(".1"), at(".2"));
	move(path, at(".1"));
	assert_int_equal(unlink(at(".2")), 0);
	append(path, "four\n");
	pump(false);
	assert_got("one|two|<rotated_away>three|four|");
}

TEST(a_deleted_file_with_none_but_the_log_after_it_is_no_loss)
{
	host();
	append(path, "one\n");
	start(0);
	pump(false);
	append(path, "two\n");
	assert_int_equal(unlink(path), 0);
	append(path, "three\n");
	pump(false);
	assert_got("one|two|three|");
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
