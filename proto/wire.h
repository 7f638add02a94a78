/* SPDX-License-Identifier: Apache-2.0 */
/* The few bytes of protobuf's encoding that we write ourselves, where packing through protobuf-c would
 * copy a whole batch once more (https://protobuf.dev/programming-guides/encoding/). */
#ifndef HALLMARK_PROTO_WIRE_H
#define HALLMARK_PROTO_WIRE_H

#include "agent/base/bytes.h"

#define WIRE_VARINT_MAX 10u

/* The tag of a length-delimited field (string, bytes, message, packed); one byte for fields up to 15. */
#define WIRE_TAG(field) ((uint8_t)((field) << 3 | 2))

static inline size_t wire_varint_size(uint64_t v)
{
	/* ceil(bits / 7), with 9/64 for 1/7: exact for 1 to 64 bits */
	return (size_t)((64 - __builtin_clzll(v | 1)) * 9 + 64) / 64;
}

static inline uint8_t *wire_put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

/* A tag and a length. */
static inline uint8_t *wire_put_head(uint8_t *p, unsigned field, size_t len)
{
	*p++ = WIRE_TAG(field);
	return wire_put_varint(p, len);
}

/* A varint as short as it can be, off the front of `b`. */
static inline bool wire_take_varint(struct bytes *b, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < b->len && i < WIRE_VARINT_MAX; i++) {
		v |= (uint64_t)(b->data[i] & 0x7f) << 7 * i;
		if (b->data[i] & 0x80)
			continue;
		/* the tenth byte has room for one bit of 64 */
		if (wire_varint_size(v) != i + 1 || (i + 1 == WIRE_VARINT_MAX && b->data[i] > 1))
			return false;
		*b = bytes_of(b->data + i + 1, b->len - i - 1);
		*ret = v;
		return true;
	}
	return false;
}

/* A length-delimited field that has to stand at the front of `b`. */
static inline bool wire_take_field(struct bytes *b, unsigned field, struct bytes *ret)
{
	struct bytes rest = bytes_from(*b, 1);
	uint64_t len;

	if (b->len == 0 || b->data[0] != WIRE_TAG(field) || !wire_take_varint(&rest, &len) || len > rest.len)
		return false;
	*ret = bytes_of(rest.data, len);
	*b = bytes_of(rest.data + len, rest.len - len);
	return true;
}

/* Small numbers of either sign as small numbers (sint32, sint64). */
static inline uint64_t wire_zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

#endif
