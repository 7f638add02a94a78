/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a log file is known again: by the bytes that it begins with and those before the position
 * (FilePosition in hallmark.proto). While a file is read these bytes are kept themselves, in two edges;
 * what goes into a position is their digest, under a key that whoever has the record lacks: the bytes are raw, and
 * a secret that was redacted may be among them.
 */
#ifndef HALLMARK_COLLECTORS_FINGERPRINT_H
#define HALLMARK_COLLECTORS_FINGERPRINT_H

#include "agent/base/bytes.h"
#include "proto/hallmark.pb-c.h"

#define EDGE_MAX 256u
#define FINGERPRINT_DIGEST 16u

struct edge {
	uint8_t bytes[EDGE_MAX];
	uint32_t len;
};

struct fingerprint {
	uint64_t offset;
	uint32_t head_size, tail_size; /* at most EDGE_MAX; head_size 0: the file was empty */
	uint8_t head[FINGERPRINT_DIGEST], tail[FINGERPRINT_DIGEST];
};

/* For all fingerprints of the process; to be called before the first. The same key in each run, or none fits. */
#define FINGERPRINT_KEY_SIZE 32u
void fingerprint_set_key(const uint8_t key[static FINGERPRINT_KEY_SIZE]);

/* Keeps the first, or the last, EDGE_MAX bytes of `b`. */
void edge_set_head(struct edge *e, struct bytes b);
void edge_set_tail(struct edge *e, struct bytes b);
static inline struct bytes edge_bytes(const struct edge *e)
{
	return bytes_of(e->bytes, e->len);
}

int fingerprint_make(uint64_t offset, const struct edge *head, const struct edge *tail, struct fingerprint *ret);
/* Whether `head` begins with, and `tail` ends with, what the fingerprint is of; or -EIO. */
int fingerprint_fits(const struct fingerprint *fp, const struct edge *head, const struct edge *tail);

/* Whether a file that begins with `found` begins as the fingerprint says; `head`: the bytes themselves, where they
 * are still known (else empty), which also tell of a file that is shorter than they. */
bool fingerprint_begins(const struct fingerprint *fp, const struct edge *head, const struct edge *found);

/* A position that does not hold together counts as one of an empty file at offset 0, and -EINVAL. */
int fingerprint_from(const Hallmark__V1__FilePosition *p, struct fingerprint *ret);
/* `ret` borrows the digests. */
void fingerprint_to(struct fingerprint *fp, Hallmark__V1__FilePosition *ret);

#endif
