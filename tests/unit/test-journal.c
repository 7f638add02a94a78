/* SPDX-License-Identifier: Apache-2.0 */
/* The journal collector: what is taken, where it begins, going on. */
#include "tests/unit/journal-host.h"

/* --- what is taken ------------------------------------------------------------------------------------- */

TEST(an_entry_keeps_what_journald_knows_of_it)
{
	setup();
	entry_begin(BOOT_A, 1000, T0);
	assert_int_equal(buf_str(&script, "SYSLOG_FACILITY=4\nSYSLOG_IDENTIFIER=sshd\nMESSAGE=Accepted password\n_PID=42\n"
					  "SYSLOG_PID=43\n_UID=0\n_GID=5\n_TRANSPORT=syslog\n_EXE=/usr/sbin/sshd\n_COMM=sshd\n"
					  "_SYSTEMD_UNIT=ssh.service\n_AUDIT_LOGINUID=1000\n_AUDIT_SESSION=3\n_HOSTNAME=golden\n"
					  "MESSAGE_ID=8d45620c1a4348dbb17410da57c60c66\n"), 0);
	entry_end();
	flush("a.journal");
	start();
	read_all();
	assert_messages("Accepted password\n");
	assert_int_equal(in.last.time_us, T0);
	assert_int_equal(in.last.pid, 42);
	assert_string_equal(in.program, "sshd");
	assert_string_equal(in.host, "golden");
	assert_string_equal(in.exe, "/usr/sbin/sshd");
	assert_string_equal(in.unit, "ssh.service");
	assert_string_equal(in.transport, "syslog");
	assert_int_equal(in.last.provenance.uid, 0);
	assert_int_equal(in.last.provenance.gid, 5);
	assert_int_equal(in.last.provenance.audit_loginuid, 1000);
	assert_int_equal(in.last.provenance.audit_session, 3);
	assert_int_equal(in.last.provenance.syslog_pid, 43);
	assert_int_equal(in.last.provenance.facility, 4);
	assert_int_equal(in.boot_id_len, 16);
	assert_int_equal(in.boot_id[0], 0xaa);
	assert_int_equal(in.message_id_len, 16);
	assert_int_equal(in.message_id[0], 0x8d);
	end();
	teardown();
}

TEST(numbers_that_are_none_are_not_there)
{
	setup();
	entry_begin(BOOT_A, 1000, T0);
	assert_int_equal(buf_str(&script, "SYSLOG_IDENTIFIER=su\nMESSAGE=x\n_PID=+1\n_UID=1 \n_GID=99999999999999999999\n"
					  "SYSLOG_FACILITY=300\nMESSAGE_ID=8d45\n_AUDIT_SESSION=\n"), 0);
	entry_end();
	flush("a.journal");
	start();
	read_all();
	assert_messages("x\n");
	assert_int_equal(in.last.pid, 0);
	assert_true(in.last.provenance.uid == EVENT_NUMBER_NONE);
	assert_true(in.last.provenance.gid == EVENT_NUMBER_NONE);
	assert_true(in.last.provenance.facility == EVENT_NUMBER_NONE);
	assert_true(in.last.provenance.audit_session == EVENT_NUMBER_NONE);
	assert_int_equal(in.message_id_len, 0);
	end();
	teardown();
}

TEST(of_several_entries_those_about_authentication_are_taken)
{
	static const char *const fields[] = {
		"SYSLOG_FACILITY=4\nMESSAGE=auth",
		"SYSLOG_FACILITY=10\nMESSAGE=authpriv",
		"SYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=systemd-logind\nMESSAGE=logind",
		"_SYSTEMD_UNIT=polkit.service\nMESSAGE=polkit",
		"_COMM=polkit-agent-he\nMESSAGE=helper",
		"SYSLOG_FACILITY=9\nSYSLOG_IDENTIFIER=CRON\nMESSAGE=cron",
		"SYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=dbus-daemon\nMESSAGE=no",
		"SYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=kernel\nMESSAGE=no",
		"SYSLOG_IDENTIFIER=sshd\nPRIORITY=6",
		"_SYSTEMD_UNIT=sshd@3-1.2.3.4.service\nMESSAGE=socket",
	};
	setup();
	for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
		entry_begin(BOOT_A, 1000 + i, T0 + i);
		assert_int_equal(buf_printf(&script, "%s\n", fields[i]), 0);
		entry_end();
	}
	flush("a.journal");
	start();
	read_all();
	assert_messages("auth\nauthpriv\nlogind\npolkit\nhelper\ncron\nsocket\n");
	save_position();
	assert_int_equal(at.journal->monotonic_us, 1009);
	end();
	forget();
	start_since(true, 0, false);
	read_all();
	assert_int_equal(in.n, ELEMENTSOF(fields));
	assert_no_loss();
	end();
	teardown();
}

