/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agent/base/io.h"
#include "agent/base/text.h"
#include "agent/commands.h"
#include "agent/verdict.h"

#define SECOND_US UINT64_C(1000000)
#define HOUR_US (3600 * SECOND_US)

static char directory[] = "/tmp/hallmark-status.XXXXXX";
static struct status a, b;

static void remove_directory(void)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -rf %s", directory);
	if (system(command) != 0)
		abort();
}

static const char *there(void)
{
	static bool made;

	if (!made) {
		assert_non_null(mkdtemp(directory));
		assert_int_equal(atexit(remove_directory), 0);
		made = true;
	}
	return directory;
}

/* Of a hallmarkd with which all is well, an hour after the boot. */
static void make_well(struct status *s)
{
	status_init(s);
	status_set(s->version, "0.1.0");
	status_boot_id(s->boot_id);
	s->boot_us = HOUR_US;
	s->wall_us = 1000 * HOUR_US;
	s->next_within_us = 300 * SECOND_US;
	s->events = 7;
	s->unknown = 2;
	s->templates = 600;
	s->spool_bytes = s->spool_undelivered = 8 << 20;
	s->spool_cap = 512 << 20;
	s->n_sources = 2;
	for (size_t i = 0; i < s->n_sources; i++)
		status_source_init(&s->sources[i]);
	status_set(s->sources[0].name, "/var/log/auth.log");
	status_set(s->sources[1].name, "inbox");
}

static int parse(const char *text)
{
	return status_parse(bytes_str(text), &b);
}

static void assert_same_text(const struct status *s, const struct status *t)
{
	_cleanup_(buf_done) struct buf one = BUF_INIT(1 << 20), other = BUF_INIT(1 << 20);

	assert_int_equal(status_format(s, &one), 0);
	assert_int_equal(status_format(t, &other), 0);
	assert_true(bytes_eq(buf_bytes(&one), buf_bytes(&other)));
}

/* --- the file ------------------------------------------------------------------------------------------- */

TEST(what_is_written_is_read_again_and_what_is_not_known_stays_so)
{
	struct stat st;
	char path[128];

	make_well(&a);
	a.losses[3] = 5;
	a.sources[0].behind_bytes = 0;
	assert_int_equal(status_write(there(), &a), 0);
	assert_int_equal(status_read(there(), &b), 0);
	assert_same_text(&a, &b);
	assert_int_equal(b.events, 7);
	assert_int_equal(b.losses[3], 5);
	assert_int_equal(b.losses[4], 0);
	assert_int_equal(b.sources[0].behind_bytes, 0);
	assert_true(b.sources[1].behind_bytes == STATUS_UNKNOWN);
	assert_true(b.reset_age_us == STATUS_UNKNOWN);
	assert_string_equal(b.sources[1].name, "inbox");
	assert_string_equal(b.stopped, "");
	(void)snprintf(path, sizeof path, "%s/status", there());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
}

TEST(no_text_of_others_gets_out_of_its_line)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);
	static const char foreign[] = "/var/log/a\nend\n\033[2Jb\\x41 \xff\xe2\x80\xae\x7f";

	make_well(&a);
	status_set(a.sources[0].name, foreign);
	assert_int_equal(status_format(&a, &text), 0);
	for (size_t i = 0; i < text.len; i++)
		assert_true(text.data[i] == '\n' || (text.data[i] >= ' ' && text.data[i] < 0x7f));
	assert_int_equal(status_parse(buf_bytes(&text), &b), 0);
	assert_int_equal(b.n_sources, 2);
	assert_string_equal(b.sources[0].name, foreign);
}

TEST(a_text_is_cut_and_the_largest_status_can_be_written)
{
	static char longest[4 * STATUS_TEXT_MAX];

	make_well(&a);
	memset(longest, 1, sizeof longest - 1);
	status_set(a.state_trouble, longest);
	status_set(a.blocked, longest);
	status_set(a.templates_trouble, longest);
	a.n_sources = STATUS_SOURCES_MAX;
	for (size_t i = 0; i < a.n_sources; i++) {
		status_source_init(&a.sources[i]);
		status_set(a.sources[i].name, longest);
		status_set(a.sources[i].trouble, longest);
	}
	assert_int_equal(strlen(a.blocked), STATUS_TEXT_MAX - 1);
	assert_int_equal(status_write(there(), &a), 0);
	assert_int_equal(status_read(there(), &b), 0);
	assert_same_text(&a, &b);
}

