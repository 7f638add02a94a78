/* SPDX-License-Identifier: Apache-2.0 */
/* The journal collector, and what happens to journals: flushes, power cuts, vacuum, damage. */
#include "tests/unit/journal-host.h"

/* --- what happens to journals --------------------------------------------------------------------------- */

TEST(a_flush_that_numbers_anew_loses_and_repeats_nothing)
{
	setup();
	auth_series(BOOT_A, "a", 1, 10, T0);
	flush("run.journal");
	start();
	in.room = 7;
	while (c->ops->read(c, &in, 1 << 20) == COLLECTOR_MORE)
		;
	save_position();
	end();
	/* the same boot's entries behind those of another, under another id and other numbers */
	run("rm %s/run.journal", journal_dir);
	auth_series(BOOT_B, "b", 1, 3, T0 - 1000000000);
	auth_series(BOOT_A, "a", 1, 12, T0);
	flush("var.journal");
	in.room = SIZE_MAX;
	start_since(false, 0, true);
	read_all();
	assert_messages("a1\na2\na3\na4\na5\na6\na7\na8\na9\na10\na11\na12\n");
	assert_no_loss();
	end();
	teardown();
}

TEST(a_power_cut_that_makes_numbers_be_used_again_loses_nothing)
{
	setup();
	auth_series(BOOT_A, "a", 1, 215, T0);
	flush("system.journal");
	run("cp %s/system.journal %s/kept", journal_dir, top);
	auth_series(BOOT_A, "a", 216, 29, T0);
	flush("system.journal");
	start();
	read_all();
	assert_int_equal(in.n, 244);
	save_position();
	assert_int_equal(at.journal->seqnum, 244);
	end();
	/* the disk ended at 215; the next boot begins at 216, and passes 244 */
	run("cp %s/kept %s/system.journal", top, journal_dir);
	auth_series(BOOT_B, "b", 1, 50, T0 + 1000000000);
	flush("system.journal");
	forget();
	start_since(false, 0, true);
	read_all();
	assert_int_equal(in.n, 50);
	assert_no_loss();
	end();
	teardown();
}

TEST(a_power_cut_that_took_the_whole_boot_loses_nothing)
{
	setup();
	auth_series(BOOT_A, "a", 1, 10, T0);
	flush("system.journal");
	run("cp %s/system.journal %s/kept", journal_dir, top);
	auth_series(BOOT_B, "b", 1, 5, T0 + 1000000000);
	flush("system.journal");
	start();
	read_all();
	save_position();
	end();
	run("cp %s/kept %s/system.journal", top, journal_dir);
	auth_series(BOOT_C, "c", 1, 3, T0 + 2000000000);
	flush("system.journal");
	forget();
	start_since(false, 0, true);
	read_all();
	assert_messages("c1\nc2\nc3\n");
	assert_no_loss();
	end();
	teardown();
}

TEST(a_vacuum_up_to_the_position_loses_nothing)
{
	setup();
	auth_series(BOOT_A, "a", 1, 5, T0);
	flush("a.journal");
	run("cp %s/a.journal %s/whole", journal_dir, top);
	start();
	read_all();
	save_position();
	end();
	/* what came after it has the next number of the same numbering, in a file of its own */
	auth_series(BOOT_A, "a", 6, 2, T0);
	flush("a.journal");
	run("cp %s/a.journal %s/whole", journal_dir, top);
	forget();
	start_since(false, 0, true);
	read_all();
	assert_messages("a6\na7\n");
	assert_no_loss();
	end();
	teardown();
}

TEST(a_vacuum_past_the_position_is_a_loss)
{
	setup();
	auth_series(BOOT_A, "a", 1, 5, T0);
	flush("a.journal");
	start();
	read_all();
	save_position();
	end();
	run("rm %s/a.journal", journal_dir);
	auth_series(BOOT_A, "a", 9, 2, T0);
	auth_series(BOOT_B, "b", 1, 2, T0 + 1000000000);
	flush("b.journal");
	forget();
	start_since(false, 0, true);
	read_all();
	assert_messages("a9\na10\nb1\nb2\n");
	assert_loss("vacuumed", "unknown", 0);
	restart();
	read_all();
	assert_int_equal(in.n, 4);
	assert_int_equal(in.n_losses, 1);
	end();
	teardown();
}

TEST(a_loss_is_said_before_the_position_moves_past_it)
{
	setup();
	auth_series(BOOT_A, "a", 1, 5, T0);
	flush("a.journal");
	start();
	read_all();
	save_position();
	end();
	run("rm %s/a.journal", journal_dir);
	auth_series(BOOT_B, "b", 1, 2, T0 + 1000000000);
	flush("b.journal");
	forget();
	start_since(false, 0, true);
	in.room = 0;
	while (c->ops->read(c, &in, 1 << 20) == COLLECTOR_MORE)
		;
	restart();
	in.room = SIZE_MAX;
	read_all();
	assert_messages("b1\nb2\n");
	assert_loss("vacuumed", "unknown", 0);
	end();
	teardown();
}

TEST(a_position_in_the_future_reads_on_once_the_clock_is_right)
{
	setup();
	auth_series(BOOT_A, "a", 1, 3, T0 + 400000000000000ull); /* twelve years ahead */
	flush("system.journal");
	start();
	read_all();
	restart();
	/* in the same boot, the clock is set right; then another boot, in the same numbering */
	auth_series(BOOT_A, "a", 4, 2, T0);
	auth_series(BOOT_B, "b", 1, 2, T0 + 1000000000);
	flush("system.journal");
	assert_int_equal(c->ops->wake(c, false), 0);
	read_all();
	assert_messages("a1\na2\na3\na4\na5\nb1\nb2\n");
	restart();
	read_all();
	assert_int_equal(in.n, 7);
	assert_no_loss();
	end();
	teardown();
}

