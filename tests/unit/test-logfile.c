/* SPDX-License-Identifier: Apache-2.0 */
/* The log file collector: lines, where to begin, what comes and goes. */
#include "tests/unit/logfile-host.h"

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
