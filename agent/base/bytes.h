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

/* Are they the same `n` bytes? Mostly there are few: no call for those, but two loads that may overlap. */
static inline bool bytes_same(const uint8_t *a, const uint8_t *b, size_t n)
{
#define BYTES_DIFFER(type)                                                          \
	({                                                                          \
		type _x[2], _y[2];                                                  \
		memcpy(&_x[0], a, sizeof(type));                                    \
		memcpy(&_y[0], b, sizeof(type));                                    \
		memcpy(&_x[1], a + n - sizeof(type), sizeof(type));                 \
		memcpy(&_y[1], b + n - sizeof(type), sizeof(type));                 \
		((_x[0] ^ _y[0]) | (_x[1] ^ _y[1])) != 0;                           \
	})
	if (n > 16)
		return memcmp(a, b, n) == 0;
	if (n >= 8)
		return !BYTES_DIFFER(uint64_t);
	if (n >= 4)
		return !BYTES_DIFFER(uint32_t);
	if (n >= 2)
		return !BYTES_DIFFER(uint16_t);
	return n == 0 || *a == *b;
#undef BYTES_DIFFER
}

/* To where there is room for them. As bytes_same(): no call for few. */
static inline void bytes_copy(uint8_t *to, struct bytes b)
{
#define BYTES_MOVE(type)                                                            \
	do {                                                                        \
		type _x[2];                                                         \
		memcpy(&_x[0], b.data, sizeof(type));                               \
		memcpy(&_x[1], b.data + b.len - sizeof(type), sizeof(type));        \
		memcpy(to, &_x[0], sizeof(type));                                   \
		memcpy(to + b.len - sizeof(type), &_x[1], sizeof(type));            \
	} while (0)
	if (b.len > 16)
		memcpy(to, b.data, b.len);
	else if (b.len >= 8)
		BYTES_MOVE(uint64_t);
	else if (b.len >= 4)
		BYTES_MOVE(uint32_t);
	else if (b.len >= 2)
		BYTES_MOVE(uint16_t);
	else if (b.len > 0)
		*to = *b.data;
#undef BYTES_MOVE
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
	return a.len == b.len && bytes_same(a.data, b.data, a.len);
}

static inline bool bytes_starts(struct bytes a, struct bytes prefix)
{
	return a.len >= prefix.len && bytes_same(a.data, prefix.data, prefix.len);
}

/* The rest of `a` from byte `n` on; empty where it is shorter. */
static inline struct bytes bytes_from(struct bytes a, size_t n)
{
	return n >= a.len ? BYTES_NONE : (struct bytes){ a.data + n, a.len - n };
}

/* Digits only, no sign, no blank. Returns 0, -EINVAL, or -ERANGE past 64 bits. */
int bytes_to_u64(struct bytes b, uint64_t *ret);

#endif
