/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the newest valid frame of a spool's chain. Reads only; what follows from it is for spool.c to do.
 *
 * Segments are read from the newest on, as far back as the one that holds the forerunner of the newest segment's
 * first frame; of those before it only the first frame is looked at, and they are read too where that has a higher
 * sequence than the tip (an old segment was put behind new ones). Within a segment frames are chained by their
 * hashes, so that a signature is checked only where the chain breaks and at its end.
 *
 * Noticed at start: what is no frame, a frame whose content was changed, a frame of another key or out of
 * order, and missing frames, in what is read. Noticed only by `hallmark verify`: all of that in older segments,
 * a changed signature of a frame that a later one vouches for, and a broken hash between two segments.
 */
#ifndef HALLMARK_AGENT_RECOVERY_H
#define HALLMARK_AGENT_RECOVERY_H

#include "agent/spool.h"

struct segment {
	uint64_t number;
	uint64_t bytes; /* that it takes up on the disk */
	uint64_t used;  /* that are not zero, where it was read; else UINT64_MAX */
	uint64_t first; /* sequence of the first frame of the chain; 0: none, or not known */
};

struct recovery {
	int dir_fd; /* borrowed */
	bool has_key;
	uint8_t key[PUBLIC_KEY_SIZE];
	struct segment *segments; /* in ascending order */
	size_t n_segments;

	bool found; /* the tip: */
	size_t tip; /* its segment, an index */
	uint64_t tip_offset, tip_size, tip_sequence;
	uint8_t tip_digest[DIGEST_SIZE];
	bool newer; /* frames of a newer format lie behind the tip */
	struct spool_damage damage;
};

/* `r` has dir_fd set, and the key if it is known; `segments` is malloc'ed, for the caller to free, also after a
 * failure. */
int recovery_run(struct recovery *r);

/* Opens a segment, but nothing else that has its name: -EINVAL for what is no regular file, -ELOOP for a link. */
int segment_open(int dir_fd, uint64_t number, int flags, uint64_t *ret_size, uint64_t *ret_bytes);
#define SEGMENT_NAME_SIZE sizeof "18446744073709551615.seg"
void segment_name(uint64_t number, char ret[static SEGMENT_NAME_SIZE]);

#endif
