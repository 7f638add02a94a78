/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a packed Events message, one event after another. The bytes are foreign, though signed: a
 * stolen key may sign anything. Every index, length and count is checked; memory is bounded by the
 * message's size and EVENT_RAW_MAX; a raw line longer than twice EVENT_RAW_MAX is refused, and so is
 * what passes BATCH_RAW_MAX in all, since repetitions cost a message next to nothing.
 */
#ifndef HALLMARK_PROTO_EVENT_READER_H
#define HALLMARK_PROTO_EVENT_READER_H

#include "agent/base/buf.h"
#include "proto/event.h"

struct event_reader;

/* -EBADMSG for what is not an Events message, -ENOMEM; `plain` must outlive the reader. */
int event_reader_new(struct bytes plain, int64_t batch_time_us, struct event_reader **ret);
struct event_reader *event_reader_free(struct event_reader *r);
DEFINE_CLEANUP(struct event_reader *, event_reader_free)

size_t event_reader_count(const struct event_reader *r);
/* 1 and an event, valid until the next call; 0 at the end; -EBADMSG, after which nothing more comes (also in
 * place of the end, where values are left that belong to no event); -ENOMEM. `ret` is of use only with 1. */
int event_reader_next(struct event_reader *r, struct event *ret);

#endif