TEST(what_is_no_whole_status_is_none)
{
#define HEAD "hallmark status 1\nboot_us 5\nwall_us 6\nnext_within_us 7\n"
	assert_int_equal(parse(HEAD "end\n"), 0);
	assert_int_equal(parse(HEAD "a_name_to_come 7 and more\nend\n"), 0);
	assert_int_equal(parse("hallmark status 2\nwhatever\n"), -EPROTONOSUPPORT);
	static const char *const bad[] = {
		"", "\n", "end\n", "hallmark status\nend\n", "hallmark status 1\n", HEAD, HEAD "end", HEAD "end\nend\n",
		"hallmark status 1\nend\n",                       /* written when? */
		"hallmark status 1\nboot_us 5\nwall_us 6\nend\n", /* and until when does it hold? */
		HEAD "events\nend\n", HEAD "events -1\nend\n", HEAD "events 1 2\nend\n", HEAD "events 1e3\nend\n",
		HEAD "events 18446744073709551616\nend\n", HEAD "boot_us 18446744073709551614\nend\n",
		HEAD "losses 1 2 3\nend\n", HEAD "trouble of no source\nend\n", HEAD "source \nend\n",
		HEAD "version \\\nend\n", HEAD "version \\x\nend\n", HEAD "version \\x4\nend\n", HEAD "version \\xzz\nend\n",
		HEAD "version \\x00\nend\n", HEAD "version \\n\nend\n",
		HEAD "losses 9223372036854775807 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\nend\n",
	};
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		if (parse(bad[i]) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(status_parse(bytes_of(HEAD "version a\0b\nend\n", sizeof HEAD - 1 + 16), &b), -EBADMSG);
}

TEST(a_text_or_a_list_that_is_too_long_is_refused)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);

	assert_int_equal(buf_str(&text, HEAD "version "), 0);
	for (size_t i = 0; i < STATUS_TEXT_MAX; i++)
		assert_int_equal(buf_byte(&text, 'a'), 0);
	assert_int_equal(buf_str(&text, "\nend\n"), 0);
	assert_int_equal(status_parse(buf_bytes(&text), &b), -EBADMSG);
	buf_clear(&text);
	assert_int_equal(buf_str(&text, HEAD), 0);
	for (size_t i = 0; i < STATUS_SOURCES_MAX + 1; i++)
		assert_int_equal(buf_str(&text, "source a\n"), 0);
	assert_int_equal(buf_str(&text, "end\n"), 0);
	assert_int_equal(status_parse(buf_bytes(&text), &b), -EBADMSG);
}

TEST(every_status_that_is_cut_off_somewhere_is_refused)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(1 << 20);

	make_well(&a);
	assert_int_equal(status_format(&a, &text), 0);
	for (size_t len = 0; len < text.len; len++)
		assert_int_equal(status_parse(bytes_of(text.data, len), &b), -EBADMSG);
}

