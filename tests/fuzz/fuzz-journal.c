/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a journal entry, one a line: which is kept, how much of it, and what it counts for. The entry's reader
 * meets these functions in the place of libsystemd's. */
#include "collectors/journal_entry.h"
#include "tests/fuzz/fuzz.h"

struct sd_journal {
	struct bytes all, rest;
};

void sd_journal_restart_data(sd_journal *j)
{
	j->rest = j->all;
}

int sd_journal_enumerate_available_data(sd_journal *j, const void **data, size_t *len)
{
	struct bytes line;

	if (j->rest.len == 0)
		return 0;
	line = take_line(&j->rest);
	*data = line.data;
	*len = line.len;
	return 1;
}

int sd_journal_get_realtime_usec(sd_journal *j, uint64_t *ret)
{
	*ret = UINT64_MAX - j->all.len % 2;
	return 0;
}

/* The first value of a field, as the format says it. */
static struct bytes first(sd_journal *j, struct bytes name)
{
	struct bytes line, rest = j->all;

	while (rest.len > 0) {
		line = take_line(&rest);
		if (bytes_starts(line, name))
			return bytes_of(line.data + name.len, line.len - name.len);
	}
	return BYTES_NONE;
}

static void check_value(struct bytes found, struct bytes value, size_t max)
{
	value.len = MIN(value.len, max);
	check(bytes_eq(found, value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	sd_journal j = { .all = { data, size } };
	struct bytes message = first(&j, LIT("MESSAGE=")), tag = first(&j, LIT("SYSLOG_IDENTIFIER="));
	struct journal_record rec;
	const struct journal_entry *e = &rec.entry;

	journal_record_init(&rec);
	check(journal_record_read(&j, &rec) == 0);
	check(rec.has_message == (message.data != NULL) && rec.largest <= size && e->time_us == INT64_MAX);
	check_value(e->message, message, EVENT_RAW_MAX);
	check((e->longer != NULL) == (message.len > EVENT_RAW_MAX) && (!e->longer || e->longer->length == message.len));
	check_value(e->program, tag.len > 0 ? tag : first(&j, LIT("_COMM=")), 256);
	check_value(e->provenance.transport, first(&j, LIT("_TRANSPORT=")), 64);
	check_value(e->provenance.unit, first(&j, LIT("_SYSTEMD_UNIT=")), 512);
	check(e->provenance.boot_id.len == 0 || e->provenance.boot_id.len == 16);
	check(e->pid <= INT32_MAX && (e->provenance.facility <= 127 || e->provenance.facility == EVENT_NUMBER_NONE));
	check(rec.n_lost == 0 || rec.notice);
	check(!rec.notice || (journal_record_is_auth(&rec) && bytes_eq(e->provenance.transport, LIT("driver"))));
	journal_record_done(&rec);
	return 0;
}
