/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts together what a program said at once and wrote in several lines, because one would have been too long: sudo
 * and sudo-rs cut at 960 bytes or thereabouts, perhaps before the COMMAND=, and write the parts one right after the
 * other. So a line that may be the first part is held until the next one of the same process shows what it is.
 *
 *     while ((r = joiner_look(j, line, whole, &out)) == JOINER_OUT)
 *             …`out` comes first: write it, and joiner_drop(j, out)
 *     JOINER_OTHER: write `line`     JOINER_FIRST: joiner_hold() or write it     JOINER_JOINED: done
 *
 * A part is known by where it comes from: source, tag and pid, the user that it names, the _UID that the journal
 * vouches for, and a time that differs by two seconds at most. Without a pid only the next line of that tag can be
 * its second part. A continuation that nothing held fits is a line like any other.
 *
 * Where sudo cuts at a blank it leaves the blanks out: one is put back. Where a word was longer than a line it cuts
 * in its middle, which shows by the part's length for its usual limits (960, 980); what a word of exactly that
 * length ends in, a blank or not, cannot be told.
 */
#ifndef HALLMARK_COLLECTORS_JOINER_H
#define HALLMARK_COLLECTORS_JOINER_H

#include "agent/base/macro.h"
#include "proto/event.h"

#define JOINER_HELD_MAX 16u       /* lines at once; then the oldest comes out */
#define JOINER_WAIT_US 100000u    /* a held line is due so long after it was held */
#define JOINER_APART_US 2000000   /* between the times of two parts */

struct joiner_line {
	struct origin origin;
	int64_t time_us;
	uint32_t pid; /* 0: none */
	struct bytes message;
	bool joined; /* put together from several */
};

struct joiner;

int joiner_new(struct joiner **ret);
struct joiner *joiner_free(struct joiner *j); /* returns NULL */
DEFINE_CLEANUP(struct joiner *, joiner_free)

/* Whether it has to be asked about a line at all: something is held, or the tag is of a program that splits lines. */
bool joiner_concerns(const struct joiner *j, struct bytes program);

enum joiner_answer {
	JOINER_OTHER,  /* neither is it a part, nor may it become one */
	JOINER_FIRST,  /* others may continue it: joiner_hold() */
	JOINER_JOINED, /* is in the line that it continues, and counted with it */
	JOINER_OUT,    /* a held line is complete, and comes before this one: then look again */
};
/* `whole`: the line was not cut by whoever read it. An answer, or -ENOMEM with nothing changed. */
int joiner_look(struct joiner *j, const struct joiner_line *line, bool whole, const struct joiner_line **ret_out);

/* Keeps a copy of a line for which joiner_look() has just said JOINER_FIRST. */
int joiner_hold(struct joiner *j, const struct joiner_line *line, uint64_t now_us);

/* How many are held; the bytes of all of them; when the oldest is due (on the clock of `now_us`; 0: none is held). */
size_t joiner_count(const struct joiner *j);
size_t joiner_bytes(const struct joiner *j);
uint64_t joiner_due_us(const struct joiner *j);
/* NULL where nothing is held. What is held stays until it is dropped. */
const struct joiner_line *joiner_oldest(const struct joiner *j);
void joiner_drop(struct joiner *j, const struct joiner_line *held);

/* The bytes of a line, header and all, and of the texts of its origin. */
size_t joiner_line_size(const struct joiner_line *line);

#endif
