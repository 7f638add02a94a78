/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal_entry.h"

#include <errno.h>
#include <openssl/evp.h>
#include <systemd/sd-messages.h>

enum field {
	FIELD_MESSAGE,
	FIELD_IDENTIFIER,
	FIELD_COMM,
	FIELD_HOSTNAME,
	FIELD_TRANSPORT,
	FIELD_EXE,
	FIELD_UNIT,
	FIELD_BOOT_ID,
	FIELD_MACHINE_ID,
	FIELD_MESSAGE_ID,
	FIELD_PID,
	FIELD_UID,
	FIELD_GID,
	FIELD_LOGINUID,
	FIELD_SESSION,
	FIELD_SYSLOG_PID,
	FIELD_FACILITY,
	FIELD_N_DROPPED,
	FIELD_MAX
};

/* With the longest value that is kept: what is longer is cut, since a sender writes its tag as long as it likes. */
static const struct {
	struct bytes name;
	size_t max;
} fields[FIELD_MAX] = {
	[FIELD_MESSAGE] = { LIT("MESSAGE="), EVENT_RAW_MAX },
	[FIELD_IDENTIFIER] = { LIT("SYSLOG_IDENTIFIER="), 256 },
	[FIELD_COMM] = { LIT("_COMM="), 256 },
	[FIELD_HOSTNAME] = { LIT("_HOSTNAME="), 256 },
	[FIELD_TRANSPORT] = { LIT("_TRANSPORT="), 64 },
	[FIELD_EXE] = { LIT("_EXE="), 4096 },
	[FIELD_UNIT] = { LIT("_SYSTEMD_UNIT="), 512 },
	[FIELD_BOOT_ID] = { LIT("_BOOT_ID="), 64 },
	[FIELD_MACHINE_ID] = { LIT("_MACHINE_ID="), 64 },
	[FIELD_MESSAGE_ID] = { LIT("MESSAGE_ID="), 64 },
	[FIELD_PID] = { LIT("_PID="), 32 },
	[FIELD_UID] = { LIT("_UID="), 32 },
	[FIELD_GID] = { LIT("_GID="), 32 },
	[FIELD_LOGINUID] = { LIT("_AUDIT_LOGINUID="), 32 },
	[FIELD_SESSION] = { LIT("_AUDIT_SESSION="), 32 },
	[FIELD_SYSLOG_PID] = { LIT("SYSLOG_PID="), 32 },
	[FIELD_FACILITY] = { LIT("SYSLOG_FACILITY="), 32 },
	[FIELD_N_DROPPED] = { LIT("N_DROPPED="), 32 },
};

#define FIELD_NAME_MAX 20u /* bytes of a name in the table, with the "=" */

#define FACILITY_AUTH 4
#define FACILITY_AUTHPRIV 10
#define FACILITY_MAX 127 /* LOG_FACMASK of syslog(3) has no room for more */

/* Programs (by tag, or name where there is none) and units whose messages are taken whatever their facility. A "*" at
 * the end stands for anything. */
static const struct bytes chosen[] = {
	LIT("sshd"), LIT("sshd-session"), LIT("sshd-auth"), LIT("ssh.service"), LIT("sshd.service"), LIT("ssh@*"),
	LIT("sshd@*"), LIT("sudo"), LIT("sudoedit"), LIT("sudo-rs"), LIT("doas"), LIT("su"), LIT("su-l"),
	LIT("runuser"), LIT("login"), LIT("newgrp"), LIT("unix_chkpwd"), LIT("systemd-logind"),
	LIT("systemd-logind.service"), LIT("polkit*"), LIT("pkexec"), LIT("cron"), LIT("crond"), LIT("CRON"),
	LIT("CROND"), LIT("crontab"), LIT("anacron"), LIT("cron.service"), LIT("crond.service"), LIT("useradd"),
	LIT("usermod"), LIT("userdel"), LIT("groupadd"), LIT("groupmod"), LIT("groupdel"), LIT("groupmems"),
	LIT("gpasswd"), LIT("passwd"), LIT("chage"), LIT("chfn"), LIT("chsh"), LIT("chpasswd"), LIT("chgpasswd"),
	LIT("newusers"), LIT("vipw"), LIT("vigr"), LIT("pwck"), LIT("grpck"),
};

