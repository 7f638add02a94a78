/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of the inbox are counted, but not surely gone. Each batch's position names them, from the batch that
 * has their events on until their removal is durable itself: so none is counted twice, whenever we are killed and
 * even if it cannot be removed at all.
 *
 *     taken_add(t, …)            its events are in the batch that is being filled
 *     taken_to_position(t, …)    the batch is closed
 *     taken_committed(t)         the batch is durable
 *     taken_remove(t, …)         removes those of durable batches
 *
 * A name is to be used once. One that was used again is not removed, as far as that can be seen: what lies there is
 * another file than was read.
 */
#ifndef HALLMARK_COLLECTORS_INBOX_TAKEN_H
#define HALLMARK_COLLECTORS_INBOX_TAKEN_H

#include <limits.h>

#include "collectors/inbox_file.h"
#include "proto/hallmark.pb-c.h"

#define TAKEN_MAX 64u         /* what a position may hold */
#define TAKEN_PLACE_MAX 20u   /* of one directory: whoever makes his unremovable holds up nobody else */
#define TAKEN_PLACE_NAME 64u  /* bytes of a directory's name at most */

/* A directory of the inbox, for finding its files. */
struct taken_place {
	const char *name;
	int fd; /* -1: cannot be opened now */
	uid_t owner;
	bool missing; /* then its files are gone, too */
};

struct taken_file {
	size_t place;
	char name[NAME_MAX + 1];
	bool has_digest;  /* it could be read */
	struct inbox_file file;
	bool read_before; /* by the run before: of `file` only the digest is known */
	bool named, durable;
	int error; /* negative errno of the last removal, 0: none failed */
};

struct taken {
	struct taken_file files[TAKEN_MAX];
	size_t n;
	char names[TAKEN_MAX][TAKEN_PLACE_NAME + 1 + NAME_MAX + 1]; /* of the position */
	Hallmark__V1__TakenSubmission messages[TAKEN_MAX], *list[TAKEN_MAX];
};

/* Whether no more may be taken from that directory before some are gone. */
bool taken_is_full(const struct taken *t, size_t place);
/* Whether a commit may make room. */
bool taken_is_waiting(const struct taken *t, size_t place);
bool taken_has(const struct taken *t, size_t place, const char *name);
/* `file->digest` counts where `has_digest`. There has to be room. */
void taken_add(struct taken *t, size_t place, const char *name, bool has_digest, const struct inbox_file *file);

/* What the position of the run before names, all of it durable. */
void taken_from_position(struct taken *t, const struct taken_place *places, size_t n_places,
			 const Hallmark__V1__Position *position);
/* What `ret` points to is valid until the next call. */
void taken_to_position(struct taken *t, const struct taken_place *places, Hallmark__V1__Position *ret);
void taken_committed(struct taken *t);

/* Removes what is durable; `again`: also what could not be removed before. Returns whether a file that is not taken
 * has the name of one that was: look again. */
bool taken_remove(struct taken *t, const struct taken_place *places, size_t n_places, struct buf *content, bool again);
/* Negative errno for a file in that directory that cannot be removed; 0: there is none. */
int taken_error(const struct taken *t, size_t place);

#endif
