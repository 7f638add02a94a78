/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: a directory of numbered segments, each nothing but frames one after another, preallocated,
 * zero-filled behind the last frame. On start the spool is the state.
 *
 * Names: 20 digits and ".seg", counted up; mode 0640. A failed write or fsync abandons its segment, and what was
 * in flight (one frame at most) is signed into the next one. So what a segment holds of the sequence number that
 * the next segment begins with is void, and so is what follows the forerunner of that number and is no frame.
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
#define SPOOL_LOCK "lock" /* the one other file in the directory */
#define SPOOL_RESERVE (64u * 1024)   /* of each segment, for saying that no further one can be had */

struct spool;

struct spool_options {
	const char *directory;
	const char *publish_directory; /* for "committed"; NULL: not published */
	const char *acked_path;        /* the forwarder's mark: a sequence in decimal; NULL: none */
	const uint8_t *public_key;     /* whose chain it is, PUBLIC_KEY_SIZE bytes; NULL: the newest valid frame's */
	uint64_t cap_bytes;            /* at least two segments */
	size_t segment_bytes;          /* 0: SPOOL_SEGMENT_SIZE; at least two reserves */
	bool read_only;                /* scan only: change nothing, take no lock */
};

/* What recovery found. Bytes that were neither frames of this chain nor zeros, in how many places, and where the
 * first is; a place of 0 bytes is one where frames are missing. */
struct spool_damage {
	uint64_t bytes, places;
	uint64_t first_segment, first_offset;
	uint64_t cut_bytes; /* behind the last valid frame, cut off */
	/* A sequence beyond the tip that was published as committed: the chain was set back. 0: no such thing. */
	uint64_t published_sequence;
};

struct spool_tip { /* the newest valid frame */
	bool exists;
	uint64_t segment, end; /* offset behind the frame; follows each append */
	struct frame frame;    /* as spool_open() found it, not what was appended since; owned by the spool */
};

/* Opens, locks (-EBUSY where another process has it), scans and recovers: the tip is the valid frame of the
 * highest sequence; what lies behind it is cut off, and cut and tip are made durable (-EIO, -EROFS, -ENOSPC where
 * that cannot be had). Damage is told, not an error. -EPROTONOSUPPORT: behind the tip there are frames of a format
 * newer than this program; nothing was changed, and a new chain needs a new directory. Strings are copied. */
int spool_open(const struct spool_options *options, struct spool **ret, struct spool_damage *ret_damage);
struct spool *spool_close(struct spool *s); /* returns NULL */
DEFINE_CLEANUP(struct spool *, spool_close)
const struct spool_tip *spool_tip(const struct spool *s);

/* Durable when it returns 0. `sequence` is the tip's plus 1. -ENOSPC: no room now, on the disk or below the cap;
 * try later. Another error: the segment was abandoned and nothing was made durable; sign again what was in the
 * frame (same sequence, same forerunner) and append it once more. `reserve`: may use the reserve.
 * -ESTALE: somebody else deleted the segment that is written, or cut it short: what was durable is gone, and opening the
 * spool anew says how much.
 * -EINVAL, -EMSGSIZE: the caller's mistake (another sequence; a frame that no segment can hold). */
int spool_append(struct spool *s, struct bytes frame, uint64_t sequence, bool reserve);

/* Deletes whole segments until `cap` holds again with one more segment. `ret_lost` tells of unacknowledged
 * ones that it deleted, or would have to: with `allow_loss` false it stops before them and returns -ENOSPC.
 * Cheap where nothing has to go. */
struct spool_lost {
	uint64_t segments, bytes, first_sequence, last_sequence;
};
int spool_make_room(struct spool *s, bool allow_loss, struct spool_lost *ret_lost);

struct spool_usage {
	uint64_t bytes, segments, unacknowledged_bytes;
	int publish_error; /* of the last publication: 0 or negative errno. The next append tries again. */
};
void spool_usage(const struct spool *s, struct spool_usage *ret);

/* What the spool published: the end of the last frame that is durable, and its sequence; three zeros for none.
 * -EBADMSG for what is no such file. */
int spool_read_committed(const char *directory, uint64_t *ret_segment, uint64_t *ret_offset, uint64_t *ret_sequence);
/* The number of a segment's file name; false for other names. */
bool spool_segment_from_name(const char *name, uint64_t *ret);

#endif
