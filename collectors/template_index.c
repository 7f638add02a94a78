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
 *
 * Messages repeat: one that looks like an earlier one is first tried with the template which that had. Its answer counts
 * only if no template that would come before it can fit what it fits (template_rivals.c), so that what was seen before
 * makes things faster and never different.
 */
#include "collectors/match.h"
#include "collectors/trie.h"

#include <errno.h>

#define CROWD 4u
#define NEAR_CROWD 16u
#define GRAM_MAX 4u
#define FILTER_BITS 4096u

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

/* If an entry fits a message that begins with none of these, no entry that would come before it fits too. */
#define RIVALS_MAX 8u
#define RIVALS_UNKNOWN (RIVALS_MAX + 1)
struct rivals {
	struct rivals *next;
	const struct entry *entry; /* whose they are */
	uint32_t n; /* RIVALS_UNKNOWN: there is no telling by the beginning */
	struct bytes leads[];
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
	/* a bit for each entry: those whose anchor is number k, from [k * n_words] on; those whose anchor occurs in the
	 * message */
	uint64_t *having, *found;
	size_t n_words;
	/* By what anchors begin with: a bit for the hash of the first bytes of each, as many bytes as the shortest has. */
	uint64_t *filter;
	uint32_t gram_mask;
	size_t gram_len;
	struct rivals *rivals; /* of entries that were guessed, of these and of those for any program */
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

/* The entry that fitted the last message of a program that looked like this. */
struct guess {
	const struct index *ix; /* the program's */
	const struct entry *entry;
	const struct rivals *rivals;
	bool named; /* it is one of ix, not of those for any program */
};

#define GUESS_SETS 128u
#define GUESS_WAYS 2u

struct template_index {
	struct remembered remembered[16];
	struct guess guesses[GUESS_SETS][GUESS_WAYS]; /* the latest first */
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
			out[n++] = (struct trie_key){ token_literal(k), entry };
		}
	}
	return n;
}

static bool is_near(const struct template_index *ti, const struct candidate *c, struct bytes literal)
{
	return ti->templates[c->entry.number].leads[c->entry.lead].near == literal.data;
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

	for (uint32_t i = 0; i < ix->n_entries; i++)
		n += i == 0 || !bytes_eq(entries[i].lead, entries[i - 1].lead);
	ix->places = arena_alloc(ti->arena, n * sizeof *ix->places);
	if (!keys || !ix->places)
		return -ENOMEM;
	n = 0;
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

/* The first bytes of `p`, at most `left`, as a number that is the same on every machine only within it. */
static inline uint32_t gram(const uint8_t *p, size_t left, uint32_t mask)
{
	uint32_t v = 0;

	memcpy(&v, p, MIN(left, GRAM_MAX));
	return v & mask;
}

static inline uint32_t gram_bit(uint32_t v)
{
	return v * UINT32_C(0x9e3779b1) / (UINT32_MAX / FILTER_BITS + 1);
}

static int build_filter(struct template_index *ti, struct index *ix, const struct trie_key *anchors, size_t n)
{
	ix->filter = arena_alloc(ti->arena, FILTER_BITS / 8);
	if (!ix->filter)
		return -ENOMEM;
	ix->gram_len = GRAM_MAX;
	for (size_t i = 0; i < n; i++)
		ix->gram_len = MIN(ix->gram_len, anchors[i].text.len);
	memset(&ix->gram_mask, 0xff, ix->gram_len);
	for (size_t i = 0; i < n; i++) {
		uint32_t bit = gram_bit(gram(anchors[i].text.data, anchors[i].text.len, ix->gram_mask));

		ix->filter[bit / 64] |= UINT64_C(1) << bit % 64;
	}
	return 0;
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
	ix->n_words = ix->n_entries / 64 + 1;
	ix->having = arena_alloc(ti->arena, (n + 1) * ix->n_words * sizeof *ix->having);
	ix->found = arena_alloc(ti->arena, ix->n_words * sizeof *ix->found);
	if (!ix->having || !ix->found)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t entry = keys[i].value;

		if (distinct == 0 || !bytes_eq(keys[i].text, keys[distinct - 1].text)) {
			keys[distinct] = (struct trie_key){ keys[i].text, distinct };
			distinct++;
		}
		ix->having[(distinct - 1) * ix->n_words + entry / 64] |= UINT64_C(1) << entry % 64;
	}
	if (distinct > 0 && build_filter(ti, ix, keys, distinct) < 0)
		return -ENOMEM;
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
		if (!ti->templates[numbers[i]].leads)
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
	for (size_t i = 0; i < n; i++) {
		if (distinct == 0 || !bytes_eq(keys[i].text, keys[distinct - 1].text)) {
			keys[distinct] = (struct trie_key){ keys[i].text, (uint32_t)distinct };
			distinct++;
		}
	}
	ti->by_tag = arena_alloc(ti->arena, (distinct + 1) * sizeof *ti->by_tag);
	ti->all = arena_alloc(ti->arena, (2 * distinct + 1) * sizeof *ti->all);
	if (!ti->by_tag || !ti->all)
		return -ENOMEM;
	for (size_t i = 0; i < distinct; i++) {
		ti->by_tag[i].text = keys[i].text;
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
		for (size_t k = 0; k < ix->n_words; k++)
			ix->found[k] |= ix->having[anchor * ix->n_words + k];
	}
	a->steps += w.depth;
}

