/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the collectors' lines become events: header, template, columns of the batch that is being
 * filled. The one way into a batch, and the only place that counts.
 *
 * A line that others may continue (joiner.h) is held, though its collector's position has moved past it. So
 * intake_settle() comes before any batch is closed and positions are taken: what is held goes into that very batch,
 * where room is kept for it. Whoever closes batches waits for intake_due_us() where he can.
 */
#ifndef HALLMARK_COLLECTORS_INTAKE_H
#define HALLMARK_COLLECTORS_INTAKE_H

#include "collectors/header.h"
#include "collectors/interpret.h"
#include "proto/submission.h"

struct intake;

/* A line that is longer than EVENT_RAW_MAX is handed in cut to that, with what is known of all of it. */
struct long_line {
	uint64_t length;        /* of the whole line */
	uint8_t digest[32];     /* SHA-256 of the whole line */
};

/* Evidence that is missing, or may be. Texts are short, and ours. */
struct loss {
	const char *reason;      /* one word: "truncated", "rotated_away", "vacuumed", … */
	const char *detail;      /* one sentence for a person */
	const char *unit;        /* "bytes", "entries" or "unknown" */
	uint64_t amount;         /* 0 where it is not known, or where perhaps nothing is missing */
	struct bytes before, after; /* identity of the source before and after; may be empty */
};

enum intake_result {
	INTAKE_OK = 0,   /* counted: the position may move past it */
	INTAKE_FULL = 1, /* NOT counted: the batch has to be committed first, then hand it in again */
};

int intake_new(struct interpreter *interpreter /* borrowed */, struct intake **ret);
struct intake *intake_free(struct intake *in);
DEFINE_CLEANUP(struct intake *, intake_free)
struct event_writer *intake_writer(struct intake *in);

/* Counted since the intake was made. */
#define INTAKE_SOURCES_MAX 64u
struct intake_counters {
	uint64_t events, unknown, losses, excluded;
	uint64_t by_source[INTAKE_SOURCES_MAX];
};
const struct intake_counters *intake_counters(const struct intake *in);

/* All of these return an intake_result, or a negative errno with nothing counted. `source` as in
 * struct origin. */

/* A line of a log file, without its newline. `since_us`: lines older than that are passed over as
 * if counted (0: none). `longer` is NULL unless the line was cut; it adds the loss by itself. */
int intake_line(struct intake *in, uint32_t source, struct bytes line, const struct long_line *longer,
		int64_t since_us);

/* A journal entry: MESSAGE and what journald knows. `notice`: an entry of journald's own about lost
 * messages, counted as evidence loss. */
struct journal_entry {
	struct bytes message, program, host;
	struct provenance provenance;
	int64_t time_us;
	uint32_t pid;
	const struct long_line *longer; /* NULL unless the message was cut */
};
int intake_entry(struct intake *in, uint32_t source, const struct journal_entry *e);

int intake_loss(struct intake *in, uint32_t source, const struct loss *loss);

/* Puts what is held into the batch: INTAKE_OK, or a negative errno. */
int intake_settle(struct intake *in);
/* When the oldest line that is held is due (CLOCK_BOOTTIME); 0: none is. */
uint64_t intake_due_us(const struct intake *in);

/* What the configuration leaves out, and how many lines of it since intake_excluded_reset(). */
struct intake_excluded {
	const char *const *entries;
	const uint64_t *counts;
	size_t n;
};
struct intake_excluded intake_excluded(const struct intake *in);
void intake_excluded_reset(struct intake *in);

/* What the agent has to say of itself: which entry of own_events[] in intake.c, and its fields' values in
 * the order of its text. */
enum own_event {
	OWN_STARTED,         /* version, sources, key fingerprint, how the run before ended */
	OWN_STARTED_UNCLEAN, /* the same, where it did not end in an orderly way */
	OWN_STOPPED,         /* reason */
	OWN_IDENTITY_RESET,  /* reason, old key's fingerprint */
	OWN_SOURCE_STATE,    /* source, state ("unreadable", "readable", "missing", "found"), reason */
	OWN_SPOOL_TROUBLE,   /* seconds, reason: the spool could not be written, and can again */
	OWN_SPOOL_CUT,       /* bytes that were no frame behind the spool's last frame */
	OWN_CLOCK_STEP,      /* what the wall clock would say, and what it was set to */
	OWN_SUBMISSION_REFUSED, /* its directory and name, reason, SHA-256 in hexadecimal or nothing */
	OWN_EVENT_MAX
};
int intake_own(struct intake *in, uint32_t source, enum own_event which, const struct bytes *values);
/* Whether it is the activity of an event of the agent's own, which nobody else may claim. */
bool intake_owns_activity(const char *activity);

/* What another part of hallmark handed in, in that program's name: all of its events, or none. It is recorded as
 * it is: no template, no redaction. Never INTAKE_FULL if there was room for one, whatever its size. */
bool intake_has_room_for_submission(const struct intake *in);
int intake_submission(struct intake *in, uint32_t source, struct bytes program, const struct submission *s);

#endif
