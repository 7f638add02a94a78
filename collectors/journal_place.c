/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal_internal.h"

#include <errno.h>
#include <inttypes.h>

#define BOOTS_MAX 4096u
#define SAME_MOMENT_MAX 10000u /* entries of one microsecond that are looked at */

/* A cursor is "s=ID;i=HEX;b=ID;m=HEX;t=HEX;x=HEX": what it names differs when an entry is copied, but x, the
 * hash over the entry's data, does not. libsystemd has no other way to it, nor to the sequence number. */
static void parse_cursor(const char *cursor, struct journal_place *place)
{
	const char *s = strstr(cursor, "s="), *i = strstr(cursor, ";i="), *x = strstr(cursor, ";x=");
	char id[33];

	if (x)
		place->has_hash = sscanf(x, ";x=%" SCNx64, &place->hash) == 1;
	if (s == cursor && i && strlen(cursor) > 34) {
		memcpy(id, cursor + 2, 32);
		id[32] = '\0';
		place->has_seqnum = sd_id128_from_string(id, &place->seqnum_id) >= 0 &&
				    sscanf(i, ";i=%" SCNx64, &place->seqnum) == 1;
	}
}

int journal_place_read(sd_journal *j, struct journal_place *ret)
{
	_cleanup_(freep) char *cursor = NULL;
	struct journal_place place = { 0 };
	int r;

	r = sd_journal_get_monotonic_usec(j, &place.monotonic_us, &place.boot);
	if (r >= 0)
		r = sd_journal_get_realtime_usec(j, &place.realtime_us);
	if (r >= 0)
		r = sd_journal_get_cursor(j, &cursor);
	if (r < 0)
		return r;
	parse_cursor(cursor, &place);
	*ret = place;
	return 0;
}

static int match_boot(sd_journal *j, sd_id128_t boot)
{
	char match[] = "_BOOT_ID=00000000000000000000000000000000";

	sd_journal_flush_matches(j);
	(void)sd_id128_to_string(boot, match + strlen("_BOOT_ID="));
	return sd_journal_add_match(j, match, 0);
}

/* Among the entries of that boot, the one at the place, or else the last one before it: 1 and its own place; 0
 * where there is none. Without the match on the boot, libsystemd takes any entry of a file that lacks the boot. */
static int find_in_boot(sd_journal *j, const struct journal_place *place, struct journal_place *ret)
{
	struct journal_place last = { 0 }, at;
	int r = match_boot(j, place->boot);

	if (r >= 0)
		r = sd_journal_seek_monotonic_usec(j, place->boot, place->monotonic_us);
	for (unsigned n = 0; r >= 0 && n < SAME_MOMENT_MAX; n++) {
		r = sd_journal_previous(j);
		if (r <= 0)
			break;
		r = journal_place_read(j, &at);
		if (r < 0)
			break;
		if (at.monotonic_us > place->monotonic_us)
			continue;
		if (n == 0 || at.monotonic_us < place->monotonic_us || (at.has_hash && at.hash == place->hash))
			last = at;
		if (at.monotonic_us < place->monotonic_us) {
			/* no entry of that moment has the hash: the one that was seen first is the last of them */
			break;
		}
		if (at.has_hash && at.hash == place->hash)
			break;
	}
	if (r < 0 || !last.has_seqnum)
		return r < 0 ? r : 0;
	*ret = last;
	return 1;
}

/* Stands on the entry that was found, without a match, such that the next one is the next of all. */
static int stand_on(sd_journal *j, const struct journal_place *at)
{
	_cleanup_(freep) char *cursor = NULL;
	int r;

	r = asprintf(&cursor, "s=" SD_ID128_FORMAT_STR ";i=%" PRIx64 ";b=" SD_ID128_FORMAT_STR ";m=%" PRIx64 ";t=%" PRIx64 ";x=%" PRIx64,
		     SD_ID128_FORMAT_VAL(at->seqnum_id), at->seqnum, SD_ID128_FORMAT_VAL(at->boot), at->monotonic_us,
		     at->realtime_us, at->hash);
	if (r < 0) {
		cursor = NULL;
		return -ENOMEM;
	}
	sd_journal_flush_matches(j);
	r = sd_journal_seek_cursor(j, cursor);
	if (r >= 0)
		r = sd_journal_next(j);
	if (r > 0)
		r = sd_journal_test_cursor(j, cursor);
	if (r == 0)
		return -ENOENT;
	return r < 0 ? r : 0;
}

