/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that somebody trusts: public keys in PEM (as `openssl pkey -pubout` prints them) and fingerprints
 * "SHA256:…", one a line, of which what follows after a blank is a note; # begins a comment.
 */
#ifndef HALLMARK_AGENT_TRUST_H
#define HALLMARK_AGENT_TRUST_H

#include "proto/envelope.h"

#define TRUST_FILE_MAX (16u * 1024 * 1024)

struct trust {
	char (*fingerprints)[FINGERPRINT_SIZE]; /* ascending, without repetitions */
	size_t n, max;
};

void trust_done(struct trust *t);
/* Adds what a file says. -EBADMSG with the number of the line that it could not read. Not to be used before
 * trust_sort(). */
int trust_add(struct trust *t, struct bytes text, unsigned *ret_line);
void trust_sort(struct trust *t);

#endif
