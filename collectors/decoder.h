/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compressed file as the stream of bytes that it was made from. Nothing is ever expanded as a whole, so
 * a bomb costs time in proportion to what it expands to and no memory; a zstd window above 8 MiB is refused.
 */
#ifndef HALLMARK_COLLECTORS_DECODER_H
#define HALLMARK_COLLECTORS_DECODER_H

#include <stdint.h>

#include "agent/base/macro.h"
#include "collectors/fingerprint.h"

enum encoding { ENCODING_NONE, ENCODING_GZIP, ENCODING_ZSTD, ENCODING_FOREIGN };

/* A stretch of a file: what precedes the cursor (the last EDGE_MAX bytes of it, or all there is), then
 * from `at` to `len` what is to be read. */
#define WINDOW_SIZE (128u * 1024)
struct window {
	uint8_t *data;
	size_t at, len;
};

struct decoder;

/* Reads `fd` (borrowed) from its beginning, with pread. -ENOTSUP for ENCODING_FOREIGN. */
int decoder_new(int fd, enum encoding encoding, struct decoder **ret);
struct decoder *decoder_free(struct decoder *d); /* returns NULL */
DEFINE_CLEANUP(struct decoder *, decoder_free)

/* Its window, WINDOW_SIZE big. The reader moves `at` on; decoder_fill() then makes room and decodes more.
 * Returns 1 where there is more than before or plenty, 0 at the end, or what lasts: -ENODATA where the file
 * ends in the middle, -EBADMSG where it is damaged, -EFBIG for a zstd window that is too big, -ENOMEM, or what
 * pread said. What was decoded before that stands in the window. */
struct window *decoder_window(struct decoder *d);
int decoder_fill(struct decoder *d);

#endif
