/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads frames from wherever they are: a spool, a directory of objects, a file, standard input. The one
 * reader for all of them; it resynchronises past damage and says how much it passed over.
 */
#ifndef HALLMARK_AGENT_FRAMES_H
#define HALLMARK_AGENT_FRAMES_H

#include "proto/envelope.h"

struct frames;

enum frames_item {
	FRAMES_END = 0,
	FRAMES_FRAME = 1,  /* taken apart, signature not yet checked */
	FRAMES_DAMAGE = 2, /* `damage_bytes` that are no frame, `why`: a run is told once */
	FRAMES_NEWER = 3,  /* a frame of a format newer than this program, `damage_bytes` long */
	FRAMES_FILE_ERROR = 4, /* a file could not be read: `error` (negative errno). What can be read of it follows */
};

struct frames_result {
	enum frames_item item;
	struct frame frame;        /* FRAMES_FRAME; valid until the next call */
	const char *path;          /* of the file that it is in; "-" for standard input */
	uint64_t offset;
	uint64_t damage_bytes;
	const char *why;
	int error;
};

/* PATHs as `hallmark verify` takes them. A directory is read in the order of the names of its files (hidden
 * ones and those that are not regular left out); one that holds NNNNNNNNNNNNNNNNNNNN.seg files is a spool, of which
 * these are read first, and whose abandoned ends are passed over (spool.h). `limit_segment`/`limit_offset`: the committed end, where reading stops; both
 * UINT64_MAX: none. `paths` are borrowed until frames_close(). Memory: 4 MiB and a directory's names. */
int frames_open(char *const *paths, size_t n_paths, uint64_t limit_segment, uint64_t limit_offset,
		struct frames **ret);
struct frames *frames_close(struct frames *f);
DEFINE_CLEANUP(struct frames *, frames_close)
/* 0, also for what could not be read: `ret` says so. -ENOMEM, -EIO: a frame could not be judged. */
int frames_next(struct frames *f, struct frames_result *ret);

#endif
