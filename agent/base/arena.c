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

static size_t hash_bytes(struct bytes b)
{
	uint64_t h = b.len;

	for (size_t i = 0; i < b.len; i++)
		h = (h ^ b.data[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(h ^ h >> 32);
}

/* Where it stands in the table, or the empty place for it. */
static struct bytes *kept_slot(const struct arena *a, struct bytes b)
{
	size_t i = hash_bytes(b) % a->kept_cap;

	while (a->kept[i].data && !bytes_eq(a->kept[i], b))
		i = (i + 1) % a->kept_cap;
	return &a->kept[i];
}

static bool kept_grow(struct arena *a)
{
	struct arena old = *a;

	a->kept_cap = old.kept_cap ? 2 * old.kept_cap : 256;
	a->kept = calloc(a->kept_cap, sizeof *a->kept);
	if (!a->kept) {
		*a = old;
		return false;
	}
	for (size_t i = 0; i < old.kept_cap; i++)
		if (old.kept[i].data)
			*kept_slot(a, old.kept[i]) = old.kept[i];
	free(old.kept);
	return true;
}

struct bytes arena_keep(struct arena *a, struct bytes b)
{
	struct bytes *slot;
	uint8_t *p;

	if (2 * a->n_kept >= a->kept_cap && !kept_grow(a))
		return BYTES_NONE;
	slot = kept_slot(a, b);
	if (slot->data)
		return *slot;
	p = arena_alloc(a, b.len + 1);
	if (!p)
		return BYTES_NONE;
	bytes_copy(p, b);
	*slot = bytes_of(p, b.len);
	a->n_kept++;
	return *slot;
}

void arena_settle(struct arena *a)
{
	free(a->kept);
	a->kept = NULL;
	a->n_kept = a->kept_cap = 0;
}

void arena_done(struct arena *a)
{
	arena_settle(a);
	while (a->chunk) {
		struct arena_chunk *next = a->chunk->next;

		free(a->chunk);
		a->chunk = next;
	}
}
