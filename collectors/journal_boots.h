/* SPDX-License-Identifier: Apache-2.0 */
/* Which boots the journal holds, and in which order they were. */
#ifndef HALLMARK_COLLECTORS_JOURNAL_BOOTS_H
#define HALLMARK_COLLECTORS_JOURNAL_BOOTS_H

#include "collectors/journal_place.h"

struct journal_boot {
	struct journal_place first, last;
	bool done; /* read to its end by this process: not to be read again, whatever its clock says */
};

struct journal_boots {
	struct journal_boot *list;
	size_t n;
};

/* Adds what one file holds; `j` has just that file open, and stands nowhere afterwards. libsystemd drops a
 * damaged file as soon as it stumbles in it, and with several open it stumbles in one when another is meant. */
int journal_boots_add(struct journal_boots *b, sd_journal *j);
void journal_boots_done(struct journal_boots *b);

struct journal_boot *journal_boots_find(const struct journal_boots *b, sd_id128_t boot);

/* The boot to be read once everything up to `place` is; NULL: there is none. */
struct journal_boot *journal_boots_after(const struct journal_boots *b, const struct journal_place *place);
/* The first boot that has entries since then; NULL: there is none. */
struct journal_boot *journal_boots_since(const struct journal_boots *b, uint64_t since_us);
/* The one that is running, or was last. */
struct journal_boot *journal_boots_newest(const struct journal_boots *b);

/* Whether some boot's last entry has just this number: nothing of the numbering is missing in between. */
bool journal_boots_adjoin(const struct journal_boots *b, const struct journal_place *first);

#endif
