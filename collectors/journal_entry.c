/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal_internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <systemd/sd-messages.h>

#define VALUE_MAX 4096u /* of any field but MESSAGE */

enum field {
	FIELD_MESSAGE,
	FIELD_MESSAGE_ID,
	FIELD_SYSLOG_IDENTIFIER,
	FIELD_SYSLOG_FACILITY,
	FIELD_SYSLOG_PID,
	FIELD_PID,
	FIELD_UID,
	FIELD_GID,
	FIELD_COMM,
	FIELD_EXE,
	FIELD_TRANSPORT,
	FIELD_HOSTNAME,
	FIELD_BOOT_ID,
	FIELD_SYSTEMD_UNIT,
	FIELD_AUDIT_LOGINUID,
	FIELD_AUDIT_SESSION,
	FIELD_N_DROPPED,
	FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {
	[FIELD_MESSAGE] = "MESSAGE",
	[FIELD_MESSAGE_ID] = "MESSAGE_ID",
	[FIELD_SYSLOG_IDENTIFIER] = "SYSLOG_IDENTIFIER",
	[FIELD_SYSLOG_FACILITY] = "SYSLOG_FACILITY",
	[FIELD_SYSLOG_PID] = "SYSLOG_PID",
	[FIELD_PID] = "_PID",
	[FIELD_UID] = "_UID",
	[FIELD_GID] = "_GID",
	[FIELD_COMM] = "_COMM",
	[FIELD_EXE] = "_EXE",
	[FIELD_TRANSPORT] = "_TRANSPORT",
	[FIELD_HOSTNAME] = "_HOSTNAME",
	[FIELD_BOOT_ID] = "_BOOT_ID",
	[FIELD_SYSTEMD_UNIT] = "_SYSTEMD_UNIT",
	[FIELD_AUDIT_LOGINUID] = "_AUDIT_LOGINUID",
	[FIELD_AUDIT_SESSION] = "_AUDIT_SESSION",
	[FIELD_N_DROPPED] = "N_DROPPED",
};

/* Taken whatever their facility: what the catalogue of message formats knows. */
static const char *const wanted_identifiers[] = {
	"CRON",	    "CROND",	"anacron",  "chage",	"chfn",	    "chgpasswd", "chpasswd", "chsh",	"cron",	    "crond",
	"crontab",  "doas",	"gpasswd",  "groupadd", "groupdel", "groupmod",	 "login",    "newgrp",	"newusers", "passwd",
	"pkexec",   "polkitd",	"runuser",  "sshd",	"sshd-auth", "sshd-session", "su",   "sudo",	"sudo-rs",  "systemd-logind",
	"unix_chkpwd", "useradd", "userdel", "usermod",
};
static const char *const wanted_units[] = {
	"cron.service", "crond.service", "polkit.service", "ssh.service", "sshd.service", "systemd-logind.service",
};

/* journald's own words about messages that are not in the journal. */
static const sd_id128_t loss_notices[] = {
	SD_MESSAGE_JOURNAL_DROPPED,
	SD_MESSAGE_JOURNAL_MISSED,
};

void entry_reader_init(struct entry_reader *r)
{
	*r = (struct entry_reader){ .bytes = BUF_INIT(2 * EVENT_RAW_MAX + FIELD_COUNT * VALUE_MAX) };
}

void entry_reader_done(struct entry_reader *r)
{
	buf_done(&r->bytes);
}

static bool is_listed(struct bytes word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_eq(word, bytes_str(list[i])))
			return true;
	return false;
}

/* Field and value of "NAME=value"; FIELD_COUNT for one that we do not want. */
static enum field split_field(struct bytes datum, struct bytes *ret_value)
{
	const uint8_t *eq = datum.len ? memchr(datum.data, '=', MIN(datum.len, 32u)) : NULL;
	size_t len = eq ? (size_t)(eq - datum.data) : 0;

	for (enum field f = 0; eq && f < FIELD_COUNT; f++)
		if (strlen(field_names[f]) == len && memcmp(field_names[f], datum.data, len) == 0) {
			*ret_value = bytes_from(datum, len + 1);
			return f;
		}
	return FIELD_COUNT;
}

static uint64_t to_number(struct bytes value)
{
	uint64_t n;

	return bytes_to_u64(value, &n) < 0 || n == UINT64_MAX ? EVENT_NUMBER_NONE : n;
}

static bool to_id(struct bytes value, sd_id128_t *ret)
{
	char text[37];

	if (value.len != 32 && value.len != 36)
		return false;
	memcpy(text, value.data, value.len);
	text[value.len] = '\0';
	return sd_id128_from_string(text, ret) >= 0;
}

/* An id as 16 raw bytes in the reader's buffer; empty where it is none. */
static struct bytes keep_id(struct entry_reader *r, struct bytes value)
{
	sd_id128_t id;
	size_t at = r->bytes.len;

	if (!to_id(value, &id) || buf_append(&r->bytes, bytes_of(id.bytes, sizeof id.bytes)) < 0)
		return BYTES_NONE;
	return bytes_of(r->bytes.data + at, sizeof id.bytes);
}

static bool is_loss_notice(struct bytes message_id)
{
	for (size_t i = 0; i < ELEMENTSOF(loss_notices); i++)
		if (message_id.len == 16 && memcmp(message_id.data, loss_notices[i].bytes, 16) == 0)
			return true;
	return false;
}