TEST(a_pipe_a_link_a_directory_and_a_huge_file_are_no_status)
{
	char path[128], other[128];

	(void)snprintf(path, sizeof path, "%s/status", there());
	(void)snprintf(other, sizeof other, "%s/other", there());
	make_well(&a);
	assert_int_equal(status_write(there(), &a), 0);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(status_read(there(), &b), -ENOENT);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(status_read(there(), &b), -EBADMSG);
	assert_int_equal(remove(path), 0);
	assert_int_equal(status_read("/nonexistent", &b), -ENOENT);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(status_read(there(), &b), -EBADMSG);
	assert_int_equal(remove(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(status_read(there(), &b), -EBADMSG);
	assert_int_equal(remove(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(status_read(there(), &b), -EBADMSG);
	assert_int_equal(remove(path), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(status_read(there(), &b), -EBADMSG);
	assert_int_equal(remove(path), 0);
	assert_int_equal(close(creat(path, 0644)), 0);
	assert_int_equal(truncate(path, (off_t)1 << 40), 0);
	assert_int_equal(status_read(there(), &b), -EBADMSG);
	assert_int_equal(remove(path), 0);
}

TEST(losses_grow_old_and_are_gone_after_a_day)
{
	uint64_t losses[STATUS_LOSS_HOURS] = { 3, 1 };

	status_turn_losses(losses, 0);
	assert_int_equal(losses[0], 3);
	status_turn_losses(losses, 2);
	assert_int_equal(losses[0] + losses[1], 0);
	assert_int_equal(losses[2], 3);
	assert_int_equal(losses[3], 1);
	status_turn_losses(losses, 22);
	assert_int_equal(losses[24], 3);
	status_turn_losses(losses, 1);
	for (size_t i = 0; i < STATUS_LOSS_HOURS; i++)
		assert_int_equal(losses[i], 0);
	losses[0] = 1;
	status_turn_losses(losses, UINT64_MAX);
	assert_int_equal(losses[0] + losses[24], 0);
}

/* --- the verdict ---------------------------------------------------------------------------------------- */

static struct config config = { .state_directory = (char *)"/var/lib/hallmark", .run_directory = (char *)"/run/hallmark" };

/* Asked so long after the status was written, on a host with systemd. */
static struct verdict_facts facts_after(uint64_t seconds)
{
	struct verdict_facts f = { .status = &a,
				   .config = &config,
				   .options = "",
				   .boot_us = HOUR_US + seconds * SECOND_US,
				   .wall_us = 1000 * HOUR_US + seconds * SECOND_US,
				   .installed = true,
				   .systemd = true,
				   .enabled = true };

	status_boot_id(f.boot_id);
	return f;
}

/* The verdict, and that one problem's sentence has `what`, and its command `mend`; NULL: there is no problem. */
static void assert_verdict(const struct verdict_facts *f, enum verdict_word word, const char *what, const char *mend)
{
	_cleanup_(verdict_done) struct verdict v = { 0 };
	bool found = !what;

	verdict_judge(f, &v);
	assert_int_equal(v.error, 0);
	for (size_t i = 0; i < v.n; i++) {
		if (what && strstr(v.problems[i].what, what) &&
		    (!mend || (v.problems[i].mend && strstr(v.problems[i].mend, mend))))
			found = true;
		else if (!what)
			fail_msg("a problem: %s", v.problems[i].what);
	}
	if (!found)
		fail_msg("not said: %s; %s (but %s: %s)", what, mend, v.n ? v.problems[0].what : "nothing",
			 v.n && v.problems[0].mend ? v.problems[0].mend : "");
	if (v.word != word)
		fail_msg("%s, not %s", verdict_name(v.word), verdict_name(word));
}

TEST(each_verdict_has_its_exit_code)
{
	assert_int_equal(verdict_exit_code(VERDICT_COLLECTING_ONLY), EXIT_YES);
	assert_int_equal(verdict_exit_code(VERDICT_DEGRADED), EXIT_NO);
	assert_int_equal(verdict_exit_code(VERDICT_NOT_COLLECTING), EXIT_NO);
	assert_int_equal(verdict_exit_code(VERDICT_NOT_CONFIGURED), EXIT_USAGE);
	assert_int_equal(verdict_exit_code(VERDICT_UNKNOWN), EXIT_UNKNOWN);
}

TEST(all_is_well_until_the_promised_time_is_over)
{
	struct verdict_facts f;

	make_well(&a);
	f = facts_after(0);
	assert_verdict(&f, VERDICT_COLLECTING_ONLY, NULL, NULL);
	f = facts_after(330);
	assert_verdict(&f, VERDICT_COLLECTING_ONLY, NULL, NULL);
	f = facts_after(331);
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "last spoke 5 min ago, though it does so every 5 min",
		       "systemctl restart hallmarkd");
	/* however far the clock on the wall was set */
	f.boot_us = HOUR_US;
	assert_verdict(&f, VERDICT_COLLECTING_ONLY, NULL, NULL);
	a.next_within_us = 2 * SECOND_US;
	f = facts_after(5);
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "last spoke 5 s ago, though it does so every 2 s", NULL);
}

TEST(unknown_lines_and_lines_left_out_are_no_trouble)
{
	struct verdict_facts f;

	make_well(&a);
	a.unknown = a.excluded = 1000000;
	f = facts_after(1);
	assert_verdict(&f, VERDICT_COLLECTING_ONLY, NULL, NULL);
}

TEST(a_status_of_another_boot_or_of_the_future_is_not_believed)
{
	struct verdict_facts f;

	make_well(&a);
	f = facts_after(0);
	status_set(f.boot_id, "0123456789abcdef0123456789abcdef");
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "has not run since this host started; it last spoke 0 s ago",
		       "systemctl start hallmarkd");
	f = facts_after(0);
	f.boot_us = HOUR_US - 1;
	assert_verdict(&f, VERDICT_UNKNOWN, "in the future", "restart");
}

TEST(who_has_ended_is_said_to_have_ended)
{
	struct verdict_facts f;

	make_well(&a);
	f = facts_after(3);
	f.gone = true;
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "ended without a word; it last spoke 3 s ago", "journalctl -u hallmarkd");
	status_set(a.stopped, "told to (SIGTERM)");
	a.next_within_us = 0;
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "stopped 3 s ago: told to (SIGTERM)", "systemctl start hallmarkd");
	f.systemd = false;
	f.options = "--state /tmp/x";
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "stopped", "hallmarkd --state /tmp/x");
}

