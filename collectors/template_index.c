/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which templates are worth trying.
 *
 * Tags and leading literals are tries, so that finding those that a message begins with costs what the
 * message's own beginning costs, however many there are. Where more than CROWD templates share a leading
 * literal (above all: those that begin with a field), each is filed under an anchor, a literal that a
 * message must hold, and one scan over the message, by a trie of the anchors, says which can fit at all.
 * The anchor is the literal right behind a first field that holds no blank, if not too many others have
 * the same: it can only stand in the next word or at its end, so that the scan is short; else the
 * literal that fewest others have.
 */
#include "collectors/match.h"
#include "collectors/trie.h"

#include <errno.h>

#define CROWD 4u
#define NEAR_CROWD 16u
#define FILTER_BYTES 4u

/* A leading literal. Its templates are entries [begin, anchored), to be tried, and [anchored, end), to be
 * tried where their anchor occurs; each range is in the order in which they win. */
struct place {
	uint32_t parent; /* the next shorter leading literal, or TRIE_NONE */
	uint32_t begin, anchored, end;
	uint16_t lead_len;
	bool far; /* an anchor can be anywhere, not just in the word behind the leading literal */
};

/* A template under one of its leads. */
struct entry {
	uint32_t number;
	uint32_t lead;
};

/* All templates of one tag. */
struct index {
	const uint32_t *templates;
	size_t n_templates;
	const struct template *rule; /* NULL: none */
	struct entry *entries; /* place by place */
	size_t n_entries;
	struct place *places;
	struct trie leads, anchors;
	/* the entries that have anchor k: anchor_entries[anchor_begin[k]] up to anchor_begin[k + 1] */
	uint32_t *anchor_begin, *anchor_entries;
	/* Which anchors can begin with these bytes: in [i], the i-th byte's bit for each of eight sets of
	 * anchors. */
	uint8_t (*filter)[256];
	uint64_t *found; /* a bit for each entry whose anchor occurs in the message */
};

struct tag {
	struct bytes text; /* without the "*" of a prefix */
	struct index *exact, *prefix;
};

/* Where the templates of a program are; the last answers are kept, since programs repeat. */
struct remembered {
	uint8_t program[30];
	uint8_t len;
	struct index *index; /* NULL: only the templates for any program */
};

struct template_index {
	struct remembered remembered[16];
	struct template *templates;
	size_t n_templates;
	struct arena *arena;
	struct trie tags;
	struct tag *by_tag;
	struct index *any;
	struct index **all; /* each once: programs often have the same templates */
	size_t n_all;
};

/* --- making the index of one tag ---------------------------------------------------------- */

struct candidate {
	struct bytes lead;
	struct bytes anchor; /* data NULL: none */
	uint32_t anchor_count;
	bool near;
	struct entry entry;
};

static int candidate_compare(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;
	struct trie_key ka = { a->lead, 0 }, kb = { b->lead, 0 };
	int r = trie_key_compare(&ka, &kb);

	if (r == 0)
		r = !!a->anchor.data - !!b->anchor.data;
	return r ? r : (a->entry.number > b->entry.number) - (a->entry.number < b->entry.number);
}

/* Appends the literals that a message must hold behind its beginning. */
static size_t mandatory_literals(const struct template *t, uint32_t entry, struct trie_key *out)
{
	bool begun = false;
	size_t n = 0;

	for (const struct token *k = t->tokens; k->kind != TOKEN_END; k++) {
		if (k->kind == TOKEN_GROUP) {
			begun = true;
			k = t->tokens + k->skip - 1;
		} else if (k->kind == TOKEN_FIELD) {
			begun = true;
		} else if (begun) {
			out[n++] = (struct trie_key){ k->literal, entry };
		}
	}
	return n;
}

/* The literal behind a lead and a field that holds no blank (or blanks and such a field); NULL if it is not
 * so. */
static const struct token *near_literal(const struct template *t, uint32_t lead)
{
	const struct token *k = t->tokens + t->leads[lead].token;

	if (k->kind == TOKEN_FIELD && k->type == TYPE_BLANKS)
		k++;
	if (k->kind != TOKEN_FIELD || k->type == TYPE_TEXT || k->type == TYPE_BLANKS)
		return NULL;
	return k[1].kind == TOKEN_LITERAL ? k + 1 : NULL;
}