TEST(the_running_boot_is_read_whatever_the_clock_said_before_it)
{
	char boot[SD_ID128_STRING_MAX];
	sd_id128_t id;

	setup();
	if (sd_id128_get_boot(&id) < 0)
		skip();
	(void)sd_id128_to_string(id, boot);
	auth_series(BOOT_A, "a", 1, 3, T0 + 400000000000000ull);
	flush("a.journal");
	start();
	read_all();
	save_position();
	end();
	auth_series(boot, "now", 1, 2, T0);
	flush("b.journal");
	start_since(false, 0, true);
	read_all();
	assert_messages("a1\na2\na3\nnow1\nnow2\n");
	assert_no_loss();
	end();
	teardown();
}

TEST(a_journal_that_was_wiped_and_begun_anew_is_a_loss_and_is_read)
{
	setup();
	auth_series(BOOT_A, "a", 1, 3, T0);
	flush("a.journal");
	start();
	read_all();
	run("rm %s/a.journal", journal_dir);
	assert_int_equal(c->ops->wake(c, true), 0);
	read_all();
	auth_series(BOOT_B, "b", 1, 2, T0 + 1000000000);
	flush("b.journal");
	assert_int_equal(c->ops->wake(c, true), 0);
	read_all();
	assert_messages("a1\na2\na3\nb1\nb2\n");
	assert_loss("vacuumed", "unknown", 0);
	end();
	teardown();
}

static void damage(const char *file, off_t offset, size_t len)
{
	static const uint8_t zeroes[65536];
	char path[256];
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s", journal_dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, zeroes, len, offset), len);
	assert_int_equal(close(fd), 0);
}

static off_t size_of(const char *file)
{
	struct stat st;
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", journal_dir, file);
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

TEST(a_damaged_file_is_a_loss_of_as_many_entries_as_are_not_read)
{
	setup();
	auth_series(BOOT_A, "a", 1, 3000, T0);
	flush("a.journal");
	auth_series(BOOT_B, "b", 1, 3000, T0 + 100000000000);
	flush("b.journal");
	auth_series(BOOT_C, "c", 1, 3000, T0 + 200000000000);
	flush("c.journal");
	damage("b.journal", 5 * 1024 * 1024 < size_of("b.journal") ? 4 * 1024 * 1024 : size_of("b.journal") / 2, 65536);
	start();
	read_all();
	assert_int_equal(in.n_losses, 1);
	assert_string_equal(in.reason, "journal_gap");
	assert_true(in.amount > 0);
	assert_int_equal(in.n + in.amount, 9000);
	assert_true(in.n > 6000);
	restart();
	read_all();
	assert_int_equal(in.n_losses, 1);
	end();
	teardown();
}

TEST(a_file_without_a_header_is_a_loss)
{
	setup();
	auth_series(BOOT_A, "a", 1, 3, T0);
	flush("a.journal");
	auth_series(BOOT_B, "b", 1, 3, T0 + 1000000000);
	flush("b.journal");
	damage("a.journal", 0, 300);
	start();
	read_all();
	assert_messages("b1\nb2\nb3\n");
	assert_loss("journal_gap", "unknown", 0);
	end();
	teardown();
}

TEST(inspection_tells_a_journal_with_auth_messages)
{
	struct journal_facts facts;

	setup();
	assert_int_equal(journal_inspect(journal_dir, &facts), 0);
	assert_false(facts.present);
	entry_begin(BOOT_A, 1, T0);
	assert_int_equal(buf_str(&script, "MESSAGE=nothing of ours\n"), 0);
	entry_end();
	flush("a.journal");
	assert_int_equal(journal_inspect(journal_dir, &facts), 0);
	assert_true(facts.present);
	assert_true(facts.persistent);
	assert_false(facts.carries_auth);
	assert_int_equal(facts.unreadable, 0);
	auth(BOOT_A, 2, T0, "of ours");
	flush("a.journal");
	assert_int_equal(journal_inspect(journal_dir, &facts), 0);
	assert_true(facts.carries_auth);
	teardown();
}

TEST(a_position_that_names_no_entry_is_none)
{
	setup();
	auth_series(BOOT_A, "a", 1, 2, T0);
	flush("a.journal");
	hallmark__v1__position__init(&at);
	hallmark__v1__journal_position__init(&at_journal);
	at_journal.boot_id.len = 3;
	at_journal.boot_id.data = at_boot;
	at.journal = &at_journal;
	start_since(false, 0, true);
	read_all();
	assert_messages("a1\na2\n");
	end();
	teardown();
}

TEST(a_journal_that_was_empty_so_far_has_nothing_that_is_too_old)
{
	setup();
	hallmark__v1__position__init(&at);
	auth_series(BOOT_A, "a", 1, 2, T0);
	flush("a.journal");
	start_since(false, (int64_t)T0 + 1000000000, true);
	read_all();
	assert_messages("a1\na2\n");
	end();
	teardown();
}

TEST(a_lost_position_in_a_boot_whose_clock_was_set_back_repeats_nothing)
{
	setup();
	auth_series(BOOT_A, "a", 1, 5, T0 + 1000000000);
	flush("a.journal");
	auth_series(BOOT_A, "a", 6, 5, T0);
	flush("b.journal");
	start();
	read_all();
	assert_int_equal(in.n, 10);
	save_position();
	end();
	run("rm %s/b.journal", journal_dir);
	start_since(false, 0, true);
	read_all();
	assert_int_equal(in.n, 10);
	assert_no_loss();
	end();
	teardown();
}