TEST(without_a_status_it_says_which_of_the_reasons_it_is)
{
	struct verdict_facts f = facts_after(0);

	f.status = NULL;
	f.status_error = -ENOENT;
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "has not come to run", "systemctl start hallmarkd; journalctl -u hallmarkd");
	f.enabled = false;
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "not enabled", "systemctl enable --now hallmarkd");
	f.installed = false;
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "not installed", "install hallmark");
	f.options = "--state /tmp/x";
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "no status in /run/hallmark", "hallmarkd --state /tmp/x");
	f.config_trouble = "/etc/hallmark/hallmark.conf:3: no";
	assert_verdict(&f, VERDICT_NOT_CONFIGURED, "hallmark.conf:3: no", NULL);
	f.config_trouble = NULL;
	f.status_error = -EACCES;
	assert_verdict(&f, VERDICT_UNKNOWN, "cannot be read: Permission denied", "namei -l /run/hallmark/status");
	f.status_error = -EBADMSG;
	assert_verdict(&f, VERDICT_UNKNOWN, "is no status", "hallmarkd");
	f.status_error = -EPROTONOSUPPORT;
	assert_verdict(&f, VERDICT_UNKNOWN, "another version", "hallmarkd");
}

TEST(a_wrong_configuration_degrades_who_still_runs)
{
	struct verdict_facts f;

	make_well(&a);
	f = facts_after(0);
	f.config_trouble = "x.conf:3: no";
	assert_verdict(&f, VERDICT_DEGRADED, "does not start with it: x.conf:3: no", "systemctl restart hallmarkd");
	f.gone = true;
	assert_verdict(&f, VERDICT_NOT_CONFIGURED, "x.conf:3: no", NULL);
}