TEST(journalds_word_about_lost_messages_is_a_loss)
{
	setup();
	for (unsigned i = 0; i < 3; i++) { /* the rate limit's, the kernel's, and one that somebody else wrote */
		entry_begin(BOOT_A, 1000 + i, T0);
		assert_int_equal(buf_printf(&script, "_TRANSPORT=%s\nMESSAGE_ID=%s\nMESSAGE=%s\n%s", i == 2 ? "syslog" : "driver",
					    i == 1 ? "e9bf28e6e834481bb6f48f548ad13606" : "a596d6fe7bfa4994828e72309e95d61e",
					    i == 1 ? "Missed 17 kernel messages" : "Suppressed 312 messages from ssh.service",
					    i == 1 ? "" : "N_DROPPED=312\n"), 0);
		entry_end();
		flush("a.journal");
		intake_reset();
		if (i == 0)
			start();
		else
			restart();
		read_all();
		save_position();
		if (i == 2) {
			assert_no_loss();
			assert_int_equal(in.n, 0);
			break;
		}
		assert_loss("journald_dropped", "entries", i == 0 ? 312 : 17);
		assert_int_equal(in.n, 1);
	}
	end();
	teardown();
}

TEST(a_long_message_is_cut_and_measured)
{
	static char text[1000001];
	uint8_t digest[32];

	setup();
	memset(text, 'x', sizeof text - 1);
	entry_begin(BOOT_A, 1000, T0);
	assert_int_equal(buf_printf(&script, "SYSLOG_FACILITY=10\nMESSAGE=%s\nSYSLOG_IDENTIFIER=", text), 0);
	assert_int_equal(buf_append(&script, bytes_of(text, 10000)), 0);
	entry_end();
	entry_end();
	flush("a.journal");
	start();
	read_all();
	assert_int_equal(in.n, 1);
	assert_int_equal(in.message_len, EVENT_RAW_MAX);
	assert_true(in.has_longer);
	assert_int_equal(in.longer.length, 1000000);
	assert_int_equal(EVP_Digest(text, 1000000, digest, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(in.longer.digest, digest, 32);
	assert_int_equal(in.last.program.len, 256);
	end();
	teardown();
}

/* --- where it begins ----------------------------------------------------------------------------------- */

TEST(without_a_position_it_begins_where_it_is_told)
{
	setup();
	auth_series(BOOT_A, "a", 1, 5, T0);
	auth_series(BOOT_B, "b", 1, 5, T0 + 100000000);
	flush("a.journal");
	start_since(false, (int64_t)T0 + 4000000, false);
	read_all();
	assert_messages("a4\na5\nb1\nb2\nb3\nb4\nb5\n");
	end();
	forget();
	start_since(false, (int64_t)T0 + 104000000, false);
	read_all();
	assert_messages("b4\nb5\n");
	end();
	teardown();
}

TEST(from_now_on_means_from_this_entry_on_even_over_a_restart)
{
	setup();
	auth_series(BOOT_A, "a", 1, 5, T0);
	flush("a.journal");
	start_since(false, INT64_MAX, false);
	read_all();
	assert_messages("");
	save_position();
	assert_non_null(at.journal);
	end();
	auth_series(BOOT_A, "a", 6, 2, T0);
	flush("a.journal");
	start_since(false, INT64_MAX, true);
	read_all();
	assert_messages("a6\na7\n");
	assert_no_loss();
	end();
	teardown();
}

TEST(a_journal_that_is_made_later_is_read_from_its_beginning)
{
	setup();
	start_since(false, INT64_MAX, false);
	read_all();
	assert_string_equal(in.states, "missing ");
	assert_non_null(c->ops->trouble(c));
	auth_series(BOOT_A, "a", 1, 2, T0);
	flush("a.journal");
	assert_int_equal(c->ops->wake(c, true), 0);
	read_all();
	assert_messages("a1\na2\n");
	assert_string_equal(in.states, "missing found ");
	assert_null(c->ops->trouble(c));
	assert_no_loss();
	end();
	teardown();
}

/* --- going on -------------------------------------------------------------------------------------------- */

TEST(it_goes_on_after_each_single_entry_and_repeats_none)
{
	static const struct {
		const char *boot;
		uint64_t monotonic_us, realtime_us;
		const char *message, *file;
	} entries[] = { /* two boots in two files, equal stamps, a message that is there twice */
		{ BOOT_A, 1, 1, "1", "a.journal" }, { BOOT_A, 2, 2, "2", "a.journal" }, { BOOT_A, 2, 2, "3", "a.journal" },
		{ BOOT_A, 2, 2, "4", "a.journal" }, { BOOT_A, 2, 2, "4", "a.journal" }, { BOOT_A, 2, 2, "4", "a.journal" },
		{ BOOT_A, 3, 3, "5", "a.journal" }, { BOOT_A, 4, 4, "6", "b.journal" }, { BOOT_A, 4, 4, "7", "b.journal" },
		{ BOOT_B, 1, 9, "8", "b.journal" }, { BOOT_B, 1, 9, "9", "b.journal" }, { BOOT_B, 2, 9, "0", "b.journal" },
	};
	setup();
	for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
		auth(entries[i].boot, entries[i].monotonic_us, T0 + entries[i].realtime_us, entries[i].message);
		if (i + 1 == ELEMENTSOF(entries) || strcmp(entries[i].file, entries[i + 1].file) != 0)
			flush(entries[i].file);
	}
	start();
	for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
		in.room = 1;
		for (;;) {
			int r = c->ops->read(c, &in, 1 << 20);

			if (r == COLLECTOR_FULL || r == COLLECTOR_END)
				break;
		}
		assert_int_equal(in.n, i + 1);
		restart();
	}
	in.room = 1;
	read_all();
	assert_messages("1\n2\n3\n4\n4\n4\n5\n6\n7\n8\n9\n0\n");
	assert_no_loss();
	end();
	teardown();
}

