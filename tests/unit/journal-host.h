/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the journal collector share: an intake that remembers, and journal files that
 * systemd-journal-remote wrote. Once in a program.
 */
#ifndef HALLMARK_TESTS_UNIT_JOURNAL_HOST_H
#define HALLMARK_TESTS_UNIT_JOURNAL_HOST_H

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

static inline void intake_reset(void)
{
	buf_done(&in.messages);
	in = (struct intake){ .messages = BUF_INIT(64 * 1024 * 1024), .room = SIZE_MAX };
}

static inline void keep(char *out, size_t size, struct bytes b)
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

static inline void run(const char *format, ...) _printf_(1, 2);
static inline void run(const char *format, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(command, sizeof command, format, ap);
	va_end(ap);
	assert_int_equal(system(command), 0); /* NOLINT: the tests' own commands */
}

static inline void setup(void)
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

static inline void teardown(void)
{
	buf_done(&in.messages);
	buf_done(&script);
	run("rm -rf %s", top);
}

/* An entry with what every entry has; more fields with buf_printf(&script, …) before entry_end(). */
static inline void entry_begin(const char *boot, uint64_t monotonic_us, uint64_t realtime_us)
{
	assert_int_equal(buf_printf(&script,
				    "__REALTIME_TIMESTAMP=%" PRIu64 "\n__MONOTONIC_TIMESTAMP=%" PRIu64 "\n_BOOT_ID=%s\n",
				    realtime_us, monotonic_us, boot), 0);
}

static inline void entry_end(void)
{
	assert_int_equal(buf_str(&script, "\n"), 0);
}

static inline void auth(const char *boot, uint64_t monotonic_us, uint64_t realtime_us, const char *message)
{
	entry_begin(boot, monotonic_us, realtime_us);
	assert_int_equal(buf_printf(&script, "SYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=sshd\nMESSAGE=%s\n", message), 0);
	entry_end();
}

/* `n` messages PREFIX1, PREFIX2, …, a second apart from monotonic second `from` on. */
static inline void auth_series(const char *boot, const char *prefix, unsigned from, unsigned n, uint64_t epoch_us)
{
	for (unsigned i = 0; i < n; i++) {
		char message[64];

		(void)snprintf(message, sizeof message, "%s%u", prefix, from + i);
		auth(boot, (from + i) * 1000000ull, epoch_us + (from + i) * 1000000ull, message);
	}
}

/* Appends the script to a journal file, and empties it. */
static inline void flush(const char *file)
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

static inline void start_since(bool all, int64_t since_us, bool from_position)
{
	const struct collector_start start = { .since_us = since_us };

	assert_int_equal(journal_new(journal_dir, all, &c), 0);
	c->source = 7;
	assert_int_equal(c->ops->start(c, &start, from_position ? &at : NULL), 0);
}

static inline void start(void)
{
	start_since(false, 0, false);
}

static inline void end(void)
{
	c = c->ops->free(c);
	assert_null(c);
}

static inline void save_position(void)
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
static inline void read_all(void)
{
	for (unsigned i = 0; i < 1000000; i++) {
		int r = c->ops->read(c, &in, 64 * 1024);

		assert_true(r >= 0);
		if (r == COLLECTOR_END)
			return;
	}
	fail_msg("the journal has no end");
}

static inline void restart(void)
{
	save_position();
	end();
	start_since(false, 0, true);
}

static inline void wake(void)
{
	assert_int_equal(c->ops->wake(c, false), 0);
}

static inline void forget(void)
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

#endif