TEST(each_trouble_degrades_and_has_its_command)
{
	struct verdict_facts f;

	make_well(&a);
	f = facts_after(1);
	a.losses[24] = 2;
	assert_verdict(&f, VERDICT_DEGRADED, "2 losses of evidence", "hallmark events --since 1d | grep");
	make_well(&a);
	a.spool_undelivered = a.spool_cap / 10 * 9;
	assert_verdict(&f, VERDICT_DEGRADED, "the spool holds 460.7M that nobody has taken, of 512M", "raise cap");
	make_well(&a);
	status_set(a.blocked, "No space left on device");
	a.blocked_us = 60 * SECOND_US;
	assert_verdict(&f, VERDICT_DEGRADED, "takes nothing since 61 s ago: No space left", "df -h /var/lib/hallmark");
	make_well(&a);
	a.reset_age_us = 2 * HOUR_US;
	status_set(a.reset, "the key has lost its chain");
	assert_verdict(&f, VERDICT_DEGRADED, "a new key began a new chain 2 h ago: the key has lost its chain", "retired");
	a.reset_age_us = 24 * HOUR_US;
	assert_verdict(&f, VERDICT_COLLECTING_ONLY, NULL, NULL);
	make_well(&a);
	a.templates = 0;
	assert_verdict(&f, VERDICT_DEGRADED, "no message templates", "ls -l");
	make_well(&a);
	status_set(a.templates_trouble, "x.templates:3: no");
	assert_verdict(&f, VERDICT_DEGRADED, "passed over: x.templates:3: no", "restart");
	make_well(&a);
	status_set(a.publish_trouble, "No space left on device");
	assert_verdict(&f, VERDICT_DEGRADED, "cannot be published in /run/hallmark", "df -h /run/hallmark");
	make_well(&a);
	f.segment_gone = true;
	assert_verdict(&f, VERDICT_DEGRADED, "not in /var/lib/hallmark/spool", "restart");
	make_well(&a);
	f.segment_gone = false;
	status_set(a.state_trouble, "Read-only file system");
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "cannot be opened: Read-only file system", "ls -la /var/lib/hallmark");
}

TEST(a_source_in_trouble_degrades_and_all_of_them_are_no_collecting)
{
	struct verdict_facts f;

	make_well(&a);
	f = facts_after(1);
	status_source_init(&a.sources[a.n_sources++]);
	status_set(a.sources[2].name, "journal");
	status_set(a.sources[0].trouble, "/var/log/auth.log is missing: No such file or directory");
	assert_verdict(&f, VERDICT_DEGRADED, "auth.log is missing", "namei -l /var/log/auth.log");
	status_set(a.sources[2].trouble, "the journal cannot be read: why");
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "no source that can be read", NULL);
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "the journal cannot be read: why", "journalctl");
	/* that is there, though hallmarkd does not see it */
	status_set(a.sources[0].name, "/proc/self/status");
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "is missing", "BindReadOnlyPaths=/proc/self");
}

TEST(no_text_of_others_stands_in_a_command)
{
	struct verdict_facts f;

	make_well(&a);
	f = facts_after(1);
	status_set(a.sources[0].name, "/var/log/x;reboot");
	status_set(a.sources[0].trouble, "it is missing");
	assert_verdict(&f, VERDICT_NOT_COLLECTING, "it is missing", "see files in");
}

TEST(ages_are_those_of_now_and_never_wrap)
{
	struct verdict_facts f;

	make_well(&a);
	f = facts_after(3);
	assert_int_equal(verdict_age_us(&f, 2 * SECOND_US), 5 * SECOND_US);
	assert_true(verdict_age_us(&f, STATUS_UNKNOWN) == STATUS_UNKNOWN);
	assert_true(verdict_age_us(&f, STATUS_UNKNOWN - 1) == STATUS_UNKNOWN);
	f.boot_us = 0;
	assert_true(verdict_age_us(&f, 1) == STATUS_UNKNOWN);
}

TEST(sizes_and_spans_are_written_for_people)
{
	static const struct {
		uint64_t value;
		const char *size, *span;
	} cases[] = {
		{ 0, "0", "0 s" }, { 1023, "1023", NULL }, { 1024, "1K", NULL }, { 1536, "1.5K", NULL },
		{ UINT64_MAX, "15.9E", "213503982 d" }, { 119999999, NULL, "119 s" }, { 120 * SECOND_US, NULL, "2 min" },
		{ 2 * HOUR_US - 1, NULL, "119 min" }, { 47 * HOUR_US, NULL, "47 h" }, { 48 * HOUR_US, NULL, "2 d" },
	};
	char size[TEXT_SIZE_MAX], span[TEXT_SPAN_MAX];

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		text_size(cases[i].value, size);
		text_span(cases[i].value, span);
		if (cases[i].size)
			assert_string_equal(size, cases[i].size);
		if (cases[i].span)
			assert_string_equal(span, cases[i].span);
	}
}
