/* SPDX-License-Identifier: Apache-2.0 */
/* The log file collector after anything happened while it was down, and after everything at once. */
#include "tests/unit/logfile-host.h"

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

#define FIFTY "twotwotwotwotwotwotwotwotwotwotwotwotwotwotwotwotwo"
/* A file is known again by its first 256 bytes, once the agent was down. */
#define TWO FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY

TEST(a_copy_of_the_file_that_is_about_to_be_truncated_is_no_older_file)
{
	for (int down = 0; down < 2; down++) {
		host();
		append(path, "one\n");
		start(0);
		pump(false);
		commit();
		stop();
		assert_got("one|");
		copy_file(path, at(".2"));
		assert_int_equal(truncate(path, 0), 0);
		append(path, TWO "\n");
		copy_file(path, at(".1"));
		append(path, "three\n");
		start(0);
		pump(false);
		assert_got("<truncated>" TWO "|<truncated>three|");
		commit();
		if (down)
			stop();
		assert_int_equal(truncate(path, 0), 0);
		append(path, "four\n");
		if (down)
			start(0);
		pump(false);
		assert_got("<truncated>four|");
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
