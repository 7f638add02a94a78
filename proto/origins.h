/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The origins of one batch: each stands in it once, and events name it by its place. For the event
 * writer only. Nothing is allocated once the tables are there.
 */
#ifndef HALLMARK_PROTO_ORIGINS_H
#define HALLMARK_PROTO_ORIGINS_H

#include "agent/base/buf.h"
#include "proto/event.h"

#define ORIGINS_MAX 4096u               /* in one batch */
#define ORIGINS_TEXT_MAX (1024u * 1024) /* the texts of all of them */
#define ORIGIN_SLOTS (2 * ORIGINS_MAX)

struct origins {
	struct buf packed; /* as they stand in an Events message */
	struct origin *items;
	uint8_t *text; /* what items point into: never moves */
	size_t n, text_len, last;
	uint16_t *slots; /* hash table of ORIGIN_SLOTS: place in items plus 1 */
};

#define ORIGINS_INIT { .packed = BUF_INIT(BATCH_EXPANDED_MAX) }

/* The place of an origin, which is added where it is new. Times and pids in its header do not count.
 * -EMSGSIZE if that takes more than `room` bytes of the message, or one too many; -ENOMEM. */
int origins_place(struct origins *o, const struct origin *origin, size_t room);
/* The bytes that an origin's texts take, all together. */
size_t origin_text_size(const struct origin *origin);
void origins_reset(struct origins *o);
void origins_done(struct origins *o);

#endif
