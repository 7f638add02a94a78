/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fixed set of strings, and which of them a text begins with, in time that depends on the text alone. Made
 * once out of an arena; the strings' bytes stay where they are.
 *
 *     struct trie_walk w = { 0 };
 *     while ((value = trie_next(&trie, text, &w)) != TRIE_NONE)
 *             …a string of w.depth bytes, the shortest first
 */
#ifndef HALLMARK_COLLECTORS_TRIE_H
#define HALLMARK_COLLECTORS_TRIE_H

#include "collectors/match.h"

#define TRIE_NONE UINT32_MAX

struct trie_node {
	const uint8_t *label;
	uint16_t label_len, n_children;
	uint32_t children; /* the first of them; they stand together */
	uint32_t value;	   /* or TRIE_NONE */
};

struct trie {
	struct trie_node *nodes; /* [0] is the root */
	uint8_t *initial;	 /* the byte that each node's label begins with */
	uint32_t n;
};

struct trie_key {
	struct bytes text;
	uint32_t value;
};

/* For qsort(): by their bytes. */
int trie_key_compare(const void *x, const void *y);
/* Keys are sorted and differ from one another. */
int trie_build(struct arena *arena, const struct trie_key *keys, size_t n, struct trie *ret);

/* Where a walk has come to; starts as {0}. */
struct trie_walk {
	uint32_t node;
	size_t depth;
	bool started;
};

/* The child of a node whose label begins with that byte, or TRIE_NONE. Most nodes have few. */
static inline uint32_t trie_child(const struct trie *t, const struct trie_node *node, uint8_t byte)
{
	const uint8_t *initial = t->initial + node->children, *found;

	if (node->n_children > 8) {
		found = memchr(initial, byte, node->n_children);
		return found ? (uint32_t)(found - t->initial) : TRIE_NONE;
	}
	for (unsigned i = 0; i < node->n_children; i++)
		if (initial[i] == byte)
			return node->children + i;
	return TRIE_NONE;
}

/* Goes on to the next key that `text` begins with; its value, or TRIE_NONE at the end. */
static inline uint32_t trie_next(const struct trie *t, struct bytes text, struct trie_walk *w)
{
	for (;;) {
		const struct trie_node *node = &t->nodes[w->node];

		if (w->started) {
			uint32_t child = w->depth < text.len ? trie_child(t, node, text.data[w->depth]) : TRIE_NONE;

			if (child == TRIE_NONE)
				return TRIE_NONE;
			w->node = child;
			node = &t->nodes[child];
		}
		w->started = true;
		if (text.len - w->depth < node->label_len ||
		    !bytes_same(node->label, text.data + w->depth, node->label_len))
			return TRIE_NONE;
		w->depth += node->label_len;
		if (node->value != TRIE_NONE)
			return node->value;
	}
}

#endif
