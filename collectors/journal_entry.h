/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of the journal as the intake takes it (systemd.journal-fields(7)). */
#ifndef HALLMARK_COLLECTORS_JOURNAL_ENTRY_H
#define HALLMARK_COLLECTORS_JOURNAL_ENTRY_H

#include <systemd/sd-journal.h>

#include "collectors/intake.h"

/* The id that was seen last, as text and parsed. */
struct journal_id {
	bool known;
	uint8_t text[32], bytes[16];
};

struct journal_record {
	struct journal_entry entry;
	bool has_message;
	bool notice;     /* journald says itself that it lost messages, … */
	uint64_t n_lost; /* … so many; 0 where it does not say */
	size_t largest;  /* of all fields, in bytes: libsystemd keeps a buffer of that size */

	struct long_line longer;
	struct journal_id boot_id, message_id;
	struct buf text; /* what `entry` points to, beside those */
};

void journal_record_init(struct journal_record *r);
void journal_record_done(struct journal_record *r);

/* Reads the entry that `j` stands on, in one pass over its fields; `r` then has nothing of `j`. */
int journal_record_read(sd_journal *j, struct journal_record *r);

/* Whether `journal = auth` takes it: facility auth or authpriv, the programs and units of a table whatever their
 * facility, and journald's notices of loss. */
bool journal_record_is_auth(const struct journal_record *r);

#endif
