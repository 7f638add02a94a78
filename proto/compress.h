/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of a batch, compressed. Small batches, which are mostly what many others hold too, get most of it from a
 * dictionary (dictionaries.h), and are compressed harder: 20 events in half the bytes, for some 30 µs more. Nothing of a
 * dictionary is kept ready in memory: its tables are made for each batch.
 */
#ifndef HALLMARK_PROTO_COMPRESS_H
#define HALLMARK_PROTO_COMPRESS_H

#include "agent/base/buf.h"
#include "proto/event.h"

/* Compresses the packed Events message into `ret` (appended). */
int events_compress(struct bytes plain, struct buf *ret);
/* Gives the compression context's memory back until it is needed again. */
void events_compress_trim(void);

/* Expands a verified batch's events into `ret`, which is cleared first: exactly events_size bytes, at most
 * BATCH_EXPANDED_MAX, or -EBADMSG. -EPROTONOSUPPORT where they need a dictionary that this program has not; -ENOMEM. */
int events_expand(const Hallmark__V1__Batch *batch, struct buf *ret);
/* The number of the dictionary that a batch's events need; 0 for none, and for what is not compressed. */
unsigned events_dictionary(const Hallmark__V1__Batch *batch);

#endif
