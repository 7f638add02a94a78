/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-id128.h>
#include <openssl/evp.h>

#include "agent/base/buf.h"
#include "collectors/collector.h"
#include "collectors/journal.h"

#define REMOTE "/usr/lib/systemd/systemd-journal-remote"

/* --- an intake that remembers -------------------------------------------------------------------------- */

struct intake {
	struct buf messages;     /* one after another, each followed by "\n" */
	size_t n, room;          /* how many it takes before it is full */
	struct journal_entry last; /* numbers only */
	char program[64], host[64], exe[64], unit[64], transport[32];
	uint8_t boot_id[16], message_id[16];
	size_t boot_id_len, message_id_len, message_len;
	struct long_line longer;
	bool has_longer;
	size_t n_losses;
	char reason[32], detail[512], unit_of_loss[16];
	uint64_t amount;
	char states[128];
};

static struct intake in;

static void intake_reset(void)
{
	buf_done(&in.messages);
	in = (struct intake){ .messages = BUF_INIT(64 * 1024 * 1024), .room = SIZE_MAX };
}

static void keep(char *out, size_t size, struct bytes b)
{
	(void)snprintf(out, size, "%.*s", (int)b.len, b.data ? (const char *)b.data : "");
}

int intake_entry(struct intake *i, uint32_t source, const struct journal_entry *e)
{
	assert_int_equal(source, 7);
	if (i->room == 0)
		return INTAKE_FULL;
	i->room--;
	i->n++;
	i->last = *e;
	keep(i->program, sizeof i->program, e->program);
	keep(i->host, sizeof i->host, e->host);
	keep(i->exe, sizeof i->exe, e->provenance.exe);
	keep(i->unit, sizeof i->unit, e->provenance.unit);
	keep(i->transport, sizeof i->transport, e->provenance.transport);
	i->boot_id_len = e->provenance.boot_id.len;
	if (i->boot_id_len == 16)
		memcpy(i->boot_id, e->provenance.boot_id.data, 16);
	i->message_id_len = e->provenance.message_id.len;
	if (i->message_id_len == 16)
		memcpy(i->message_id, e->provenance.message_id.data, 16);
	i->message_len = e->message.len;
	i->has_longer = e->longer;
	if (e->longer)
		i->longer = *e->longer;
	assert_int_equal(buf_append(&i->messages, bytes_of(e->message.data, MIN(e->message.len, 200u))), 0);
	assert_int_equal(buf_byte(&i->messages, '\n'), 0);
	return INTAKE_OK;
}

int intake_loss(struct intake *i, uint32_t source, const struct loss *l)
{
	assert_int_equal(source, 7);
	if (i->room == 0)
		return INTAKE_FULL;
	i->room--;
	i->n_losses++;
	(void)snprintf(i->reason, sizeof i->reason, "%s", l->reason);
	(void)snprintf(i->detail, sizeof i->detail, "%s", l->detail);
	(void)snprintf(i->unit_of_loss, sizeof i->unit_of_loss, "%s", l->unit);
	i->amount = l->amount;
	return INTAKE_OK;
}

int intake_own(struct intake *i, uint32_t source, enum own_event which, const struct bytes *values)
{
	size_t n = strlen(i->states);

	assert_int_equal(which, OWN_SOURCE_STATE);
	assert_bytes_equal(values[0], "journal");
	(void)snprintf(i->states + n, sizeof i->states - n, "%.*s ", (int)values[1].len, (const char *)values[1].data);
	return INTAKE_OK;
}

/* --- journals, written by systemd-journal-remote ------------------------------------------------------- */

#define BOOT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOOT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BOOT_C "cccccccccccccccccccccccccccccccc"
#define T0 1790000000000000ull /* some time in 2026 */

static char top[64], journal_dir[80];
static struct buf script; /* entries in the journal export format */

static void run(const char *format, ...) _printf_(1, 2);
static void run(const char *format, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(command, sizeof command, format, ap);
	va_end(ap);
	assert_int_equal(system(command), 0); /* NOLINT: the tests' own commands */
}

