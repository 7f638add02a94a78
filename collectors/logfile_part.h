/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log file is read as a row of parts, oldest first: files that were rotated away and are not yet read
 * to their end, and the one at the log's path. A part knows how far it is counted, recognises by the bytes
 * before its cursor that it was cut, and carries the losses that stand at its end.
 */
#ifndef HALLMARK_COLLECTORS_LOGFILE_PART_H
#define HALLMARK_COLLECTORS_LOGFILE_PART_H

#include "collectors/collector.h"
#include "collectors/siblings.h"

enum part_state {
	PART_SOUGHT, /* named by the last position, not found yet */
	PART_OPEN,
	PART_GHOST,  /* not to be had: stands for its losses, and for its place in the row */
};

enum part_loss {
	LOSS_TRUNCATED,
	LOSS_ROTATED_AWAY,
	LOSS_UNREADABLE,
	LOSS_DAMAGED,
	LOSS_MAX
};

struct part {
	enum part_state state;
	struct opened file;     /* file.offset: the first byte that is not counted; file.tail: before it */
	uint64_t cursor;        /* the next byte to read: beyond file.offset only within an over-long line */
	struct overlong *over;
	struct file_id id;      /* of what is read */
	struct file_id hint;    /* what the position says: for a copy, the file that it is a copy of */
	struct fingerprint was; /* SOUGHT, GHOST: what the position says */
	int wd;                 /* its inotify watch, or -1 */
	int64_t since_us;       /* lines older than that are passed over */
	int64_t seen_us;        /* wall clock: when it was last looked at */
	uint64_t quiet_since_us; /* CLOCK_BOOTTIME: when it last grew */
	int error;              /* errno, where part_read() said PART_FAILED */
	unsigned losses;        /* bits of enum part_loss */
	bool empty;             /* nothing was ever seen in it: its content cannot tell whether it was cut */
	bool away;              /* no longer at the log's path */
	bool closed;            /* somebody who wrote to it closed it, after it went away */
	bool whole;             /* nobody writes to it: compressed, or a copy that was made for a truncation */
};

/* Where lines go: one for each call of read(). */
struct sink {
	struct intake *in;
	uint32_t source;
	size_t left;         /* of the budget */
	uint8_t *buffer;     /* WINDOW_SIZE, shared by all plain parts */
	struct file_id now;  /* what stands at the log's path; {0} where nothing does */
};

/* Takes over what was opened. */
int part_new(struct opened *file, struct file_id id, struct part **ret);
/* Stands for what is not there (yet). */
int part_new_absent(enum part_state state, const struct fingerprint *was, struct file_id hint, unsigned losses,
		    struct part **ret);
struct part *part_free(struct part *p); /* returns NULL; the watch is the owner's to take away */
DEFINE_CLEANUP(struct part *, part_free)

/* Hands over its complete lines: a collector_result; PART_CUT where the file does not continue what was read
 * (it was truncated, or may have been while it was empty); PART_FAILED where it cannot be read now; or the intake's negative errno. Only for PART_OPEN. */
#define PART_CUT 3
#define PART_FAILED 4
int part_read(struct part *p, struct sink *s);

/* To be called at its end: hands over a last line that has no newline, then its losses. COLLECTOR_END when
 * all is said, COLLECTOR_FULL, or a negative errno. */
int part_finish(struct part *p, struct sink *s);

/* Gives up the file and goes on as a ghost, with these losses too. */
int part_give_up(struct part *p, unsigned losses);

/* Looks how a file begins that was empty when it was last read: only its content makes sure that it is found. */
void part_peek(struct part *p);
/* What a position says of it. */
int part_fingerprint(const struct part *p, struct fingerprint *ret);

#endif
