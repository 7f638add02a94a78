/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The row of parts of one log file: which files it is spread over, found again from a position, followed
 * through renaming, compression and truncation.
 *
 * When all parts are read to their end, row_advance() looks whether something newer stands behind the last
 * of them, and appends it; so the row is never longer than what is being read, whatever has piled up.
 */
#ifndef HALLMARK_COLLECTORS_LOGFILE_ROW_H
#define HALLMARK_COLLECTORS_LOGFILE_ROW_H

#include "collectors/logfile_part.h"
#include "collectors/logfile_watch.h"

#define PARTS_MAX 16u

/* Of the file at the log's path. */
enum path_state { PATH_WELL, PATH_MISSING, PATH_UNREADABLE };

struct row {
	char *path;
	struct watch watch;
	struct part *parts[PARTS_MAX]; /* oldest first; the last is never dropped, since it says what is newer */
	size_t n;

	struct file_id now; /* of the file at the path; {0} where there is none */
	struct file_id cut; /* the file that was truncated in place, until it is read from its beginning */
	bool recheck;       /* something may have changed in the directory */
	bool tick;          /* a minute has passed: what is missing now is not just being rotated */
	bool read_failed;   /* what the state says is of a part that could not be read */

	int64_t anchor_us;  /* where no part says it: files that changed after this are newer */
	int64_t since_us;   /* at the first start: given to the parts up to the one at the path */
	bool from_end;      /* at the first start: only what comes from now on */

	enum path_state state;
	char reason[128];
};

int row_init(struct row *row, const char *path);
void row_done(struct row *row);

/* Takes note of changes, where row->recheck says that there may be any; to be called when all parts are read
 * to their end. 1: there is more to read now; 0: there is not. */
int row_advance(struct row *row);
/* Part `i` was truncated, or may have been: goes on in the copy that was made of it, or as a ghost. */
int row_cut(struct row *row, size_t i);
void row_drop(struct row *row, size_t i);
void row_state(struct row *row, enum path_state state, const char *reason);

#endif
