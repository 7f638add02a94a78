/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owned bytes that grow up to a maximum which is named when the buffer is made.
 *
 *     _cleanup_(buf_done) struct buf b = BUF_INIT(64 * 1024);
 *     r = buf_append(&b, some_bytes);
 *
 * Errors: -ENOMEM, and -EMSGSIZE where the maximum would be passed; the contents are then unchanged.
 * buf_clear() keeps the memory for the next use, buf_done() gives it back.
 */
#ifndef HALLMARK_BASE_BUF_H
#define HALLMARK_BASE_BUF_H

#include "agent/base/bytes.h"
#include "agent/base/macro.h"

struct buf {
	uint8_t *data;
	size_t len, cap, max;
};

#define BUF_INIT(maximum) { .max = (maximum) }

void buf_done(struct buf *b);
int buf_grow(struct buf *b, size_t more); /* the slow half of buf_reserve */

static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}

static inline struct bytes buf_bytes(const struct buf *b)
{
	return bytes_of(b->data, b->len);
}

/* Makes room for `more` bytes behind the contents. */
static inline int buf_reserve(struct buf *b, size_t more)
{
	return b->cap - b->len >= more ? 0 : buf_grow(b, more);
}

static inline int buf_append(struct buf *b, struct bytes s)
{
	int r = buf_reserve(b, s.len);

	if (r < 0)
		return r;
	if (s.len > 0)
		memcpy(b->data + b->len, s.data, s.len);
	b->len += s.len;
	return 0;
}

static inline int buf_str(struct buf *b, const char *s)
{
	return buf_append(b, bytes_str(s));
}

static inline int buf_byte(struct buf *b, uint8_t c)
{
	return buf_append(b, bytes_of(&c, 1));
}

int buf_printf(struct buf *b, const char *format, ...) _printf_(2, 3);

#endif
