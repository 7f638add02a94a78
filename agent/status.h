/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hallmarkd says of itself, for everybody on the host: the file `status` in its run directory, and the one
 * home of its form. It holds no log content: quantities, paths of sources and errors only.
 *
 *     hallmark status 1
 *     version 0.1.0
 *     …                          a name, a blank, a value; what is not known has no line
 *     source /var/log/auth.log   begins a source: the lines behind it are of that source
 *     …
 *     end
 *
 * Numbers are decimal; text is escaped as text_escape() does. Spans of time are microseconds, and ages are those at
 * boot_us, a time of CLOCK_BOOTTIME: so they stay right when the wall clock is set. A reader passes over names that it
 * does not know.
 */
#ifndef HALLMARK_AGENT_STATUS_H
#define HALLMARK_AGENT_STATUS_H

#include "agent/base/buf.h"

#define STATUS_TEXT_MAX 512u /* of each text, with its NUL; longer ones are cut */
#define STATUS_SOURCES_MAX 64u
#define STATUS_LOSS_HOURS 25u /* the hour that is not over, and 24 before it */
#define STATUS_UNKNOWN UINT64_MAX

typedef char status_text[STATUS_TEXT_MAX];

struct status_source {
	status_text name;
	status_text trouble;    /* a sentence; empty: none */
	uint64_t reading;       /* 1: not read to its end yet */
	uint64_t behind_bytes;  /* not read yet */
	uint64_t position_age_us; /* of the time of the entry read last */
	uint64_t event_age_us;  /* since a line of it became an event */
	uint64_t events;
};

struct status {
	status_text version, boot_id;
	uint64_t boot_us, wall_us;          /* when this was written */
	uint64_t next_within_us;            /* there will be news by then; 0: it has stopped */
	uint64_t pid, pid_namespace;
	uint64_t running_us;
	status_text stopped;                /* why it has; empty: it has not */
	status_text state_trouble;          /* why key and spool cannot be opened; empty: they are */

	uint64_t events, unknown, excluded; /* since it started */
	uint64_t event_age_us, commit_age_us;
	uint64_t sequence;                  /* of the newest durable batch */
	uint64_t losses[STATUS_LOSS_HOURS]; /* declared, newest hour first */
	uint64_t losses_known_us;           /* for how long they were counted */
	uint64_t templates;
	status_text templates_trouble;

	uint64_t spool_bytes, spool_cap, spool_segments, spool_undelivered;
	uint64_t blocked_us;                /* for how long the spool has taken nothing */
	status_text blocked, publish_trouble;

	status_text fingerprint;
	status_text bound;                  /* the kinds of names of this instance that the key is held against */
	uint64_t key_age_us;
	uint64_t reset_age_us;              /* since a new chain began in an old one's place */
	status_text reset, old_fingerprint; /* why */

	struct status_source sources[STATUS_SOURCES_MAX];
	size_t n_sources;
};

/* Nothing is known. */
void status_init(struct status *s);
void status_source_init(struct status_source *s);
/* Cut to what fits. NULL: empty. */
void status_set(status_text target, const char *text);

int status_format(const struct status *s, struct buf *out);
/* -EBADMSG: it is no such file, or not a whole one, or says what cannot be; -EPROTONOSUPPORT: it is of another form.
 * After a failure nothing in `s` has a meaning. */
int status_parse(struct bytes text, struct status *s);

/* Replaces the file in this directory, which is made where it is not there. */
int status_write(const char *directory, const struct status *s);
/* The errors of opening, and status_parse()'s. Follows no link, waits for no pipe. */
int status_read(const char *directory, struct status *s);

/* `hours` later: what is older than a day is no more. */
void status_turn_losses(uint64_t losses[static STATUS_LOSS_HOURS], uint64_t hours);

/* This boot's id as text, and the namespace that process ids are of (0: cannot be told). */
void status_boot_id(status_text ret);
uint64_t status_pid_namespace(void);

#endif
