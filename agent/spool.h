/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: a directory of numbered segments, each nothing but frames one after another, preallocated,
 * zero-filled behind the last frame. On start the spool is the state.
 *
 * Names: 20 digits and ".seg", counted up. A segment ends where the next begins: frames whose sequence is
 * not below that of the next segment's first frame are void (a failed fsync abandons its segment, and what
 * was in flight is signed into the next one).
 *
 * Durability: append() returns 0 only after the frame's fdatasync; a new segment's file and directory are
 * synced before its first frame is written. After any failed write or fsync the segment is abandoned.
 * The committed end is published after that, and never before.
 *
 * Deletion: only by spool_make_room(), oldest first: acknowledged segments, and only if there are none
 * unacknowledged ones, which the caller must sign as a loss. The newest valid frame never goes.
 */
#ifndef HALLMARK_AGENT_SPOOL_H
#define HALLMARK_AGENT_SPOOL_H

#include "proto/envelope.h"

#define SPOOL_SEGMENT_SIZE (8u * 1024 * 1024)
#define SPOOL_RESERVE (64u * 1024)   /* of each segment, for saying that no further one can be had */

struct spool;

struct spool_options {
	const char *directory;
	const char *publish_directory; /* for "committed"; NULL: not published */
	const char *acked_path;        /* the forwarder's mark: a sequence in decimal; NULL: none */
	uint64_t cap_bytes;            /* at least two segments */
	size_t segment_bytes;          /* 0: SPOOL_SEGMENT_SIZE */
	bool read_only;                /* scan only: change nothing, take no lock */
};

/* What recovery found. Bytes that were neither frames nor zeros, in how many places, and where the first is. */
struct spool_damage {
	uint64_t bytes, places;
	uint64_t first_segment, first_offset;
	uint64_t cut_bytes; /* behind the last valid frame, cut off */
};

struct spool_tip { /* the newest valid frame */
	bool exists;
	uint64_t segment, end; /* offset behind the frame */
	struct frame frame;    /* owned by the spool */
};

/* Opens, locks (-EBUSY where another process has it), scans and recovers: the tip is the highest valid frame
 * that continues the chain; what lies behind it is cut off and the cut made durable. Damage is told, not an error. */
int spool_open(const struct spool_options *options, struct spool **ret, struct spool_damage *ret_damage);
struct spool *spool_close(struct spool *s); /* returns NULL */
DEFINE_CLEANUP(struct spool *, spool_close)
const struct spool_tip *spool_tip(const struct spool *s);

/* Durable when it returns 0. -ENOSPC: no room for another segment now; nothing was written, try later.
 * Another error: the segment was abandoned and nothing was made durable; sign again what was in the frame
 * (same sequence, same forerunner) and append it once more. `reserve`: may use the reserve. */
int spool_append(struct spool *s, struct bytes frame, uint64_t sequence, bool reserve);

/* Deletes whole segments until `cap` holds again with one more segment. `ret_lost` tells of unacknowledged
 * ones that it deleted, or would have to: with `allow_loss` false it stops before them and returns -ENOSPC. */
struct spool_lost {
	uint64_t segments, bytes, first_sequence, last_sequence;
};
int spool_make_room(struct spool *s, bool allow_loss, struct spool_lost *ret_lost);

struct spool_usage {
	uint64_t bytes, segments, unacknowledged_bytes;
};
void spool_usage(const struct spool *s, struct spool_usage *ret);

#endif