static bool is_chosen(struct bytes name)
{
	for (size_t i = 0; name.len > 0 && i < ELEMENTSOF(chosen); i++) {
		struct bytes c = chosen[i];

		if (c.data[c.len - 1] == '*' ? bytes_starts(name, bytes_of(c.data, c.len - 1)) : bytes_eq(name, c))
			return true;
	}
	return false;
}

/* The rate limit's notice, and that of the kernel's ring buffer. Nobody but journald has the transport "driver". */
static bool is_notice(const struct journal_entry *e)
{
	static const sd_id128_t notices[] = { SD_MESSAGE_JOURNAL_DROPPED, SD_MESSAGE_JOURNAL_MISSED };

	if (!bytes_eq(e->provenance.transport, LIT("driver")))
		return false;
	for (size_t i = 0; i < ELEMENTSOF(notices); i++)
		if (bytes_eq(e->provenance.message_id, bytes_of(notices[i].bytes, sizeof notices[i].bytes)))
			return true;
	return false;
}

bool journal_record_is_auth(const struct journal_record *r)
{
	const struct provenance *p = &r->entry.provenance;

	return p->facility == FACILITY_AUTH || p->facility == FACILITY_AUTHPRIV || r->notice ||
	       is_chosen(r->entry.program) || is_chosen(p->unit);
}

static uint64_t to_number(struct bytes b)
{
	uint64_t n;

	return bytes_to_u64(b, &n) < 0 ? EVENT_NUMBER_NONE : n;
}

/* Most entries are of one boot, and messages with an id are few: what was parsed last is mostly what comes next. */
static struct bytes to_id(struct bytes b, struct journal_id *id)
{
	sd_id128_t parsed;
	char text[SD_ID128_STRING_MAX];

	if (b.len != sizeof id->text)
		return BYTES_NONE;
	if (!id->known || memcmp(id->text, b.data, b.len) != 0) {
		memcpy(text, b.data, b.len);
		text[b.len] = '\0';
		if (sd_id128_from_string(text, &parsed) < 0)
			return BYTES_NONE;
		memcpy(id->text, text, sizeof id->text);
		memcpy(id->bytes, parsed.bytes, sizeof parsed.bytes);
		id->known = true;
	}
	return bytes_of(id->bytes, sizeof id->bytes);
}

/* A journal that was copied here has its own machine's uids. */
static bool is_own_machine(struct bytes id)
{
	static char own[SD_ID128_STRING_MAX];
	sd_id128_t machine;

	if (own[0] == '\0' && sd_id128_get_machine(&machine) == 0)
		sd_id128_to_string(machine, own);
	return own[0] != '\0' && bytes_eq(id, bytes_of(own, sizeof own - 1));
}

/* The first number in "Missed 17 kernel messages", for which there is no field. */
static uint64_t number_in(struct bytes text)
{
	size_t from = 0, to;

	if (text.len == 0)
		return 0;
	while (from < text.len && (text.data[from] < '0' || text.data[from] > '9'))
		from++;
	for (to = from; to < text.len && text.data[to] >= '0' && text.data[to] <= '9';)
		to++;
	uint64_t n = to_number(bytes_of(text.data + from, to - from));

	return n == EVENT_NUMBER_NONE ? 0 : n;
}

/* Which fields have a name of that length: `first` of them, and the `next` after each. FIELD_MAX ends it. */
static struct {
	uint8_t first[FIELD_NAME_MAX + 1], next[FIELD_MAX];
} of_length;

static void index_names(void)
{
	memset(of_length.first, FIELD_MAX, sizeof of_length.first);
	for (enum field f = 0; f < FIELD_MAX; f++) {
		size_t len = fields[f].name.len;

		of_length.next[f] = of_length.first[len];
		of_length.first[len] = (uint8_t)f;
	}
}

static enum field field_of(struct bytes data)
{
	const uint8_t *equals = data.len > 0 ? memchr(data.data, '=', MIN(data.len, FIELD_NAME_MAX)) : NULL;
	size_t len = equals ? (size_t)(equals - data.data) + 1 : 0;
	enum field f = of_length.first[len];

	while (f < FIELD_MAX && !bytes_same(fields[f].name.data, data.data, len))
		f = of_length.next[f];
	return f;
}