static bool is_near(const struct template_index *ti, const struct candidate *c, struct bytes literal)
{
	const struct token *near = near_literal(&ti->templates[c->entry.number], c->entry.lead);

	return near && near->literal.data == literal.data;
}

/* Gives each entry of a crowded place its anchor. */
static int choose_anchors(const struct template_index *ti, struct candidate *entries, size_t n)
{
	_cleanup_(freep) struct trie_key *keys = NULL;
	size_t n_keys = 0, room = 0;

	for (size_t begin = 0, end; begin < n; begin = end) {
		for (end = begin; end < n && bytes_eq(entries[end].lead, entries[begin].lead); end++)
			;
		for (size_t i = begin; end - begin > CROWD && i < end; i++) {
			if (room - n_keys < TOKENS_MAX) {
				struct trie_key *more =
					reallocarray(keys, room = 2 * room + TOKENS_MAX, sizeof *keys);

				if (!more)
					return -ENOMEM;
				keys = more;
			}
			n_keys += mandatory_literals(&ti->templates[entries[i].entry.number], (uint32_t)i,
						     keys + n_keys);
		}
	}
	if (n_keys > 0)
		qsort(keys, n_keys, sizeof *keys, trie_key_compare);
	for (size_t i = 0, end; i < n_keys; i = end) {
		for (end = i; end < n_keys && bytes_eq(keys[end].text, keys[i].text); end++)
			;
		for (size_t k = i; k < end; k++) {
			struct candidate *c = &entries[keys[k].value];
			bool near = end - i <= NEAR_CROWD && is_near(ti, c, keys[k].text);

			if (near || !c->anchor.data || (!c->near && end - i < c->anchor_count) ||
			    (!c->near && end - i == c->anchor_count && keys[i].text.len > c->anchor.len)) {
				c->anchor = keys[k].text;
				c->anchor_count = (uint32_t)(end - i);
				c->near = near;
			}
		}
	}
	return 0;
}

static int build_leads(struct template_index *ti, struct index *ix, const struct candidate *entries)
{
	_cleanup_(freep) struct trie_key *keys = calloc(ix->n_entries + 1, sizeof *keys);
	uint32_t n = 0;

	ix->places = arena_alloc(ti->arena, (ix->n_entries + 1) * sizeof *ix->places);
	if (!keys || !ix->places)
		return -ENOMEM;
	for (uint32_t i = 0; i < ix->n_entries; i++) {
		struct place *place = &ix->places[n];

		if (i > 0 && bytes_eq(entries[i].lead, entries[i - 1].lead)) {
			place--;
		} else {
			keys[n] = (struct trie_key){ entries[i].lead, n };
			place->begin = place->anchored = i;
			place->lead_len = (uint16_t)entries[i].lead.len;
			place->parent = n > 0 ? n - 1 : TRIE_NONE;
			while (place->parent != TRIE_NONE &&
			       !bytes_starts(entries[i].lead, keys[place->parent].text))
				place->parent = ix->places[place->parent].parent;
			n++;
		}
		place->end = i + 1;
		if (!entries[i].anchor.data)
			place->anchored = i + 1;
		place->far |= entries[i].anchor.data && !entries[i].near;
		ix->entries[i] = entries[i].entry;
	}
	return trie_build(ti->arena, keys, n, &ix->leads);
}

static void filter_add(uint8_t (*filter)[256], struct bytes anchor, uint8_t set)
{
	for (size_t i = 0; i < FILTER_BYTES; i++) {
		if (i < anchor.len) {
			filter[i][anchor.data[i]] |= set;
		} else {
			for (unsigned c = 0; c < 256; c++)
				filter[i][c] |= set;
		}
	}
}