static inline bool may_begin(const struct index *ix, uint32_t first_bytes)
{
	uint32_t bit = gram_bit(first_bytes);

	return ix->filter[bit / 64] & UINT64_C(1) << bit % 64;
}

/* Notes the anchors that begin from `at` to before `stop`. */
static void find_anchors(struct index *ix, struct bytes message, size_t at, size_t stop, struct attempt *a)
{
	const uint8_t *p = message.data;

	memset(ix->found, 0, ix->n_words * sizeof *ix->found);
	a->steps += stop - at;
	for (; at < stop && message.len - at >= GRAM_MAX; at++)
		if (may_begin(ix, gram(p + at, GRAM_MAX, ix->gram_mask)))
			find_anchors_at(ix, bytes_from(message, at), a);
	for (; at < stop && message.len - at >= ix->gram_len; at++)
		if (may_begin(ix, gram(p + at, message.len - at, ix->gram_mask)))
			find_anchors_at(ix, bytes_from(message, at), a);
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

static const struct entry *place_find(struct template_index *ti, struct index *ix, const struct place *p,
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
			return e;
	}
	return NULL;
}

static const struct entry *index_find(struct template_index *ti, struct index *ix, struct bytes message,
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
		const struct entry *e;

		if (p->anchored < p->end && !found_all) {
			found_all = p->far;
			find_anchors(ix, message, p->far ? 0 : p->lead_len,
				     p->far ? message.len : near_end(message, p->lead_len), a);
		}
		e = place_find(ti, ix, p, message, a);
		if (e)
			return e;
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
	if (m->len != program.len || !bytes_same(m->program, program.data, program.len)) {
		m->index = index_of_program(ti, program);
		m->len = (uint8_t)program.len;
		memcpy(m->program, program.data, program.len);
	}
	return m->index;
}

/* --- guessing ----------------------------------------------------------------------------- */

static const struct lead *lead_of(const struct template_index *ti, const struct entry *e)
{
	return &ti->templates[e->number].leads[e->lead];
}

/* Notes what has to be excluded of the entries that come before `e`: all of `ix`, if `e` is not one of them. How many
 * that are now, or RIVALS_UNKNOWN. */
static uint32_t add_rivals(const struct template_index *ti, const struct index *ix, const struct entry *e, bool all,
			   struct bytes *leads, uint32_t n)
{
	struct bytes lead = lead_of(ti, e)->text;

	for (size_t i = 0; i < ix->n_entries && n < RIVALS_UNKNOWN; i++) {
		const struct entry *r = &ix->entries[i];
		struct bytes longer = lead_of(ti, r)->text;
		bool noted = false;

		if (!all && (longer.len < lead.len || (longer.len == lead.len && r->number >= e->number)))
			continue;
		if (leads_exclude(lead_of(ti, e), lead_of(ti, r)))
			continue;
		for (size_t k = 0; k < n && !noted; k++)
			noted = bytes_starts(longer, leads[k]);
		if (noted)
			continue;
		if (longer.len <= lead.len || n == RIVALS_MAX)
			n = RIVALS_UNKNOWN;
		else
			leads[n++] = longer;
	}
	return n;
}

