/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in the journal: the entry that was counted last, as JournalPosition in hallmark.proto knows it.
 *
 * The journal is read boot by boot, each with a match on its _BOOT_ID. Over all boots at once libsystemd
 * merges the files by number where they share a numbering, else by boot and monotonic time, else by wall clock:
 * no order at all once a clock was wrong, and it passes over in silence what comes "before" where it stands.
 * Within a boot there is one order that outlives rotation, flush and power cut: that of monotonic time.
 */
#ifndef HALLMARK_COLLECTORS_JOURNAL_PLACE_H
#define HALLMARK_COLLECTORS_JOURNAL_PLACE_H

#include <stdbool.h>
#include <systemd/sd-journal.h>

#include "proto/hallmark.pb-c.h"

struct journal_place {
	sd_id128_t boot;
	uint64_t monotonic_us, realtime_us;
	uint64_t hash; /* over the entry's data */
	/* Who numbered it, and the number. Up to systemd 252 each file has an id of its own. */
	sd_id128_t seqnum_id;
	uint64_t seqnum;
};

static inline bool journal_same_numbering(const struct journal_place *a, const struct journal_place *b)
{
	return !sd_id128_is_null(a->seqnum_id) && sd_id128_equal(a->seqnum_id, b->seqnum_id);
}

/* The place of the entry that `j` stands on. */
int journal_place_read(sd_journal *j, struct journal_place *ret);

/* -EINVAL for a position that names no entry. */
int journal_place_from_position(const Hallmark__V1__JournalPosition *p, struct journal_place *ret);
/* `ret` points into `place`. */
void journal_place_to_position(struct journal_place *place, Hallmark__V1__JournalPosition *ret);

/* From here on, `j` has the entries of this boot only. Takes away where it stood. */
int journal_match_boot(sd_journal *j, sd_id128_t boot);

/* Goes to a place in its boot. 1: `j` stands on the entry itself, and sd_journal_next() gives the one after it.
 * 0: the journal does not have it; next gives some entry of the boot, and those that are of an earlier time than
 * the place are to be passed over. (One of the same microsecond may be before or after it: rather twice than never.) */
int journal_find(sd_journal *j, const struct journal_place *place);

/* The last entry of the place's boot that is not after it: 1 and its place, or 0: there is none. */
int journal_last_before(sd_journal *j, const struct journal_place *place, struct journal_place *ret);

/* The monotonic time of the entry that `j` stands on: 1. Or 0, where its boot is not the one that is matched:
 * libsystemd hands out entries half of which are damaged. */
int journal_read_time(sd_journal *j, sd_id128_t boot, uint64_t *ret_us);

#endif
