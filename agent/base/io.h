/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole reads and writes, and the durable replacement of a small file. Everything is opened with
 * O_CLOEXEC. Errors are negative errno; out-parameters stay untouched on failure.
 */
#ifndef HALLMARK_BASE_IO_H
#define HALLMARK_BASE_IO_H

#include <sys/types.h>

#include "agent/base/buf.h"

/* Writes all of `b` at `offset`. */
int pwrite_all(int fd, struct bytes b, off_t offset);
int write_all(int fd, struct bytes b);
/* Reads up to `len` bytes at `offset`; returns how many there were (fewer only at the end). */
ssize_t pread_all(int fd, void *data, size_t len, off_t offset);

/* Appends the contents of a file to `ret`, up to the buffer's maximum: -EMSGSIZE if it is larger.
 * Follows no symbolic link in the last component where `nofollow` is set. */
int read_file_at(int dir_fd, const char *path, bool nofollow, struct buf *ret);

/* Replaces `name` in the directory by `b`, mode `mode`: temporary file, fsync, rename, fsync of the
 * directory. After a failure the old file is whole. `durable` false leaves out both fsyncs (tmpfs). */
int replace_file_at(int dir_fd, const char *name, struct bytes b, mode_t mode, bool durable);

/* mkdir -p, then opens it. The mode is given to those that it makes. */
int open_directory(const char *path, mode_t mode);

#endif
