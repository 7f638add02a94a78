/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is taken in small pieces and given back all at once. Start with {0}. */
#ifndef HALLMARK_BASE_ARENA_H
#define HALLMARK_BASE_ARENA_H

#include <stddef.h>

#include "agent/base/bytes.h"

struct arena {
	struct arena_chunk *chunk;
	size_t used;
	struct bytes *kept; /* a hash table of what arena_keep() has given out */
	size_t n_kept, kept_cap;
};

/* Zeroed, aligned for any number; NULL when there is none. */
void *arena_alloc(struct arena *a, size_t size);
/* A copy, and a NUL behind it, aligned as above. What was kept before is not copied again: the same bytes have the same
 * address. BYTES_NONE when there is no memory. */
struct bytes arena_keep(struct arena *a, struct bytes b);
/* Gives back what is of use only for keeping more. */
void arena_settle(struct arena *a);
void arena_done(struct arena *a);

#endif
