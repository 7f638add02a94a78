/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the journal collector share: an entry as it is read, and a place in the journal. */
#ifndef HALLMARK_COLLECTORS_JOURNAL_INTERNAL_H
#define HALLMARK_COLLECTORS_JOURNAL_INTERNAL_H

#include <systemd/sd-journal.h>

#include "collectors/intake.h"
#include "collectors/journal.h"

/* --- journal_inspect.c: the files ------------------------------------------------------------- */

/* Counts the journal files of the directory (NULL: this host's), and those that may not be read. */
void journal_look_at_files(const char *directory, struct journal_facts *facts);
int journal_open(const char *directory, sd_journal **ret);

/* --- journal_entry.c: one entry --------------------------------------------------------------- */

/* Fields are copied out as they are enumerated: libsystemd may unmap or overwrite what it returned. */
struct entry_reader {
	struct journal_entry entry;
	struct long_line longer;
	struct buf bytes; /* all values, one after another */
	bool has_message, is_notice;
	uint64_t dropped; /* of a notice: how many messages */
};

void entry_reader_init(struct entry_reader *r);
void entry_reader_done(struct entry_reader *r);
/* Reads the entry that the journal stands on. 1: one that is wanted, 0: not; negative errno (-EBADMSG: damaged). */
int entry_read(struct entry_reader *r, sd_journal *j, bool all);

/* --- journal_place.c: a place in the journal ------------------------------------------------- */

/* The entry last counted. Boot, times and hash are what it is known by; the sequence number a hint. */
struct journal_place {
	sd_id128_t boot;
	uint64_t monotonic_us, realtime_us, hash;
	bool has_hash;
	sd_id128_t seqnum_id;
	uint64_t seqnum;
	bool has_seqnum;
};

/* The place of the entry that the journal stands on. */
int journal_place_read(sd_journal *j, struct journal_place *ret);

enum seek_result {
	SEEK_FOUND = 0,  /* stands on the entry, or on the last one before it that the journal still has */
	SEEK_AFTER = 1,  /* entries may be missing between the place and the first entry that comes next */
	SEEK_ADJOINS = 2, /* the entry is gone, but what comes next is its very successor */
};

/* Boots that were over before a place and are not to be read again. */
struct boot_list {
	sd_id128_t *boots;
	size_t n;
};

/* Goes to `place`, so that sd_journal_next() gives the first entry after it. A seek_result or a negative errno;
 * with SEEK_AFTER and SEEK_ADJOINS entries of the boots in `ret_earlier` are to be passed over. `ret_at`: the
 * entry that the journal now stands on, with SEEK_FOUND. */
int journal_place_seek(sd_journal *j, const struct journal_place *place, struct boot_list *ret_earlier,
		       struct journal_place *ret_at);

#endif
