/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agent/base/io.h"
#include "agent/config.h"

static char directory[] = "/tmp/hallmark-config.XXXXXX";
static char path[64];

static void remove_directory(void)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -rf %s", directory);
	if (system(command) != 0)
		abort();
}

static void write_file(const char *file, const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Loads a configuration of this text; on failure `why` has the sentence. */
static int load(const char *text, struct config *ret, struct buf *why)
{
	if (!path[0]) {
		assert_non_null(mkdtemp(directory));
		assert_int_equal(atexit(remove_directory), 0);
		(void)snprintf(path, sizeof path, "%s/hallmark.conf", directory);
	}
	write_file(path, text);
	return config_load(path, NULL, ret, why);
}

static void assert_refused(const char *text, const char *because)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	struct config c;

	assert_int_equal(load(text, &c, &why), -EINVAL);
	assert_int_equal(buf_byte(&why, 0), 0);
	if (!strstr((const char *)why.data, because))
		fail_msg("\"%s\" does not say \"%s\"", (const char *)why.data, because);
}

TEST(nothing_configured_gives_the_defaults)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	_cleanup_(config_done) struct config c = { 0 };

	assert_int_equal(load("", &c, &why), 0);
	assert_int_equal(c.sources, SOURCES_AUTO);
	assert_false(c.journal_all);
	assert_null(c.journal_directory);
	assert_string_equal(c.files[0], "/var/log/auth.log");
	assert_string_equal(c.files[1], "/var/log/secure");
	assert_null(c.files[2]);
	assert_int_equal(c.spool_cap_bytes, 512 << 20);
	assert_int_equal(c.commits_per_second, 20);
	assert_int_equal(c.checkpoint_us, 300000000);
	assert_true(c.catch_up_us == UINT64_MAX);
	assert_string_equal(c.state_directory, "/var/lib/hallmark");
	assert_string_equal(c.run_directory, "/run/hallmark");
}

TEST(every_option_can_be_set)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	_cleanup_(config_done) struct config c = { 0 };

	assert_int_equal(load("[Sources]\nsources = both\njournal = all\njournal-directory = /j\n"
			      "files = /a /b  /c\ncatch-up = 1d\ntemplates = /t\n"
			      "[Spool]\ncap = 1G\n[Pace]\ncommits-per-second = 5\ncheckpoint = 90s\n",
			      &c, &why), 0);
	assert_int_equal(c.sources, SOURCES_BOTH);
	assert_true(c.journal_all);
	assert_string_equal(c.journal_directory, "/j");
	assert_string_equal(c.files[2], "/c");
	assert_null(c.files[3]);
	assert_true(c.catch_up_us == UINT64_C(86400000000));
	assert_string_equal(c.template_directories[0], "/t");
	assert_null(c.template_directories[1]);
	assert_true(c.spool_cap_bytes == UINT64_C(1) << 30);
	assert_int_equal(c.commits_per_second, 5);
	assert_int_equal(c.checkpoint_us, 90000000);
}

TEST(state_moves_every_place)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	_cleanup_(config_done) struct config c = { 0 };

	assert_int_equal(config_load(path, "/x", &c, &why), 0);
	assert_string_equal(c.state_directory, "/x");
	assert_string_equal(c.run_directory, "/x/run");
	assert_string_equal(c.acked_path, "/x/forward/acked");
}

TEST(mistakes_are_named_with_file_and_line)
{
	assert_refused("[Sources]\nsource = auto\n", ":2: there is no option \"source\" in [Sources]");
	assert_refused("sources = auto\n", ":1: there is no option");
	assert_refused("[Spool]\n\ncap = much\n", ":3: cap = \"much\" is not a size");
	assert_refused("[Spool]\ncap = 1M\n", "less than 32M");
	assert_refused("[Pace]\ncheckpoint = 0\n", "checkpoint is not between");
	assert_refused("[Pace]\ncommits-per-second = 0\n", "is not a number from 1 to 1000");
	assert_refused("[Sources]\nfiles = relative/path\n", "is not absolute paths");
	assert_refused("[Sources]\nfiles = /var/log/\xff.log\n", "is not absolute paths");
	assert_refused("[Sources]\nthis is no option\n", ":2:");
}

TEST(a_missing_file_is_an_error_only_where_it_was_named)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	struct config c;

	assert_int_equal(config_load("/nonexistent/hallmark.conf", NULL, &c, &why), -ENOENT);
	assert_true(why.len > 0);
}

TEST(a_large_or_binary_file_is_refused)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	struct config c;
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (int i = 0; i < 300 * 1024; i++)
		assert_int_not_equal(fputc('#', f), EOF);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(config_load(path, NULL, &c, &why), -EMSGSIZE);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite("[Pace]\0\n", 1, 8, f), 8);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(config_load(path, NULL, &c, &why), -EINVAL);
}

TEST(redaction_is_on_and_keeps_unknown_users_unless_told_otherwise)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	_cleanup_(config_done) struct config usual = { 0 }, other = { 0 };

	assert_int_equal(load("", &usual, &why), 0);
	assert_true(usual.secrets);
	assert_int_equal(usual.unknown_users, UNKNOWN_USERS_KEEP);
	assert_int_equal(load("[Redaction]\nsecrets = no\nunknown-users = drop\n", &other, &why), 0);
	assert_false(other.secrets);
	assert_int_equal(other.unknown_users, UNKNOWN_USERS_DROP);
	assert_refused("[Redaction]\nsecrets = some\n", ":2: secrets = \"some\" is not yes or no");
	assert_refused("[Redaction]\nunknown-users = no\n", "unknown-users = \"no\" is not keep, hash or drop");
}

TEST(drop_ins_come_after_the_file_in_the_order_of_their_names)
{
	_cleanup_(buf_done) struct buf why = BUF_INIT(4096);
	_cleanup_(config_done) struct config c = { 0 };
	char file[128];

	(void)snprintf(file, sizeof file, "%s.d", path);
	assert_int_equal(mkdir(file, 0755), 0);
	(void)snprintf(file, sizeof file, "%s.d/20-b.conf", path);
	write_file(file, "[Pace]\ncommits-per-second = 7\n");
	(void)snprintf(file, sizeof file, "%s.d/10-a.conf", path);
	write_file(file, "[Pace]\ncommits-per-second = 6\ncheckpoint = 2min\n");
	(void)snprintf(file, sizeof file, "%s.d/30-c.conf.off", path);
	write_file(file, "[Pace]\ncommits-per-second = 8\n");
	assert_int_equal(load("[Pace]\ncommits-per-second = 5\n", &c, &why), 0);
	assert_int_equal(c.commits_per_second, 7);
	assert_int_equal(c.checkpoint_us, 120000000);
}