static int build_anchors(struct template_index *ti, struct index *ix, const struct candidate *entries)
{
	_cleanup_(freep) struct trie_key *keys = calloc(ix->n_entries + 1, sizeof *keys);
	uint32_t n = 0, distinct = 0;

	if (!keys)
		return -ENOMEM;
	for (uint32_t i = 0; i < ix->n_entries; i++) {
		if (entries[i].anchor.data)
			keys[n++] = (struct trie_key){ entries[i].anchor, i };
	}
	if (n > 0)
		qsort(keys, n, sizeof *keys, trie_key_compare);
	ix->anchor_begin = arena_alloc(ti->arena, (n + 1) * sizeof *ix->anchor_begin);
	ix->anchor_entries = arena_alloc(ti->arena, (n + 1) * sizeof *ix->anchor_entries);
	ix->found = arena_alloc(ti->arena, (ix->n_entries / 64 + 1) * sizeof *ix->found);
	if (!ix->anchor_begin || !ix->anchor_entries || !ix->found)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		ix->anchor_entries[i] = keys[i].value;
		if (distinct == 0 || !bytes_eq(keys[i].text, keys[distinct - 1].text)) {
			ix->anchor_begin[distinct] = i;
			keys[distinct] = (struct trie_key){ keys[i].text, distinct };
			distinct++;
		}
	}
	ix->anchor_begin[distinct] = n;
	if (distinct > 0) {
		ix->filter = arena_alloc(ti->arena, FILTER_BYTES * sizeof *ix->filter);
		if (!ix->filter)
			return -ENOMEM;
		for (uint32_t i = 0; i < distinct; i++)
			filter_add(ix->filter, keys[i].text, (uint8_t)(1u << i * 8 / distinct));
	}
	return trie_build(ti->arena, keys, distinct, &ix->anchors);
}

static int index_build(struct template_index *ti, struct index *ix)
{
	_cleanup_(freep) struct candidate *entries = NULL;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < ix->n_templates; i++)
		n += ti->templates[ix->templates[i]].n_leads;
	entries = calloc(n + 1, sizeof *entries);
	ix->entries = arena_alloc(ti->arena, (n + 1) * sizeof *ix->entries);
	if (!entries || !ix->entries)
		return -ENOMEM;
	for (size_t i = 0; i < ix->n_templates; i++) {
		const struct template *t = &ti->templates[ix->templates[i]];

		for (size_t k = 0; k < t->n_leads; k++)
			entries[ix->n_entries++] = (struct candidate){
				.lead = t->leads[k].text,
				.entry = { .number = ix->templates[i], .lead = (uint32_t)k },
			};
	}
	qsort(entries, n, sizeof *entries, candidate_compare);
	r = choose_anchors(ti, entries, n);
	if (r < 0)
		return r;
	qsort(entries, n, sizeof *entries, candidate_compare);
	r = build_leads(ti, ix, entries);
	return r < 0 ? r : build_anchors(ti, ix, entries);
}

/* --- all tags ----------------------------------------------------------------------------- */

static bool program_applies(struct bytes program, struct bytes tag, bool tag_is_prefix)
{
	bool prefix = program.len > 0 && program.data[program.len - 1] == '*';

	if (prefix)
		return program.len > 1 && bytes_starts(tag, bytes_of(program.data, program.len - 1));
	return !tag_is_prefix && bytes_eq(program, tag);
}

/* The index over the templates of a tag; one that exists already if it is the same. An empty tag stands for
 * "*". */
static int index_for(struct template_index *ti, struct bytes tag, bool prefix, struct index **ret)
{
	_cleanup_(freep) uint32_t *numbers = calloc(ti->n_templates + 1, sizeof *numbers);
	uint32_t *kept;
	struct index *ix;
	size_t n = 0;
	int r;

	if (!numbers)
		return -ENOMEM;
	for (uint32_t i = 0; i < ti->n_templates; i++) {
		const struct template *t = &ti->templates[i];
		bool applies = false;

		for (size_t k = 0; k < t->programs.n && !applies; k++)
			applies = tag.len > 0 ? program_applies(t->programs.names[k], tag, prefix)
					      : bytes_eq(t->programs.names[k], LIT("*"));
		if (applies)
			numbers[n++] = i;
	}
	for (size_t i = 0; i < ti->n_all; i++) {
		if (ti->all[i]->n_templates == n &&
		    (n == 0 || memcmp(ti->all[i]->templates, numbers, n * sizeof *numbers) == 0)) {
			*ret = ti->all[i];
			return 0;
		}
	}
	ix = arena_alloc(ti->arena, sizeof *ix);
	kept = arena_alloc(ti->arena, (n + 1) * sizeof *kept);
	if (!ix || !kept)
		return -ENOMEM;
	memcpy(kept, numbers, n * sizeof *kept);
	ix->templates = kept;
	ix->n_templates = n;
	for (size_t i = 0; i < n; i++) {
		if (!ti->templates[numbers[i]].tokens)
			ix->rule = &ti->templates[numbers[i]];
	}
	r = index_build(ti, ix);
	if (r < 0)
		return r;
	ti->all[ti->n_all++] = ix;
	*ret = ix;
	return 0;
}