/* A message longer than an event may be: all of it is read once more, for its length and its digest. */
static int measure_long_message(struct entry_reader *r, sd_journal *j)
{
	const void *data;
	size_t len, threshold;
	int k;

	k = sd_journal_get_data_threshold(j, &threshold);
	if (k >= 0)
		k = sd_journal_set_data_threshold(j, 0);
	if (k < 0)
		return k;
	k = sd_journal_get_data(j, "MESSAGE", &data, &len);
	if (k >= 0 && len >= 8 + EVENT_RAW_MAX) {
		unsigned size = sizeof r->longer.digest;

		r->longer.length = len - 8;
		if (EVP_Digest((const uint8_t *)data + 8, len - 8, r->longer.digest, &size, EVP_sha256(), NULL) != 1)
			k = -EIO;
		else if (r->longer.length > EVENT_RAW_MAX)
			r->entry.longer = &r->longer;
	}
	(void)sd_journal_set_data_threshold(j, threshold);
	return k < 0 ? k : 0;
}

/* Copies the wanted fields out, the first of each name. */
static int copy_fields(struct entry_reader *r, sd_journal *j, struct bytes values[static FIELD_COUNT])
{
	size_t at[FIELD_COUNT], len[FIELD_COUNT];
	bool seen[FIELD_COUNT] = { false };
	const void *data;
	size_t size;
	int k;

	buf_clear(&r->bytes);
	sd_journal_restart_data(j);
	while ((k = sd_journal_enumerate_available_data(j, &data, &size)) > 0) {
		struct bytes value;
		enum field f = split_field(bytes_of(data, size), &value);

		if (f == FIELD_COUNT || seen[f])
			continue;
		value.len = MIN(value.len, f == FIELD_MESSAGE ? EVENT_RAW_MAX : VALUE_MAX);
		at[f] = r->bytes.len;
		len[f] = value.len;
		seen[f] = true;
		k = buf_append(&r->bytes, value);
		if (k < 0)
			return k;
	}
	/* keep_id() appends a little more: the buffer must not move under the views */
	if (k >= 0)
		k = buf_reserve(&r->bytes, 64);
	for (size_t f = 0; k >= 0 && f < FIELD_COUNT; f++)
		values[f] = seen[f] ? bytes_of(r->bytes.data + at[f], len[f]) : BYTES_NONE;
	return k;
}

static bool is_wanted(const struct entry_reader *r, const struct bytes values[static FIELD_COUNT])
{
	const struct provenance *p = &r->entry.provenance;

	return p->facility == 4 || p->facility == 10 || r->is_notice ||
	       is_listed(values[FIELD_SYSLOG_IDENTIFIER], wanted_identifiers, ELEMENTSOF(wanted_identifiers)) ||
	       is_listed(p->unit, wanted_units, ELEMENTSOF(wanted_units));
}

/* How many messages a notice speaks of: its field, or the first number of its text. */
static uint64_t count_dropped(const struct bytes values[static FIELD_COUNT])
{
	struct bytes text = values[FIELD_MESSAGE];
	uint64_t n = to_number(values[FIELD_N_DROPPED]);
	size_t from = 0, to;

	if (n != EVENT_NUMBER_NONE)
		return n;
	while (from < text.len && (unsigned)text.data[from] - '0' > 9)
		from++;
	for (to = from; to < text.len && (unsigned)text.data[to] - '0' <= 9;)
		to++;
	return bytes_to_u64(bytes_of(text.data + from, to - from), &n) < 0 ? 0 : n;
}

int entry_read(struct entry_reader *r, sd_journal *j, bool all)
{
	struct bytes values[FIELD_COUNT];
	struct provenance *p = &r->entry.provenance;
	uint64_t realtime_us;
	int k;

	r->entry = (struct journal_entry){ .provenance = PROVENANCE_NONE };
	k = copy_fields(r, j, values);
	if (k >= 0)
		k = sd_journal_get_realtime_usec(j, &realtime_us);
	if (k < 0)
		return k;
	p->uid = to_number(values[FIELD_UID]);
	p->gid = to_number(values[FIELD_GID]);
	p->audit_loginuid = to_number(values[FIELD_AUDIT_LOGINUID]);
	p->audit_session = to_number(values[FIELD_AUDIT_SESSION]);
	p->facility = to_number(values[FIELD_SYSLOG_FACILITY]);
	p->transport = values[FIELD_TRANSPORT];
	p->exe = values[FIELD_EXE];
	p->comm = values[FIELD_COMM];
	p->unit = values[FIELD_SYSTEMD_UNIT];
	p->boot_id = keep_id(r, values[FIELD_BOOT_ID]);
	p->message_id = keep_id(r, values[FIELD_MESSAGE_ID]);
	if (p->facility > 127)
		p->facility = EVENT_NUMBER_NONE;
	/* only journald itself has this transport: nobody else can make us believe in a loss */
	r->is_notice = bytes_eq(p->transport, LIT("driver")) && is_loss_notice(p->message_id);
	if (!all && !is_wanted(r, values))
		return 0;
	if (!values[FIELD_MESSAGE].data && !all)
		return 0;
	r->dropped = r->is_notice ? count_dropped(values) : 0;
	r->entry.message = values[FIELD_MESSAGE];
	r->entry.program = values[FIELD_SYSLOG_IDENTIFIER].data ? values[FIELD_SYSLOG_IDENTIFIER] : p->comm;
	r->entry.host = values[FIELD_HOSTNAME];
	r->entry.time_us = (int64_t)MIN(realtime_us, (uint64_t)INT64_MAX);
	uint64_t pid = to_number(values[FIELD_PID]), syslog_pid = to_number(values[FIELD_SYSLOG_PID]);
	r->entry.pid = pid <= INT32_MAX ? (uint32_t)pid : 0;
	if (syslog_pid != pid)
		p->syslog_pid = syslog_pid;
	if (r->entry.message.len == EVENT_RAW_MAX) {
		k = measure_long_message(r, j);
		if (k < 0)
			return k;
	}
	return 1;
}
