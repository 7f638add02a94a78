/* SPDX-License-Identifier: Apache-2.0 */
/* The types of template fields: which bytes a value may hold, and which values are right. */
#ifndef HALLMARK_COLLECTORS_FIELD_TYPE_H
#define HALLMARK_COLLECTORS_FIELD_TYPE_H

#include "agent/base/bytes.h"

enum field_type { TYPE_TEXT, TYPE_WORD, TYPE_HOST, TYPE_IP, TYPE_PORT, TYPE_INT, TYPE_BLANKS, TYPE_MAX };

/* -EINVAL for a word that is no type. */
int field_type_from_name(struct bytes name, enum field_type *ret);
/* What a name implies where a template does not say; text for names that are not well known. */
enum field_type field_type_of_name(struct bytes name);
/* Values of it are numbers: JSON says them without quotes. */
bool field_type_is_number(enum field_type type);

/* Which types a byte may stand in, a bit for each; text may hold any. */
extern const uint8_t field_type_classes[256];

static inline bool field_type_holds(enum field_type type, uint8_t byte)
{
	return field_type_classes[byte] & 1u << type;
}

/* Takes every byte that it may, so that it has only one possible end. */
static inline bool field_type_is_greedy(enum field_type type)
{
	return type == TYPE_PORT || type == TYPE_INT || type == TYPE_BLANKS;
}

/* Values have a greatest length: 64 bytes at most; to see that one is longer, one more has to be looked at. */
#define FIELD_BOUND 65u
static inline bool field_type_is_bounded(enum field_type type)
{
	return type == TYPE_IP || type == TYPE_PORT || type == TYPE_INT;
}

/* How far from `at` the bytes go that the type may hold, at most to `stop`. Of types with a greatest length
 * it looks no further than it takes to see that a value is too long. */
static inline size_t field_type_span(enum field_type type, const uint8_t *data, size_t at, size_t stop)
{
	if (field_type_is_bounded(type) && stop - at > FIELD_BOUND)
		stop = at + FIELD_BOUND;
	while (at < stop && field_type_holds(type, data[at]))
		at++;
	return at;
}

bool field_type_valid_slow(enum field_type type, struct bytes value);

/* Whether bytes that the type may hold are a value of it. */
static inline bool field_type_valid(enum field_type type, struct bytes value)
{
	return type == TYPE_HOST ? value.len > 0 : !field_type_is_bounded(type) || field_type_valid_slow(type, value);
}

/* Whether the bytes up to field_type_span(), which `ret_end` always is, are a value of the type. */
bool field_type_take(enum field_type type, const uint8_t *data, size_t at, size_t stop, size_t *ret_end);

/* IPv4 (leading zeros as in 192.030.0.6 are read as decimal), IPv6 with an embedded IPv4 or a %zone. */
bool ip_valid(struct bytes value);

#endif
