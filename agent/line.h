/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes one line into a buffer, piece after piece. The first error is kept, and nothing is written after it:
 * whoever began the line looks at `error` once, at its end, and takes the line back.
 *
 * The json_… functions write members of an object, whose brace "{" and comma they look after. Names are
 * ours and need no escaping; values may be any bytes.
 */
#ifndef HALLMARK_AGENT_LINE_H
#define HALLMARK_AGENT_LINE_H

#include "agent/base/buf.h"

struct line {
	struct buf *out;
	int error;
	bool colour;
};

static inline void line_add(struct line *l, struct bytes b)
{
	if (l->error == 0)
		l->error = buf_append(l->out, b);
}

void line_escaped(struct line *l, struct bytes b); /* for people: text_escape() */
void line_number(struct line *l, uint64_t n);

void json_key(struct line *l, const char *key);
void json_string(struct line *l, struct bytes b);
void json_base64(struct line *l, const char *key, struct bytes value);

/* These leave out what is not there: empty bytes, UINT64_MAX. */
void json_text(struct line *l, const char *key, struct bytes value);
void json_number(struct line *l, const char *key, uint64_t value);
void json_hex(struct line *l, const char *key, struct bytes value);

/* Whether digits may stand in JSON as a number: no leading zero, at most 15, past which readers round. */
bool json_is_number(struct bytes b);

#endif