/* When the newest entry of a boot was written; 0 where it has none. */
static int boot_last_realtime(sd_journal *j, sd_id128_t boot, uint64_t *ret_us)
{
	int r = match_boot(j, boot);

	*ret_us = 0;
	if (r >= 0)
		r = sd_journal_seek_tail(j);
	if (r >= 0)
		r = sd_journal_previous(j);
	if (r > 0)
		r = sd_journal_get_realtime_usec(j, ret_us);
	return r < 0 ? r : 0;
}

/* The boots that had ended by the place: those without an entry after its time. A clock that was set back while
 * a boot ran does not matter: the boot's newest entry counts. */
static int list_earlier_boots(sd_journal *j, const struct journal_place *place, struct boot_list *ret)
{
	sd_id128_t *boots = NULL;
	size_t n = 0, kept = 0, len;
	const void *data;
	int r;

	r = sd_journal_query_unique(j, "_BOOT_ID");
	if (r < 0)
		return r;
	boots = calloc(BOOTS_MAX, sizeof *boots);
	if (!boots)
		return -ENOMEM;
	while (n < BOOTS_MAX && (r = sd_journal_enumerate_available_unique(j, &data, &len)) > 0) {
		char id[33];

		if (len != strlen("_BOOT_ID=") + 32)
			continue;
		memcpy(id, (const char *)data + strlen("_BOOT_ID="), 32);
		id[32] = '\0';
		if (sd_id128_from_string(id, &boots[n]) >= 0)
			n++;
	}
	for (size_t i = 0; r >= 0 && i < n; i++) {
		uint64_t last_us;

		r = boot_last_realtime(j, boots[i], &last_us);
		if (r >= 0 && last_us <= place->realtime_us && !sd_id128_equal(boots[i], place->boot))
			boots[kept++] = boots[i];
	}
	sd_journal_flush_matches(j);
	if (r < 0) {
		free(boots);
		return r;
	}
	*ret = (struct boot_list){ boots, kept };
	return 0;
}

/* Nothing of the boot up to the place is left: begins at the head, past the boots that were over by then. */
static int seek_after_vacuum(sd_journal *j, const struct journal_place *place, struct boot_list *ret_earlier)
{
	struct journal_place first;
	int r;

	r = list_earlier_boots(j, place, ret_earlier);
	if (r >= 0)
		r = sd_journal_seek_head(j);
	if (r >= 0)
		r = sd_journal_next(j);
	if (r > 0)
		r = journal_place_read(j, &first) < 0 ? 0 : 1;
	if (r < 0)
		return r;
	bool adjoins = r > 0 && first.has_seqnum && place->has_seqnum &&
		       sd_id128_equal(first.seqnum_id, place->seqnum_id) && first.seqnum == place->seqnum + 1;
	r = sd_journal_seek_head(j);
	return r < 0 ? r : adjoins ? SEEK_ADJOINS : SEEK_AFTER;
}

int journal_place_seek(sd_journal *j, const struct journal_place *place, struct boot_list *ret_earlier,
		       struct journal_place *ret_at)
{
	struct journal_place at;
	int r = find_in_boot(j, place, &at);

	sd_journal_flush_matches(j);
	if (r > 0) {
		r = stand_on(j, &at);
		if (r >= 0) {
			*ret_at = at;
			return SEEK_FOUND;
		}
	}
	if (r < 0 && r != -ENOENT)
		return r;
	return seek_after_vacuum(j, place, ret_earlier);
}