TEST(a_full_batch_takes_nothing_and_the_position_stays_before)
{
	setup();
	auth_series(BOOT_A, "a", 1, 3, T0);
	auth_series(BOOT_B, "b", 1, 3, T0 + 1000000000);
	flush("a.journal");
	start();
	for (unsigned i = 1; i <= 6; i++) {
		int r;

		in.room = 1;
		while ((r = c->ops->read(c, &in, 1 << 20)) == COLLECTOR_MORE)
			;
		assert_int_equal(r, i < 6 ? COLLECTOR_FULL : COLLECTOR_END);
		save_position();
		assert_int_equal(at.journal->monotonic_us, ((i - 1) % 3 + 1) * 1000000);
	}
	assert_messages("a1\na2\na3\nb1\nb2\nb3\n");
	end();
	teardown();
}

TEST(new_entries_and_new_files_wake_it)
{
	struct pollfd p = { .events = POLLIN };

	setup();
	auth_series(BOOT_A, "a", 1, 3, T0);
	flush("a.journal");
	start();
	read_all();
	p.fd = c->ops->fd(c);
	assert_int_equal(poll(&p, 1, 0), 0);
	auth_series(BOOT_A, "a", 4, 2, T0);
	flush("a.journal");
	assert_int_equal(poll(&p, 1, 2000), 1);
	wake();
	read_all();
	assert_messages("a1\na2\na3\na4\na5\n");
	auth_series(BOOT_B, "b", 1, 2, T0 + 1000000000);
	flush("b.journal");
	assert_int_equal(poll(&p, 1, 2000), 1);
	wake();
	read_all();
	assert_messages("a1\na2\na3\na4\na5\nb1\nb2\n");
	assert_no_loss();
	for (unsigned i = 0; i < 3; i++) { /* what we opened and closed ourselves may be told once */
		wake();
		read_all();
	}
	assert_int_equal(poll(&p, 1, 0), 0);
	end();
	teardown();
}

TEST(a_catch_up_reopens_the_journal_and_misses_nothing)
{
	setup();
	for (unsigned boot = 0; boot < 3; boot++) {
		char id[33];

		(void)snprintf(id, sizeof id, "%032x", boot + 1);
		auth_series(id, "m", 1, 10000, T0 + boot * 100000000000ull);
		flush(boot == 1 ? "b.journal" : "a.journal");
	}
	start();
	read_all();
	assert_int_equal(in.n, 30000);
	assert_no_loss();
	end();
	teardown();
}