static int measure(struct journal_record *rec, struct bytes message)
{
	if (message.len <= EVENT_RAW_MAX)
		return 0;
	rec->longer.length = message.len;
	if (EVP_Digest(message.data, message.len, rec->longer.digest, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	rec->entry.longer = &rec->longer;
	return 0;
}

/*
 * Keeps a copy of each field that is wanted: libsystemd promises its bytes until the next field only, and
 * decompresses all of them into one buffer. A field that is there several times counts once: the first.
 */
static int collect(sd_journal *j, struct journal_record *rec, struct bytes values[static FIELD_MAX])
{
	uint8_t *text = rec->text.data;
	const void *data;
	size_t len;
	int r;

	sd_journal_restart_data(j);
	while ((r = sd_journal_enumerate_available_data(j, &data, &len)) > 0) {
		struct bytes d = bytes_of(data, len);
		enum field f = field_of(d);

		rec->largest = MAX(rec->largest, len);
		if (f == FIELD_MAX || values[f].data)
			continue;
		d.data += fields[f].name.len;
		d.len -= fields[f].name.len;
		if (f == FIELD_MESSAGE) {
			r = measure(rec, d);
			if (r < 0)
				return r;
		}
		d.len = MIN(d.len, fields[f].max);
		bytes_copy(text, d);
		values[f] = bytes_of(text, d.len);
		text += d.len;
	}
	return r;
}

void journal_record_init(struct journal_record *r)
{
	size_t max = 0;

	index_names();
	for (enum field f = 0; f < FIELD_MAX; f++)
		max += fields[f].max;
	*r = (struct journal_record){ .text = BUF_INIT(max) };
}

void journal_record_done(struct journal_record *r)
{
	buf_done(&r->text);
}

static void fill_entry(struct journal_record *rec, const struct bytes v[static FIELD_MAX])
{
	uint64_t pid = to_number(v[FIELD_PID]), facility = to_number(v[FIELD_FACILITY]);
	struct journal_entry *e = &rec->entry;

	e->pid = pid <= INT32_MAX ? (uint32_t)pid : 0;
	e->message = v[FIELD_MESSAGE];
	e->program = v[FIELD_IDENTIFIER].len > 0 ? v[FIELD_IDENTIFIER] : v[FIELD_COMM];
	e->host = v[FIELD_HOSTNAME];
	e->provenance = (struct provenance){
		.uid = to_number(v[FIELD_UID]),
		.gid = to_number(v[FIELD_GID]),
		.audit_loginuid = to_number(v[FIELD_LOGINUID]),
		.audit_session = to_number(v[FIELD_SESSION]),
		.syslog_pid = bytes_eq(v[FIELD_SYSLOG_PID], v[FIELD_PID]) ? EVENT_NUMBER_NONE :
									    to_number(v[FIELD_SYSLOG_PID]),
		.facility = facility > FACILITY_MAX ? EVENT_NUMBER_NONE : facility,
		.transport = v[FIELD_TRANSPORT],
		.boot_id = to_id(v[FIELD_BOOT_ID], &rec->boot_id),
		.exe = v[FIELD_EXE],
		.comm = v[FIELD_COMM],
		.unit = v[FIELD_UNIT],
		.message_id = to_id(v[FIELD_MESSAGE_ID], &rec->message_id),
		.own_machine = is_own_machine(v[FIELD_MACHINE_ID]),
	};
}

int journal_record_read(sd_journal *j, struct journal_record *rec)
{
	struct bytes v[FIELD_MAX] = { 0 };
	uint64_t time_us, n;
	int r;

	rec->entry.longer = NULL;
	rec->largest = 0;
	/* all that there can be: so no value moves, and what is not touched costs nothing */
	r = buf_reserve(&rec->text, rec->text.max);
	if (r >= 0)
		r = collect(j, rec, v);
	if (r >= 0)
		r = sd_journal_get_realtime_usec(j, &time_us);
	if (r < 0)
		return r;
	fill_entry(rec, v);
	rec->entry.time_us = (int64_t)MIN(time_us, (uint64_t)INT64_MAX);
	rec->has_message = v[FIELD_MESSAGE].data;
	rec->notice = is_notice(&rec->entry);
	n = to_number(v[FIELD_N_DROPPED]);
	rec->n_lost = !rec->notice ? 0 : n == EVENT_NUMBER_NONE ? number_in(rec->entry.message) : n;
	return 0;
}
