/* SPDX-License-Identifier: Apache-2.0 */
/* What the languages of our data files (templates, redactions) have in common: a line is split, its parts are kept,
 * and where it is wrong a sentence says so with its place. */
#ifndef HALLMARK_COLLECTORS_DATA_LINE_H
#define HALLMARK_COLLECTORS_DATA_LINE_H

#include "agent/base/arena.h"
#include "agent/base/buf.h"

struct data_place {
	const char *origin; /* the file, for people */
	unsigned line;
	struct buf *why; /* may be NULL */
};

/* Says what is wrong: -EINVAL. */
int data_wrong(const struct data_place *place, const char *format, ...) _printf_(2, 3);
/* For data_wrong(): what an administrator wrote, cut and made printable. */
const char *data_shown(struct bytes b, char out[static 64]);
#define SHOWN(b) data_shown((b), (char[64]){ 0 })

/* Without blanks, tabs and carriage returns around it. */
struct bytes data_trim(struct bytes b);
/* Takes what stands before the first `c` off the front of `rest`; all of it where there is none. */
struct bytes data_split(struct bytes *rest, uint8_t c);

#endif
