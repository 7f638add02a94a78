/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowed bytes: a view, passed by value, that never owns. Any byte may occur in it, NUL included.
 * What owns bytes is a `struct buf`.
 */
#ifndef HALLMARK_BASE_BYTES_H
#define HALLMARK_BASE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *data;
	size_t len;
};

#define BYTES_NONE ((struct bytes){ NULL, 0 })
/* A string literal's bytes. */
#define LIT(s) ((struct bytes){ (const uint8_t *)("" s), sizeof(s) - 1 })

static inline struct bytes bytes_of(const void *data, size_t len)
{
	return (struct bytes){ data, len };
}

static inline struct bytes bytes_str(const char *s)
{
	return (struct bytes){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_starts(struct bytes a, struct bytes prefix)
{
	return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

/* The rest of `a` from byte `n` on; empty where it is shorter. */
static inline struct bytes bytes_from(struct bytes a, size_t n)
{
	return n >= a.len ? BYTES_NONE : (struct bytes){ a.data + n, a.len - n };
}

/* Digits only, no sign, no blank. Returns 0, -EINVAL, or -ERANGE past 64 bits. */
int bytes_to_u64(struct bytes b, uint64_t *ret);

#endif