static void setup(void)
{
	if (access(REMOTE, X_OK) < 0)
		skip();
	intake_reset();
	script = (struct buf)BUF_INIT(256 * 1024 * 1024);
	(void)snprintf(top, sizeof top, "/tmp/hallmark-journal-XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)snprintf(journal_dir, sizeof journal_dir, "%s/journal", top);
	assert_int_equal(mkdir(journal_dir, 0755), 0);
}

static void teardown(void)
{
	buf_done(&in.messages);
	buf_done(&script);
	run("rm -rf %s", top);
}

/* An entry with what every entry has; more fields with buf_printf(&script, …) before entry_end(). */
static void entry_begin(const char *boot, uint64_t monotonic_us, uint64_t realtime_us)
{
	assert_int_equal(buf_printf(&script,
				    "__REALTIME_TIMESTAMP=%" PRIu64 "\n__MONOTONIC_TIMESTAMP=%" PRIu64 "\n_BOOT_ID=%s\n",
				    realtime_us, monotonic_us, boot), 0);
}

static void entry_end(void)
{
	assert_int_equal(buf_str(&script, "\n"), 0);
}

static void auth(const char *boot, uint64_t monotonic_us, uint64_t realtime_us, const char *message)
{
	entry_begin(boot, monotonic_us, realtime_us);
	assert_int_equal(buf_printf(&script, "SYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=sshd\nMESSAGE=%s\n", message), 0);
	entry_end();
}

/* `n` messages PREFIX1, PREFIX2, …, a second apart from monotonic second `from` on. */
static void auth_series(const char *boot, const char *prefix, unsigned from, unsigned n, uint64_t epoch_us)
{
	for (unsigned i = 0; i < n; i++) {
		char message[64];

		(void)snprintf(message, sizeof message, "%s%u", prefix, from + i);
		auth(boot, (from + i) * 1000000ull, epoch_us + (from + i) * 1000000ull, message);
	}
}

/* Appends the script to a journal file, and empties it. */
static void flush(const char *file)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof path, "%s/export", top);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	for (size_t done = 0; done < script.len;) {
		ssize_t n = write(fd, script.data + done, script.len - done);

		assert_true(n > 0);
		done += (size_t)n;
	}
	assert_int_equal(close(fd), 0);
	run(REMOTE " -o %s/%s - < %s >/dev/null 2>%s/remote.log || { cat %s/remote.log >&2; false; }", journal_dir, file, path,
	    top, top);
	buf_clear(&script);
}

/* --- the collector --------------------------------------------------------------------------------------- */

static struct collector *c;
static Hallmark__V1__Position at; /* as a batch would keep it: a copy */
static Hallmark__V1__JournalPosition at_journal;
static uint8_t at_boot[16], at_seqnum_id[16];

static void start_since(bool all, int64_t since_us, bool from_position)
{
	const struct collector_start start = { .since_us = since_us };

	assert_int_equal(journal_new(journal_dir, all, &c), 0);
	c->source = 7;
	assert_int_equal(c->ops->start(c, &start, from_position ? &at : NULL), 0);
}

static void start(void)
{
	start_since(false, 0, false);
}

static void end(void)
{
	c = c->ops->free(c);
	assert_null(c);
}

static void save_position(void)
{
	Hallmark__V1__Position p = HALLMARK__V1__POSITION__INIT;

	assert_int_equal(c->ops->position(c, &p), 0);
	at = p;
	if (!p.journal)
		return;
	at_journal = *p.journal;
	memcpy(at_boot, p.journal->boot_id.data, 16);
	memcpy(at_seqnum_id, p.journal->seqnum_id.data, 16);
	at_journal.boot_id.data = at_boot;
	at_journal.seqnum_id.data = at_seqnum_id;
	at.journal = &at_journal;
}

/* Reads to the end; a full intake is emptied as a commit would. */
static void read_all(void)
{
	for (unsigned i = 0; i < 1000000; i++) {
		int r = c->ops->read(c, &in, 64 * 1024);

		assert_true(r >= 0);
		if (r == COLLECTOR_END)
			return;
	}
	fail_msg("the journal has no end");
}

static void restart(void)
{
	save_position();
	end();
	start_since(false, 0, true);
}

static void wake(void)
{
	assert_int_equal(c->ops->wake(c, false), 0);
}

static void forget(void)
{
	buf_clear(&in.messages);
	in.n = 0;
}

#define assert_messages(s) assert_bytes_equal(buf_bytes(&in.messages), s)
#define assert_no_loss() assert_int_equal(in.n_losses, 0)

#define assert_loss(reason_, unit_, amount_)                      \
	do {                                                      \
		assert_int_equal(in.n_losses, 1);                 \
		assert_string_equal(in.reason, reason_);          \
		assert_string_equal(in.unit_of_loss, unit_);      \
		assert_int_equal(in.amount, amount_);             \
	} while (0)

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
