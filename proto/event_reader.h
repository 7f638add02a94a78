/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a packed Events message, one event after another. The bytes are foreign, though signed: a
 * stolen key may sign anything. Every index, length and count is checked; memory is bounded by the
 * message's size and EVENT_RAW_MAX; a raw line longer than twice EVENT_RAW_MAX is refused.
 */
#ifndef HALLMARK_PROTO_EVENT_READER_H
#define HALLMARK_PROTO_EVENT_READER_H

#include "agent/base/buf.h"
#include "proto/event.h"

struct event_reader;

/* -EBADMSG for what is not an Events message; `plain` must outlive the reader. */
int event_reader_new(struct bytes plain, int64_t batch_time_us, struct event_reader **ret);
struct event_reader *event_reader_free(struct event_reader *r);
DEFINE_CLEANUP(struct event_reader *, event_reader_free)

size_t event_reader_count(const struct event_reader *r);
/* 1 and an event, valid until the next call; 0 at the end; -EBADMSG, after which nothing more comes. */
int event_reader_next(struct event_reader *r, struct event *ret);

#endif