static int tags_build(struct template_index *ti, struct trie_key *keys, size_t n)
{
	size_t distinct = 0;
	int r;

	qsort(keys, n, sizeof *keys, trie_key_compare);
	ti->by_tag = arena_alloc(ti->arena, (n + 1) * sizeof *ti->by_tag);
	ti->all = arena_alloc(ti->arena, (2 * n + 1) * sizeof *ti->all);
	if (!ti->by_tag || !ti->all)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (distinct == 0 || !bytes_eq(keys[i].text, keys[distinct - 1].text)) {
			ti->by_tag[distinct].text = keys[i].text;
			keys[distinct] = (struct trie_key){ keys[i].text, (uint32_t)distinct };
			distinct++;
		}
	}
	for (size_t i = 0; i < distinct; i++) {
		r = index_for(ti, ti->by_tag[i].text, false, &ti->by_tag[i].exact);
		if (r == 0)
			r = index_for(ti, ti->by_tag[i].text, true, &ti->by_tag[i].prefix);
		if (r < 0)
			return r;
	}
	r = index_for(ti, BYTES_NONE, false, &ti->any);
	return r < 0 ? r : trie_build(ti->arena, keys, distinct, &ti->tags);
}

int template_index_new(struct arena *arena, struct template *templates, size_t n, struct template_index **ret)
{
	_cleanup_(freep) struct trie_key *keys = NULL;
	struct template_index *ti = arena_alloc(arena, sizeof *ti);
	size_t n_tags = 0;
	int r;

	for (size_t i = 0; i < n; i++)
		n_tags += templates[i].programs.n;
	keys = calloc(n_tags + 1, sizeof *keys);
	if (!ti || !keys)
		return -ENOMEM;
	n_tags = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < templates[i].programs.n; k++) {
			struct bytes tag = templates[i].programs.names[k];

			tag.len -= tag.data[tag.len - 1] == '*';
			if (tag.len > 0)
				keys[n_tags++].text = tag;
		}
	}
	ti->arena = arena;
	ti->templates = templates;
	ti->n_templates = n;
	r = tags_build(ti, keys, n_tags);
	if (r < 0)
		return r;
	*ret = ti;
	return 0;
}

/* --- finding ------------------------------------------------------------------------------ */

static void find_anchors_at(struct index *ix, struct bytes rest, struct attempt *a)
{
	struct trie_walk w = { 0 };
	uint32_t anchor;

	while ((anchor = trie_next(&ix->anchors, rest, &w)) != TRIE_NONE) {
		for (uint32_t k = ix->anchor_begin[anchor]; k < ix->anchor_begin[anchor + 1]; k++)
			ix->found[ix->anchor_entries[k] / 64] |= UINT64_C(1) << ix->anchor_entries[k] % 64;
	}
	a->steps += w.depth;
}

/* Notes the anchors that begin from `at` to before `stop`. */
static void find_anchors(struct index *ix, struct bytes message, size_t at, size_t stop, struct attempt *a)
{
	const uint8_t(*filter)[256] = (const uint8_t(*)[256])ix->filter;
	const uint8_t *p = message.data;

	memset(ix->found, 0, (ix->n_entries / 64 + 1) * sizeof *ix->found);
	a->steps += stop - at;
	for (; at < stop && message.len - at >= FILTER_BYTES; at++) {
		if (filter[0][p[at]] & filter[1][p[at + 1]] & filter[2][p[at + 2]] & filter[3][p[at + 3]])
			find_anchors_at(ix, bytes_from(message, at), a);
	}
	for (; at < stop; at++) {
		if (filter[0][p[at]])
			find_anchors_at(ix, bytes_from(message, at), a);
	}
}

