/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes one file apart into frames and what lies between them. What recovery (recovery.h) and readers
 * (frames.h) have in common.
 *
 *     struct scan scan = { .fd = -1 };
 *     r = scan_start(&scan, fd, UINT64_MAX);
 *     while ((r = scan_next(&scan, &item)) >= 0 && item.item != FRAMES_END)
 *             …
 *     scan_done(&scan);
 *
 * Memory: one buffer of SCAN_BUFFER_SIZE, whatever the file holds, and one frame. Time: each byte is looked
 * at a bounded number of times, however many frames seem to begin in it.
 */
#ifndef HALLMARK_AGENT_SCAN_H
#define HALLMARK_AGENT_SCAN_H

#include "agent/frames.h"

#define SCAN_BUFFER_SIZE (2u * 1024 * 1024)
/* How much may be taken apart in vain for each byte passed, before lengths that lead nowhere are believed. */
#define SCAN_VAIN_FACTOR 8u

struct scan {
	int fd; /* borrowed */
	bool seekable, eof;
	uint8_t *buffer;
	size_t chunk;           /* how much to read next */
	size_t start, end;      /* what of the buffer is still to be looked at */
	uint64_t offset;        /* of buffer[start] in the file */
	uint64_t limit, size;   /* where reading stops; the file's size where it is seekable */
	int error;              /* of a read, not yet told */
	bool failed;            /* an error was told: once for each file is enough */
	bool damaged;           /* within damage, since: */
	uint64_t damage_start, damage_end; /* damage_end: behind the last byte that is not zero */
	const char *why;
	uint64_t vain; /* bytes that were taken apart in vain */
	struct frame frame;
};

/* Begins a file. A seekable one is read from its beginning, whatever its file offset; nothing at or behind
 * `limit` is read. The buffer is kept from file to file. -ENOMEM. */
int scan_start(struct scan *s, int fd, uint64_t limit);
void scan_done(struct scan *s);

/* The next item of the file, `path` left out. FRAMES_FRAME: the scan owns the frame until the next call, or until
 * scan_take(). A damaged run is told whole; zeros at the end are no damage, zeros before a frame are.
 * FRAMES_FILE_ERROR is not the end: a page that cannot be read is damage, and what follows it is read. 0, or -ENOMEM or
 * -EIO, where a frame could not be judged: never damage. */
int scan_next(struct scan *s, struct frames_result *ret);
/* Hands over the frame that scan_next() returned; the caller releases it. */
struct frame scan_take(struct scan *s);

/* Whose frame and which: what the rule on abandoned segments compares. */
struct frame_id {
	bool exists;
	uint64_t sequence;
	uint8_t key[PUBLIC_KEY_SIZE];
};
struct frame_id frame_id_of(const struct frame *f);
bool frame_id_same_key(const struct frame_id *a, const struct frame_id *b);

/* The first frame whose signature holds; `exists` false where the file has none. */
int scan_first(struct scan *s, int fd, uint64_t limit, struct frame_id *ret);

#endif