/* NULL for no memory. */
static const struct rivals *rivals_of(const struct template_index *ti, struct index *ix, const struct entry *e,
				      bool named)
{
	struct bytes leads[RIVALS_MAX];
	struct rivals *rivals = ix->rivals;
	uint32_t n;

	while (rivals && rivals->entry != e)
		rivals = rivals->next;
	if (rivals)
		return rivals;
	n = add_rivals(ti, ix, e, !named, leads, 0);
	if (!named)
		n = add_rivals(ti, ti->any, e, false, leads, n);
	rivals = arena_alloc(ti->arena, sizeof *rivals + (n < RIVALS_UNKNOWN ? n * sizeof *leads : 0));
	if (!rivals)
		return NULL;
	*rivals = (struct rivals){ ix->rivals, e, n };
	if (n > 0 && n < RIVALS_UNKNOWN)
		memcpy(rivals->leads, leads, n * sizeof *leads);
	ix->rivals = rivals;
	return rivals;
}

static inline uint64_t eight_bytes(struct bytes b)
{
	uint64_t v = 0;

	if (b.len >= sizeof v)
		memcpy(&v, b.data, sizeof v);
	else
		memcpy(&v, b.data, b.len);
	return v;
}

/* Messages of one wording mostly begin the same, and go on the same behind their first blank. */
static struct guess *guesses_for(struct template_index *ti, const struct index *ix, struct bytes message)
{
	const uint8_t *blank = message.len > 0 ? memchr(message.data, ' ', message.len) : NULL;
	uint64_t hash = (uintptr_t)ix;

	if (message.len > 0)
		hash = (hash ^ eight_bytes(message)) * UINT64_C(0x9e3779b97f4a7c15);
	if (blank)
		hash = (hash ^ eight_bytes(bytes_from(message, (size_t)(blank - message.data)))) *
		       UINT64_C(0x9e3779b97f4a7c15);
	return ti->guesses[hash / (UINT64_MAX / GUESS_SETS + 1)];
}

static bool guess_is_right(const struct template_index *ti, const struct guess *g, const struct index *ix,
			   struct bytes message, struct attempt *a)
{
	struct template *t;

	if (!g->entry || g->ix != ix)
		return false;
	t = &ti->templates[g->entry->number];
	if (!bytes_starts(message, t->leads[g->entry->lead].text))
		return false;
	for (size_t i = 0; i < g->rivals->n; i++)
		if (bytes_starts(message, g->rivals->leads[i]))
			return false;
	return attempt_fits(a, t, &t->leads[g->entry->lead], message);
}

static void keep_guess(struct template_index *ti, struct guess *guesses, struct index *ix, const struct entry *e,
		       bool named)
{
	const struct rivals *rivals = rivals_of(ti, ix, e, named);

	if (!rivals || rivals->n == RIVALS_UNKNOWN)
		return;
	memmove(guesses + 1, guesses, (GUESS_WAYS - 1) * sizeof *guesses);
	guesses[0] = (struct guess){ ix, e, rivals, named };
}

void template_index_forget(struct template_index *ti)
{
	memset(ti->guesses, 0, sizeof ti->guesses);
}

struct template *template_index_find(struct template_index *ti, struct bytes program, struct bytes message,
				     struct attempt *a)
{
	struct index *own = remembered_index(ti, program), *ix = own ? own : ti->any;
	struct guess *guesses = guesses_for(ti, ix, message);
	const struct entry *e = NULL;

	a->rule = own ? own->rule : NULL;
	for (size_t i = 0; i < GUESS_WAYS; i++) {
		if (guess_is_right(ti, &guesses[i], ix, message, a)) {
			a->named = own && guesses[i].named;
			return &ti->templates[guesses[i].entry->number];
		}
	}
	e = index_find(ti, ix, message, a);
	a->named = own && e;
	if (e) {
		keep_guess(ti, guesses, ix, e, true);
	} else if (own) {
		e = index_find(ti, ti->any, message, a);
		if (e)
			keep_guess(ti, guesses, ix, e, false);
	}
	return e ? &ti->templates[e->number] : NULL;
}
