/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/trie.h"

#include <errno.h>

int trie_key_compare(const void *x, const void *y)
{
	const struct trie_key *a = x, *b = y;
	size_t shorter = MIN(a->text.len, b->text.len);
	int r = shorter > 0 ? memcmp(a->text.data, b->text.data, shorter) : 0;

	return r ? r : (a->text.len > b->text.len) - (a->text.len < b->text.len);
}

static void trie_fill(struct trie *t, uint32_t at, const struct trie_key *keys, size_t n, size_t depth)
{
	struct bytes first = keys[0].text, last = keys[n - 1].text;
	struct trie_node *node = &t->nodes[at];
	size_t len = depth, begin = 0;

	while (len < first.len && len < last.len && len - depth < UINT16_MAX &&
	       first.data[len] == last.data[len])
		len++;
	node->label = first.data + depth;
	node->label_len = (uint16_t)(len - depth);
	node->value = TRIE_NONE;
	if (first.len == len) {
		node->value = keys[0].value;
		begin = 1;
	}
	node->children = t->n;
	for (size_t i = begin; i < n; i++) {
		if (i == begin || keys[i].text.data[len] != keys[i - 1].text.data[len]) {
			t->initial[t->n++] = keys[i].text.data[len];
			node->n_children++;
		}
	}
	for (size_t i = begin, child = node->children; i < n; child++) {
		size_t end = i + 1;

		while (end < n && keys[end].text.data[len] == keys[i].text.data[len])
			end++;
		trie_fill(t, (uint32_t)child, keys + i, end - i, len);
		i = end;
	}
}

int trie_build(struct arena *arena, const struct trie_key *keys, size_t n, struct trie *ret)
{
	_cleanup_(freep) struct trie_node *nodes = calloc(2 * n + 1, sizeof *nodes);
	_cleanup_(freep) uint8_t *initial = calloc(2 * n + 1, 1);
	struct trie t = { nodes, initial, 1 };

	if (!nodes || !initial)
		return -ENOMEM;
	nodes[0].value = TRIE_NONE;
	if (n > 0)
		trie_fill(&t, 0, keys, n, 0);
	/* mostly there are far fewer nodes than there could be */
	t.nodes = arena_alloc(arena, t.n * sizeof *t.nodes);
	t.initial = arena_alloc(arena, t.n);
	if (!t.nodes || !t.initial)
		return -ENOMEM;
	memcpy(t.nodes, nodes, t.n * sizeof *t.nodes);
	memcpy(t.initial, initial, t.n);
	*ret = t;
	return 0;
}
