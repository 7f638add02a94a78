/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/arena.h"

#include <stdint.h>

#include "agent/base/macro.h"

#define CHUNK 16384u

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	max_align_t data[];
};

void *arena_alloc(struct arena *a, size_t size)
{
	void *p;

	size = (size + 7) & ~(size_t)7;
	if (!a->chunk || a->chunk->size - a->used < size) {
		struct arena_chunk *c = calloc(1, sizeof *c + MAX(size, CHUNK));

		if (!c)
			return NULL;
		c->size = MAX(size, CHUNK);
		c->next = a->chunk;
		a->chunk = c;
		a->used = 0;
	}
	p = (uint8_t *)a->chunk->data + a->used;
	a->used += size;
	return p;
}

void arena_done(struct arena *a)
{
	while (a->chunk) {
		struct arena_chunk *next = a->chunk->next;

		free(a->chunk);
		a->chunk = next;
	}
}
