/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the inbox, which its submitter may exchange, change or link while we look: it is opened once, without
 * following a link and without waiting, and judged by what was opened.
 */
#ifndef HALLMARK_COLLECTORS_INBOX_FILE_H
#define HALLMARK_COLLECTORS_INBOX_FILE_H

#include <sys/stat.h>

#include "agent/base/buf.h"

#define INBOX_DIGEST 32u

struct inbox_file {
	struct stat st;
	uint8_t digest[INBOX_DIGEST]; /* SHA-256 of what was read */
};

/* Reads the file into `content`, which is cleared first. `owner`: of the directory. -EBADMSG where it is no file
 * that may be taken: *ret_why is then a sentence, and ret->st is of what has that name. -ENOENT: there is none.
 * Other errors are those of a moment, or of a disk. */
int inbox_file_read(int dir_fd, const char *name, uid_t owner, struct buf *content, struct inbox_file *ret,
		    const char **ret_why);

/* A submission while it is being written: its name begins with "." or ends in ".tmp". */
bool inbox_name_is_temporary(const char *name);

#endif
