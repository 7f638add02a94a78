/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a log is spread over: the one at its path, and beside it those that were rotated away,
 * plain or compressed. Siblings are named as logrotate and savelog name them: the log's name, one of
 * "." "-" "_", digits (a number, or a date with further "-" "." "_" ":" "T"), and ".gz", ".zst", ".xz" or
 * ".bz2". Only regular files count, and siblings are never reached through a link.
 *
 * Oldest first, the log's own path last. Where all siblings are numbered, the numbers say which is
 * older; else the time of last change does, then the number, then the name.
 */
#ifndef HALLMARK_COLLECTORS_SIBLINGS_H
#define HALLMARK_COLLECTORS_SIBLINGS_H

#include <stdint.h>
#include <sys/stat.h>

#include "collectors/decoder.h"
#include "collectors/fingerprint.h"

struct file_id {
	uint64_t device, inode;
};

static inline bool file_id_eq(struct file_id a, struct file_id b)
{
	return a.device == b.device && a.inode == b.inode;
}

static inline struct file_id file_id_of(const struct stat *st)
{
	return (struct file_id){ st->st_dev, st->st_ino };
}

struct sibling {
	char *name;    /* within the directory; NULL: the log's own path */
	struct file_id id;
	int64_t mtime_us, size;
	enum encoding encoding;
	unsigned number; /* 0: none in its name */
	bool twin;       /* a plain file of the same name stands beside it; never in a finished list */
};

struct siblings {
	struct sibling *list;
	size_t n;
	int directory; /* open, or -1 where it could not be */
	const char *path;
};

#define SIBLINGS_INIT { .directory = -1 }
#define SIBLINGS_MAX 4096u

static inline int64_t stat_mtime_us(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

/* `path` is borrowed. A directory that is missing or cannot be listed has no siblings. 1: what was found may
 * not be all, since it did not stop changing. */
int siblings_scan(const char *path, struct siblings *ret);
void siblings_done(struct siblings *s);

/* One of them, opened where it stands. `tail` is of the bytes before `offset`. */
struct opened {
	int fd;
	struct decoder *decoder; /* NULL: plain; has handed out `offset` bytes */
	struct edge head, tail;
	uint64_t offset;
	int64_t size, mtime_us;
};
void opened_done(struct opened *o);
#define OPENED_INIT { .fd = -1 }

/* Opens it at offset `at`. -ESTALE: the name means another file by now. Never blocks on a FIFO or the like. */
int sibling_open(const struct siblings *s, const struct sibling *one, uint64_t at, struct opened *ret);
/* The same, at the fingerprint's offset: 1 where the content fits, 0 where it does not. */
int sibling_match(const struct siblings *s, const struct sibling *one, const struct fingerprint *fp,
		  struct opened *ret);
/* The same for a file that ends before the fingerprint's offset, at its end: a copy that was made when we had
 * not read as far. `head` as for fingerprint_begins(). */
int sibling_match_shorter(const struct siblings *s, const struct sibling *one, const struct fingerprint *fp,
			  const struct edge *head, struct opened *ret);

#endif
