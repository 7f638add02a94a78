/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way through the journal: boot after boot, from the place that was reached, across everything that
 * happens to the files meanwhile. Whatever happens, the way goes on from `place` with files that are opened anew.
 *
 *     while ((r = walk_next(w)) > 0)
 *             taken ? walk_taken(w) : walk_back(w)
 *     walk_note(w): w->place is up to date
 */
#ifndef HALLMARK_COLLECTORS_JOURNAL_WALK_H
#define HALLMARK_COLLECTORS_JOURNAL_WALK_H

#include "collectors/journal_boots.h"

struct walk_gap {
	bool there;
	bool counted; /* the numbers say how many are missing */
	uint64_t missing;
	struct journal_place first; /* what comes next */
};

struct walk {
	const char *directory; /* borrowed; NULL: this host's */
	sd_journal *j;         /* NULL until it is needed */

	struct journal_place place; /* the entry that was taken last; see walk_note() */
	bool has_place;
	uint64_t since_us; /* without a place; UINT64_MAX: from now on */

	struct walk_gap gap; /* entries may be missing after the place; cleared by who says it */
	bool cut_short;      /* the journal could not be read to its tail; the same */
	uint64_t missing;    /* by the numbers, so many entries more were written than the journal has; the same */

	struct journal_boots boots;
	bool boots_listed; /* false: to be listed anew, since files came or went */

	/* its own */
	sd_id128_t boot;   /* that is being read */
	sd_id128_t ahead;  /* that is to be read, after the end of the place's; null: none */
	bool within;        /* `j` is in that boot, */
	uint64_t passed_us; /* … in which entries before that time were read when it was entered */
	unsigned taken;    /* how many were, after the place: `j` stands on the last of them */
	bool gap_seen, watching;
	bool sought_again; /* the place was not found: the files were opened anew before that was believed */
	bool reopen;              /* before the next entry */
	uint64_t mapped_at_first; /* bytes of files in memory, at the first entry since they were opened */
	unsigned read_since_open, read_since_tail, short_ends;
	struct journal_place counted_from;
	uint64_t counted; /* taken since then */
	bool counts;
};

/* 1: `j` stands on the next entry. 0: there is none for now. A negative errno: try again later. */
int walk_next(struct walk *w);
/* What became of that entry: it counts, or it is to be given again. */
void walk_taken(struct walk *w);
int walk_back(struct walk *w);

/* Brings `place` up to what was taken: this costs as much as reading an entry. */
int walk_note(struct walk *w);

/* At the end: lets `epoll_fd` wait for more. 1 if it did not so far: then there may be more already. */
int walk_watch(struct walk *w, int epoll_fd);
/* Gives the files back; the next walk_next() opens them anew, and goes on from the place. */
int walk_close(struct walk *w);
/* Within the next entries, before more of the files is mapped. */
void walk_reopen_soon(struct walk *w);
void walk_done(struct walk *w);

#endif
