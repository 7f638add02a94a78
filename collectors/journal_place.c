/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal_place.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/macro.h"

static int parse_hex(const char *s, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(s, &end, 16);
	return errno == 0 && end > s && (*end == ';' || *end == '\0') ? 0 : -EBADMSG;
}

static int parse_id(const char *s, sd_id128_t *ret)
{
	char text[33];
	size_t len = strcspn(s, ";");

	if (len != sizeof text - 1)
		return -EBADMSG;
	memcpy(text, s, len);
	text[len] = '\0';
	return sd_id128_from_string(text, ret);
}

/* "s=ID;i=HEX;b=ID;m=HEX;t=HEX;x=HEX". Up to systemd 253 there is no other way to number and hash. */
static int parse_cursor(const char *cursor, struct journal_place *ret)
{
	unsigned seen = 0;
	int r = 0;

	for (const char *s = cursor; *s && r >= 0; s += strcspn(s, ";"), s += *s == ';') {
		if (s[1] != '=')
			return -EBADMSG;
		seen++;
		switch (s[0]) {
		case 's':
			r = parse_id(s + 2, &ret->seqnum_id);
			break;
		case 'i':
			r = parse_hex(s + 2, &ret->seqnum);
			break;
		case 'b':
			r = parse_id(s + 2, &ret->boot);
			break;
		case 'm':
			r = parse_hex(s + 2, &ret->monotonic_us);
			break;
		case 't':
			r = parse_hex(s + 2, &ret->realtime_us);
			break;
		case 'x':
			r = parse_hex(s + 2, &ret->hash);
			break;
		default:
			seen--;
		}
	}
	return r < 0 ? r : seen == 6 ? 0 : -EBADMSG;
}

int journal_place_read(sd_journal *j, struct journal_place *ret)
{
	_cleanup_(freep) char *cursor = NULL;
	struct journal_place place;
	int r;

	r = sd_journal_get_cursor(j, &cursor);
	if (r >= 0)
		r = parse_cursor(cursor, &place);
	if (r < 0)
		return r;
	*ret = place;
	return 0;
}

int journal_place_from_position(const Hallmark__V1__JournalPosition *p, struct journal_place *ret)
{
	struct journal_place place = {
		.monotonic_us = p->monotonic_us,
		.realtime_us = (uint64_t)MAX(p->realtime_us, 0),
		.hash = p->entry_hash,
		.seqnum = p->seqnum,
	};

	if (p->boot_id.len != sizeof place.boot.bytes)
		return -EINVAL;
	memcpy(place.boot.bytes, p->boot_id.data, sizeof place.boot.bytes);
	if (p->seqnum_id.len == sizeof place.seqnum_id.bytes)
		memcpy(place.seqnum_id.bytes, p->seqnum_id.data, sizeof place.seqnum_id.bytes);
	*ret = place;
	return 0;
}

void journal_place_to_position(struct journal_place *place, Hallmark__V1__JournalPosition *ret)
{
	hallmark__v1__journal_position__init(ret);
	ret->boot_id = (ProtobufCBinaryData){ sizeof place->boot.bytes, place->boot.bytes };
	ret->monotonic_us = place->monotonic_us;
	ret->realtime_us = (int64_t)MIN(place->realtime_us, (uint64_t)INT64_MAX);
	ret->entry_hash = place->hash;
	ret->seqnum_id = (ProtobufCBinaryData){ sizeof place->seqnum_id.bytes, place->seqnum_id.bytes };
	ret->seqnum = place->seqnum;
}

int journal_match_boot(sd_journal *j, sd_id128_t boot)
{
	char match[9 + SD_ID128_STRING_MAX] = "_BOOT_ID=";

	sd_journal_flush_matches(j);
	(void)sd_id128_to_string(boot, match + 9);
	return sd_journal_add_match(j, match, 0);
}

/*
 * A cursor without number: each file is then entered at the first entry (in the other direction, the last) of that
 * monotonic time. A file that has the boot, but nothing further on, is entered by wall clock instead, which
 * gives nothing, or, where the clock was set back, entries that are not past the place.
 */
static int seek(sd_journal *j, const struct journal_place *p)
{
	char cursor[128];

	(void)snprintf(cursor, sizeof cursor, "b=" SD_ID128_FORMAT_STR ";m=%" PRIx64 ";t=%" PRIx64,
		       SD_ID128_FORMAT_VAL(p->boot), p->monotonic_us, p->realtime_us);
	return sd_journal_seek_cursor(j, cursor);
}

static bool same_entry(const struct journal_place *a, const struct journal_place *b)
{
	return sd_id128_equal(a->boot, b->boot) && a->monotonic_us == b->monotonic_us &&
	       a->realtime_us == b->realtime_us && a->hash == b->hash;
}

/* Goes on to the entry at the place: 1, or 0 where there is none. One message may be logged twice in a microsecond,
 * and only the number tells the two apart: *numbered asks for that too, and is false if there is none with it. */
static int look_for(sd_journal *j, const struct journal_place *place, bool *numbered)
{
	struct journal_place at;
	bool seen = false;
	int r;

	r = seek(j, place);
	while (r >= 0 && (r = sd_journal_next(j)) > 0) {
		r = journal_place_read(j, &at);
		if (r < 0 || (at.monotonic_us > place->monotonic_us && sd_id128_equal(at.boot, place->boot)))
			break;
		if (!same_entry(&at, place))
			continue;
		if (!*numbered || (journal_same_numbering(&at, place) && at.seqnum == place->seqnum))
			return 1;
		seen = true;
	}
	if (r < 0)
		return r;
	*numbered = !seen;
	return 0;
}

int journal_find(sd_journal *j, const struct journal_place *place)
{
	bool numbered = true;
	int r;

	r = journal_match_boot(j, place->boot);
	if (r >= 0)
		r = look_for(j, place, &numbered);
	/* after a flush the numbers are other ones: then the first that looks the same is it */
	if (r == 0 && !numbered)
		r = look_for(j, place, &numbered);
	if (r != 0)
		return r;
	return seek(j, place);
}

int journal_read_time(sd_journal *j, sd_id128_t boot, uint64_t *ret_us)
{
	sd_id128_t its;
	int r;

	r = sd_journal_get_monotonic_usec(j, ret_us, &its);
	return r < 0 ? r : sd_id128_equal(its, boot);
}

int journal_last_before(sd_journal *j, const struct journal_place *place, struct journal_place *ret)
{
	struct journal_place at;
	int r;

	r = journal_match_boot(j, place->boot);
	if (r >= 0)
		r = seek(j, place);
	while (r >= 0 && (r = sd_journal_previous(j)) > 0) {
		r = journal_place_read(j, &at);
		if (r >= 0 && at.monotonic_us <= place->monotonic_us && sd_id128_equal(at.boot, place->boot)) {
			*ret = at;
			return 1;
		}
	}
	return r;
}