/* The end of the word at `at`, and one byte more: where near anchors can begin. */
static size_t near_end(struct bytes message, size_t at)
{
	while (at < message.len && message.data[at] == ' ')
		at++;
	at = field_type_span(TYPE_WORD, message.data, at, message.len);
	return MIN(at + 1, message.len);
}

/* The first entry from `at` to `end` whose anchor was found; `end` for none. */
static uint32_t next_found(const struct index *ix, uint32_t at, uint32_t end)
{
	while (at < end) {
		uint64_t bits = ix->found[at / 64] >> at % 64;

		if (bits)
			return MIN(at + (uint32_t)__builtin_ctzll(bits), end);
		at = (at / 64 + 1) * 64;
	}
	return end;
}

static struct template *place_find(struct template_index *ti, struct index *ix, const struct place *p,
				   struct bytes message, struct attempt *a)
{
	uint32_t direct = p->begin,
		 anchored = p->anchored < p->end ? next_found(ix, p->anchored, p->end) : p->end;

	while (direct < p->anchored || anchored < p->end) {
		const struct entry *e = &ix->entries[direct];
		struct template *t;

		if (direct < p->anchored &&
		    (anchored == p->end || e->number < ix->entries[anchored].number)) {
			direct++;
		} else {
			e = &ix->entries[anchored];
			anchored = next_found(ix, anchored + 1, p->end);
		}
		t = &ti->templates[e->number];
		if (attempt_fits(a, t, &t->leads[e->lead], message))
			return t;
	}
	return NULL;
}

static struct template *index_find(struct template_index *ti, struct index *ix, struct bytes message,
				   struct attempt *a)
{
	uint32_t deepest = TRIE_NONE, place;
	bool found_all = false;
	struct trie_walk w = { 0 };

	while ((place = trie_next(&ix->leads, message, &w)) != TRIE_NONE)
		deepest = place;
	a->steps += w.depth;
	for (place = deepest; place != TRIE_NONE; place = ix->places[place].parent) {
		const struct place *p = &ix->places[place];
		struct template *t;

		if (p->anchored < p->end && !found_all) {
			found_all = p->far;
			find_anchors(ix, message, p->far ? 0 : p->lead_len,
				     p->far ? message.len : near_end(message, p->lead_len), a);
		}
		t = place_find(ti, ix, p, message, a);
		if (t)
			return t;
	}
	return NULL;
}

static struct index *index_of_program(const struct template_index *ti, struct bytes program)
{
	struct index *ix = NULL;
	struct trie_walk w = { 0 };
	uint32_t tag;

	while ((tag = trie_next(&ti->tags, program, &w)) != TRIE_NONE)
		ix = w.depth == program.len ? ti->by_tag[tag].exact : ti->by_tag[tag].prefix;
	return ix;
}

static struct index *remembered_index(struct template_index *ti, struct bytes program)
{
	struct remembered *m;

	if (program.len == 0 || program.len > sizeof m->program)
		return index_of_program(ti, program);
	m = &ti->remembered[(program.len * 5u + program.data[program.len - 1] + program.data[0] * 3u) %
			    ELEMENTSOF(ti->remembered)];
	if (m->len != program.len || !same_bytes(m->program, program.data, program.len)) {
		m->index = index_of_program(ti, program);
		m->len = (uint8_t)program.len;
		memcpy(m->program, program.data, program.len);
	}
	return m->index;
}

struct template *template_index_find(struct template_index *ti, struct bytes program, struct bytes message,
				     struct attempt *a)
{
	struct index *ix = remembered_index(ti, program);
	struct template *t = ix ? index_find(ti, ix, message, a) : NULL;

	a->named = t != NULL;
	a->rule = ix ? ix->rule : NULL;
	return t ? t : index_find(ti, ti->any, message, a);
}
