/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration leaves out of the record (hallmark.conf(5), exclude =): the lines of a tag, or those of
 * them that a certain template knows. Whoever chooses a user name or a command chooses no template, so that nobody
 * has his line left out by its wording.
 */
#ifndef HALLMARK_COLLECTORS_EXCLUDE_H
#define HALLMARK_COLLECTORS_EXCLUDE_H

#include "proto/event_writer.h"

#define EXCLUDE_MAX 64u        /* entries */
#define EXCLUDE_TEXT_MAX 160u  /* bytes of one; a line of the configuration has 199 */

/* "CRON", "systemd*", "sshd: Connection closed by" */
struct exclusion {
	struct bytes tag;
	bool tag_begins;   /* it stood with a "*" behind it */
	struct bytes text; /* as a template's text begins in the record; empty: every line of the tag */
};

/* `ret` borrows from the entry. -EINVAL for what is none. */
int exclusion_parse(const char *entry, struct exclusion *ret);
/* `wording` is the one that the line matched, without its varieties. */
bool exclusion_covers(const struct exclusion *e, struct bytes program, const struct wording *wording);

#endif
