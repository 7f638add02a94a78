/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is taken in small pieces and given back all at once. Start with {0}. */
#ifndef HALLMARK_BASE_ARENA_H
#define HALLMARK_BASE_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_chunk *chunk;
	size_t used;
};

/* Zeroed, aligned for any number; NULL when there is none. */
void *arena_alloc(struct arena *a, size_t size);
void arena_done(struct arena *a);

#endif
