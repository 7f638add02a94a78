/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the intake's batch to a durable frame: positions, signature, spool, in that order and in one place.
 *
 *     recorder_open(&rec, config)         key, spool, what the last run left
 *     recorder_begin(rec, sources)        the first batch: started, identity reset, damage found
 *     recorder_commit(rec, COMMIT_…)      as often as there is something to commit
 *     recorder_commit(rec, COMMIT_FAREWELL)
 *
 * A batch that could not be made durable is kept as it was signed, and tried again by the next commit; until
 * then nothing more may be read from the sources, which are the buffer.
 */
#ifndef HALLMARK_AGENT_RECORDER_H
#define HALLMARK_AGENT_RECORDER_H

#include "agent/config.h"
#include "agent/instance.h"
#include "agent/spool.h"
#include "collectors/collector.h"
#include "proto/envelope.h"

struct recorder;

enum commit_kind {
	COMMIT_EVENTS,     /* only if there are events */
	COMMIT_CHECKPOINT, /* even without */
	COMMIT_FAREWELL,   /* the last one of this run */
};

enum commit_result {
	COMMIT_DONE = 0,    /* durable, or nothing to do */
	COMMIT_BLOCKED = 1, /* the spool takes nothing now: call again later */
};

/* -EROFS, -EACCES, -ENOSPC and the like where the state cannot be had now: try again later. -EBUSY: another
 * agent has it. -EBADMSG: the key file is no key. Logs nothing. */
int recorder_open(const struct config *config, struct recorder **ret);
struct recorder *recorder_close(struct recorder *rec); /* returns NULL */
DEFINE_CLEANUP(struct recorder *, recorder_close)

/* What the last run had counted, for starting the collectors: NULL where there is nothing. */
const Hallmark__V1__Batch *recorder_last(const struct recorder *rec);

/* The collectors whose positions stand in every batch; borrowed, and started by the caller after this. */
void recorder_set_sources(struct recorder *rec, struct intake *intake, struct collector **collectors, size_t n);
/* Adds what has to be said first. `sources` is a line for people. */
int recorder_begin(struct recorder *rec, const char *sources);

/* A commit_result, or a negative errno that no later call mends (-ENOMEM, a failure to sign). */
int recorder_commit(struct recorder *rec, enum commit_kind kind);
/* Gives back the memory of large batches. */
void recorder_trim(struct recorder *rec);
bool recorder_is_blocked(const struct recorder *rec);
/* Why, as a negative errno. */
int recorder_blocked_reason(const struct recorder *rec);

struct recorder_totals {
	uint64_t batches, bytes;
};
const struct recorder_totals *recorder_totals(const struct recorder *rec);

/* What there is to say of it; strings are the recorder's. */
struct recorder_state {
	uint64_t sequence;         /* of the newest durable batch; 0: none */
	int blocked;               /* negative errno, 0: the spool takes what it gets */
	uint64_t blocked_since_us; /* CLOCK_BOOTTIME */
	const char *fingerprint;
	const char *reset_reason;  /* why this run began a new chain in an old one's place; NULL: it did not */
	const char *old_fingerprint;
	const struct instance *instance; /* that the key is at home on */
	struct spool_usage spool;
};
void recorder_state(const struct recorder *rec, struct recorder_state *ret);
const char *recorder_fingerprint(const struct recorder *rec);

#endif
