/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/chain.h"

#include <errno.h>
#include <sys/random.h>

#define LOSS_WORD_MAX 64u

/* One frame: all that is kept of it. */
struct link {
	uint64_t sequence;
	int64_t time_us;
	uint64_t run; /* the first bytes of the run id: runs are told apart, not known by it */
	uint32_t host;
	uint32_t next_within_s : 31; /* 68 years */
	uint32_t has_previous : 1;
	uint8_t digest[DIGEST_SIZE];
	uint8_t previous[DIGEST_SIZE];
};

/* Finds entries of an array by a part of them. Open addressing; a slot holds the entry's index plus 1. */
struct table {
	uint32_t *slots;
	size_t mask;
};

struct chain {
	const struct chain_options *options;
	uint64_t seed[2];

	struct link *links;
	size_t n_links, max_links;
	struct table by_digest;

	struct chain_host *hosts;
	size_t n_hosts, max_hosts;
	struct table by_key;

	bool *seen; /* of options->trusted */
	struct chain_stranger troubles[CHAIN_TROUBLE_MAX];
};

/* --- tables ------------------------------------------------------------------------------------ */

/* Of 32 bytes. What is hashed is a digest or the coordinate of a point; the seed keeps whoever can choose
 * them from choosing those that meet. */
static uint64_t hash32(const struct chain *c, const uint8_t *p)
{
	uint64_t w[4];
	unsigned __int128 a, b;

	memcpy(w, p, sizeof w);
	a = (unsigned __int128)(w[0] ^ c->seed[0]) * (w[1] ^ c->seed[1]);
	b = (unsigned __int128)(w[2] ^ c->seed[1]) * (w[3] ^ c->seed[0] ^ (uint64_t)a);
	a = (unsigned __int128)((uint64_t)(a >> 64) ^ (uint64_t)b ^ c->seed[1]) *
	    ((uint64_t)(b >> 64) ^ c->seed[0]);
	return (uint64_t)(a >> 64) ^ (uint64_t)a;
}

static const uint8_t *link_id(const struct chain *c, size_t i)
{
	return c->links[i].digest;
}

/* The x coordinate; its sign is told apart by the comparison. */
static const uint8_t *host_id(const struct chain *c, size_t i)
{
	return c->hosts[i].key + 1;
}

typedef const uint8_t *(*entry_id)(const struct chain *c, size_t i);

/* Makes room for one more than `n` entries, at most half full. */
static int table_reserve(const struct chain *c, struct table *t, size_t n, entry_id id)
{
	size_t size = t->slots ? t->mask + 1 : 0;
	uint32_t *slots;

	if (size > 0 && (n + 1) * 2 <= size)
		return 0;
	if (n >= UINT32_MAX / 4)
		return -EOVERFLOW;
	size = size > 0 ? size * 2 : 64;
	slots = calloc(size, sizeof *slots);
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t s = hash32(c, id(c, i)) & (size - 1);

		while (slots[s] != 0)
			s = (s + 1) & (size - 1);
		slots[s] = (uint32_t)i + 1;
	}
	free(t->slots);
	*t = (struct table){ slots, size - 1 };
	return 0;
}

static uint32_t *host_slot(const struct chain *c, const uint8_t *key)
{
	size_t s = hash32(c, key + 1) & c->by_key.mask;

	while (c->by_key.slots[s] != 0 &&
	       memcmp(c->hosts[c->by_key.slots[s] - 1].key, key, PUBLIC_KEY_SIZE) != 0)
		s = (s + 1) & c->by_key.mask;
	return &c->by_key.slots[s];
}

static uint32_t *link_slot(const struct chain *c, const uint8_t *digest)
{
	size_t s = hash32(c, digest) & c->by_digest.mask;

	while (c->by_digest.slots[s] != 0 &&
	       memcmp(c->links[c->by_digest.slots[s] - 1].digest, digest, DIGEST_SIZE) != 0)
		s = (s + 1) & c->by_digest.mask;
	return &c->by_digest.slots[s];
}

/* Room in an array for one more. */
static int array_reserve(void **array, size_t n, size_t *max, size_t size)
{
	size_t more = MAX(*max * 2, 16u);
	void *p;

	if (n < *max)
		return 0;
	p = reallocarray(*array, more, size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*max = more;
	return 0;
}

/* --- adding ------------------------------------------------------------------------------------ */

int chain_new(const struct chain_options *options, struct chain **ret)
{
	_cleanup_(chain_freep) struct chain *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	if (getrandom(c->seed, sizeof c->seed, 0) != (ssize_t)sizeof c->seed)
		return -EIO;
	c->options = options;
	c->seen = calloc(options->n_trusted + 1, sizeof *c->seen);
	if (!c->seen)
		return -ENOMEM;
	*ret = TAKE_PTR(c);
	return 0;
}

static void host_done(struct chain_host *h)
{
	for (size_t i = 0; i < h->n_reasons; i++) {
		free(h->reasons[i].reason);
		free(h->reasons[i].unit);
	}
	free(h->reasons);
	for (size_t i = 0; i < h->n_exclusions; i++)
		free(h->exclusions[i].what);
	free(h->exclusions);
	free(h->programs);
	free(h->gaps.listed);
	free(h->breaks.listed);
	free(h->forks.listed);
	free(h->name);
}

struct chain *chain_free(struct chain *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n_hosts; i++)
		host_done(&c->hosts[i]);
	free(c->hosts);
	free(c->links);
	free(c->seen);
	free(c->by_key.slots);
	free(c->by_digest.slots);
	free(c);
	return NULL;
}

static int compare_fingerprints(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Among those that are trusted; noted as seen. */
static bool host_trusted(struct chain *c, const char *fingerprint)
{
	const struct chain_options *o = c->options;
	const char(*found)[FINGERPRINT_SIZE] = NULL;

	if (o->n_trusted > 0)
		found = bsearch(fingerprint, o->trusted, o->n_trusted, FINGERPRINT_SIZE, compare_fingerprints);
	if (found)
		c->seen[found - o->trusted] = true;
	return found;
}

/* The index of the host of a key, which is new if need be. */
static int host_of(struct chain *c, const uint8_t *key, size_t *ret)
{
	struct chain_host h = { 0 };
	uint32_t *slot;
	int r;

	r = table_reserve(c, &c->by_key, c->n_hosts, host_id);
	if (r < 0)
		return r;
	slot = host_slot(c, key);
	if (*slot != 0) {
		*ret = *slot - 1;
		return 0;
	}
	memcpy(h.key, key, sizeof h.key);
	r = public_key_fingerprint(key, h.fingerprint);
	if (r == 0)
		r = array_reserve((void **)&c->hosts, c->n_hosts, &c->max_hosts, sizeof h);
	if (r < 0)
		return r;
	h.trusted = host_trusted(c, h.fingerprint);
	c->hosts[c->n_hosts] = h;
	*slot = (uint32_t)++c->n_hosts;
	*ret = c->n_hosts - 1;
	return 0;
}

static int host_rename(struct chain_host *h, const Hallmark__V1__Batch *batch)
{
	const char *name = batch->host && batch->host->name ? batch->host->name : "";
	char *copy;

	if (h->name && (batch->sequence < h->name_sequence || strncmp(h->name, name, CHAIN_NAME_MAX) == 0))
		return 0;
	copy = strndup(name, CHAIN_NAME_MAX);
	if (!copy)
		return -ENOMEM;
	free(h->name);
	h->name = copy;
	h->name_sequence = batch->sequence;
	return 0;
}

int chain_add(struct chain *c, const struct frame *f)
{
	const Hallmark__V1__Batch *b = f->batch;
	struct link l = { .sequence = b->sequence, .time_us = b->time_us };
	struct chain_host *h;
	uint32_t *slot;
	size_t host = 0;
	int r;

	r = table_reserve(c, &c->by_digest, c->n_links, link_id);
	if (r == 0)
		r = array_reserve((void **)&c->links, c->n_links, &c->max_links, sizeof l);
	if (r == 0)
		r = host_of(c, b->key.data, &host);
	if (r < 0)
		return r;
	h = &c->hosts[host];
	r = host_rename(h, b);
	if (r < 0)
		return r;

	/* key and sequence are under the digest: where it is the same, so are they */
	slot = link_slot(c, f->digest);
	if (*slot != 0) {
		h->duplicates++;
		return CHAIN_DUPLICATE;
	}
	l.host = (uint32_t)host;
	l.next_within_s = b->next_within_s & INT32_MAX; /* it is no more */
	l.has_previous = b->previous.len > 0;
	memcpy(l.digest, f->digest, DIGEST_SIZE);
	if (b->run_id.len >= sizeof l.run)
		memcpy(&l.run, b->run_id.data, sizeof l.run);
	if (b->previous.len == DIGEST_SIZE)
		memcpy(l.previous, b->previous.data, DIGEST_SIZE);
	c->links[c->n_links] = l;
	*slot = (uint32_t)++c->n_links;
	h->frames++;
	return c->options->trust_given && !h->trusted ? CHAIN_UNTRUSTED : CHAIN_NEW;
}

static struct chain_host *host_find(const struct chain *c, const struct frame *f)
{
	return &c->hosts[*host_slot(c, f->batch->key.data) - 1];
}

const char *chain_fingerprint(const struct chain *c, const struct frame *f)
{
	return host_find(c, f)->fingerprint;
}

void chain_note_events(struct chain *c, const struct frame *f, uint64_t events, uint64_t unknown, uint64_t forged)
{
	struct chain_host *h = host_find(c, f);

	h->events += events;
	h->unknown += unknown;
	h->forged += forged;
}

void chain_note_bad_events(struct chain *c, const struct frame *f)
{
	host_find(c, f)->bad_events++;
}

void chain_note_trouble(struct chain *c, enum chain_trouble which, uint64_t bytes)
{
	c->troubles[which].count++;
	c->troubles[which].bytes += bytes;
}

static bool same_word(const char *word, struct bytes b)
{
	return bytes_eq(bytes_str(word), b);
}

/* The entry for a reason and unit; a new one if there is room; NULL in `ret` where there is none. */
static int reason_of(struct chain_host *h, struct bytes reason, struct bytes unit, struct chain_loss **ret)
{
	struct chain_loss l = { 0 };

	*ret = NULL;
	for (size_t i = 0; i < h->n_reasons && !*ret; i++)
		if (same_word(h->reasons[i].reason, reason) && same_word(h->reasons[i].unit, unit))
			*ret = &h->reasons[i];
	if (*ret || h->n_reasons >= CHAIN_REASONS_MAX)
		return 0;
	if (!h->reasons)
		h->reasons = calloc(CHAIN_REASONS_MAX, sizeof l);
	if (!h->reasons)
		return -ENOMEM;
	l.reason = strndup(reason.len ? (const char *)reason.data : "", reason.len);
	l.unit = strndup(unit.len ? (const char *)unit.data : "", unit.len);
	if (!l.reason || !l.unit) {
		free(l.reason);
		free(l.unit);
		return -ENOMEM;
	}
	*ret = &h->reasons[h->n_reasons++];
	**ret = l;
	return 0;
}

int chain_note_unknown(struct chain *c, const struct frame *f, struct bytes program)
{
	struct chain_host *h = host_find(c, f);

	program.len = MIN(program.len, CHAIN_PROGRAM_NAME - 1);
	for (size_t i = 0; i < h->n_programs; i++)
		if (same_word(h->programs[i].name, program)) {
			h->programs[i].lines++;
			return 0;
		}
	if (h->n_programs >= CHAIN_PROGRAMS_MAX)
		return 0;
	if (!h->programs)
		h->programs = calloc(CHAIN_PROGRAMS_MAX, sizeof *h->programs);
	if (!h->programs)
		return -ENOMEM;
	if (program.len > 0)
		memcpy(h->programs[h->n_programs].name, program.data, program.len);
	h->programs[h->n_programs++].lines = 1;
	return 0;
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

int chain_note_loss(struct chain *c, const struct frame *f, struct bytes reason, struct bytes amount,
		    struct bytes unit)
{
	struct chain_host *h = host_find(c, f);
	struct chain_loss *l;
	uint64_t n = 0;
	int r;

	h->losses++;
	reason.len = MIN(reason.len, LOSS_WORD_MAX);
	unit.len = MIN(unit.len, LOSS_WORD_MAX);
	r = reason_of(h, reason, unit, &l);
	if (r < 0 || !l)
		return r;
	l->count++;
	if (bytes_to_u64(amount, &n) == -ERANGE || __builtin_add_overflow(l->amount, n, &l->amount))
		l->amount = UINT64_MAX;
	return 0;
}

/* Texts are compared up to CHAIN_NAME_MAX, and no agent writes longer ones. */
static int note_exclusion(struct chain_host *h, const char *what, uint64_t lines)
{
	struct chain_excluded *e;

	for (size_t i = 0; i < h->n_exclusions; i++)
		if (strncmp(h->exclusions[i].what, what, CHAIN_NAME_MAX) == 0) {
			h->exclusions[i].lines = saturating_add(h->exclusions[i].lines, lines);
			return 0;
		}
	if (h->n_exclusions >= CHAIN_EXCLUDED_MAX)
		return 0;
	if (!h->exclusions)
		h->exclusions = calloc(CHAIN_EXCLUDED_MAX, sizeof *e);
	if (!h->exclusions)
		return -ENOMEM;
	e = &h->exclusions[h->n_exclusions];
	e->what = strndup(what, CHAIN_NAME_MAX);
	if (!e->what)
		return -ENOMEM;
	e->lines = lines;
	h->n_exclusions++;
	return 0;
}

int chain_note_excluded(struct chain *c, const struct frame *f)
{
	const Hallmark__V1__Batch *b = f->batch;
	struct chain_host *h = host_find(c, f);
	int r = 0;

	for (size_t i = 0; i < b->n_excluded && r == 0; i++) {
		h->excluded = saturating_add(h->excluded, b->excluded[i]->count);
		/* of a batch that names thousands the first count by name: a hostile one is not to cost much */
		if (i < CHAIN_EXCLUDED_MAX)
			r = note_exclusion(h, b->excluded[i]->what, b->excluded[i]->count);
	}
	return r;
}

/* --- judging ----------------------------------------------------------------------------------- */

static int list_add(struct chain_list *list, uint64_t first, uint64_t last)
{
	list->sequences += last - first + 1;
	if (list->ranges > 0 && list->ranges <= CHAIN_LISTED_MAX &&
	    list->listed[list->ranges - 1].last + 1 == first) {
		list->listed[list->ranges - 1].last = last;
		return 0;
	}
	if (!list->listed)
		list->listed = calloc(CHAIN_LISTED_MAX, sizeof *list->listed);
	if (!list->listed)
		return -ENOMEM;
	if (list->ranges < CHAIN_LISTED_MAX)
		list->listed[list->ranges] = (struct chain_range){ first, last };
	list->ranges++;
	return 0;
}

/* By host, sequence, digest. */
static int compare_links(const void *a, const void *b, void *userdata)
{
	const struct chain *c = userdata;
	const struct link *x = &c->links[*(const uint32_t *)a], *y = &c->links[*(const uint32_t *)b];

	if (x->host != y->host)
		return x->host < y->host ? -1 : 1;
	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return memcmp(x->digest, y->digest, DIGEST_SIZE);
}

/* The frames of one sequence of one host: one, or more where there is a fork. */
struct group {
	const uint32_t *order; /* of the links, ascending by digest */
	size_t n;
};

static const struct link *group_find(const struct chain *c, struct group g, const uint8_t *digest)
{
	size_t low = 0, high = g.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct link *l = &c->links[g.order[middle]];
		int d = memcmp(l->digest, digest, DIGEST_SIZE);

		if (d == 0)
			return l;
		if (d < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Whether a frame stands where it says: only the chain's first one has no forerunner, and every other names
 * one of the frames with the sequence before its own, where we have any (`before`.n > 0). */
static bool link_holds(const struct chain *c, struct group before, const struct link *l,
		       const struct link **ret_forerunner)
{
	*ret_forerunner = NULL;
	if ((l->sequence == 1) == l->has_previous)
		return false;
	if (before.n == 0)
		return true;
	*ret_forerunner = group_find(c, before, l->previous);
	return *ret_forerunner;
}

/* `before` is the group of the sequence that precedes this one, be there a gap between them or not. */
static int judge_group(struct chain *c, struct chain_host *h, struct group before, struct group g)
{
	uint64_t sequence = c->links[g.order[0]].sequence;
	const struct link *earlier = before.n > 0 ? &c->links[before.order[0]] : NULL;
	bool follows = earlier && earlier->sequence == sequence - 1;
	bool broken = false;
	int r = 0;

	if (earlier && !follows)
		r = list_add(&h->gaps, earlier->sequence + 1, sequence - 1);
	if (r == 0 && g.n > 1)
		r = list_add(&h->forks, sequence, sequence);
	for (size_t i = 0; i < g.n; i++) {
		const struct link *l = &c->links[g.order[i]], *forerunner;

		if (!link_holds(c, follows ? before : (struct group){ 0 }, l, &forerunner))
			broken = true;
		if (!forerunner)
			forerunner = earlier ? earlier : i > 0 ? &c->links[g.order[0]] : NULL;
		if (!forerunner || l->run != forerunner->run)
			h->runs++;
		if (forerunner && follows && l->run != forerunner->run && forerunner->next_within_s != 0)
			h->runs_cut++;
		if (forerunner && l->time_us < forerunner->time_us)
			h->backwards++;
	}
	if (r == 0 && broken)
		r = list_add(&h->breaks, sequence, sequence);
	return r;
}

/* Takes the first and the last group for what they say of beginning and end: of a fork, the earliest and the latest. */
static void judge_ends(struct chain *c, struct chain_host *h, struct group first, struct group last)
{
	const struct link *l = &c->links[first.order[0]];

	h->first_sequence = l->sequence;
	h->first_time_us = l->time_us;
	for (size_t i = 1; i < first.n; i++)
		h->first_time_us = MIN(h->first_time_us, c->links[first.order[i]].time_us);
	h->from_start = l->sequence == 1 && !l->has_previous;
	h->last_sequence = c->links[last.order[0]].sequence;
	for (size_t i = 0; i < last.n; i++) {
		l = &c->links[last.order[i]];
		if (i > 0 && l->time_us < h->last_time_us)
			continue;
		h->last_time_us = l->time_us;
		h->next_within_s = l->next_within_s;
		h->farewell = l->next_within_s == 0;
	}
}

static bool host_overdue(const struct chain_host *h, int64_t as_of_us)
{
	if (h->farewell || h->last_time_us >= as_of_us)
		return false;
	return (uint64_t)as_of_us - (uint64_t)h->last_time_us > 2 * (uint64_t)h->next_within_s * 1000000u;
}

static unsigned host_problems(const struct chain_host *h, const struct chain_options *o)
{
	unsigned p = 0;

	p |= h->gaps.ranges > 0 ? CHAIN_GAPS : 0;
	p |= h->breaks.ranges > 0 ? CHAIN_BREAKS : 0;
	p |= h->forks.ranges > 0 ? CHAIN_FORKS : 0;
	p |= h->bad_events > 0 ? CHAIN_BAD_EVENTS : 0;
	p |= o->from_start && !h->from_start ? CHAIN_NO_START : 0;
	p |= o->as_of && host_overdue(h, o->as_of_us) ? CHAIN_OVERDUE : 0;
	if (o->trust_given)
		p |= h->trusted ? 0 : CHAIN_NOT_TRUSTED;
	else if (!o->trust_first)
		p |= CHAIN_FIRST_SIGHT;
	return p;
}

int chain_judge(struct chain *c)
{
	_cleanup_(freep) uint32_t *order = NULL;
	struct group first = { 0 }, before = { 0 };
	size_t n = c->n_links;

	if (n == 0)
		return 0;
	order = reallocarray(NULL, n, sizeof *order);
	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, n, sizeof *order, compare_links, c);

	for (size_t i = 0, next; i < n; i = next) {
		const struct link *l = &c->links[order[i]];
		struct chain_host *h = &c->hosts[l->host];
		struct group g = { order + i, 1 };
		int r;

		for (next = i + 1; next < n && c->links[order[next]].host == l->host &&
				   c->links[order[next]].sequence == l->sequence;
		     next++)
			g.n++;
		if (before.n == 0)
			first = g;
		r = judge_group(c, h, before, g);
		if (r < 0)
			return r;
		before = g;
		if (next == n || c->links[order[next]].host != l->host) {
			judge_ends(c, h, first, g);
			h->problems = host_problems(h, c->options);
			before = (struct group){ 0 };
		}
	}
	return 0;
}

const struct chain_host *chain_hosts(const struct chain *c, size_t *ret_n)
{
	*ret_n = c->n_hosts;
	return c->hosts;
}

const struct chain_stranger *chain_troubles(const struct chain *c)
{
	return c->troubles;
}

const struct chain_options *chain_asked(const struct chain *c)
{
	return c->options;
}

const char *chain_absent(const struct chain *c, size_t *i)
{
	while (*i < c->options->n_trusted)
		if (!c->seen[(*i)++])
			return c->options->trusted[*i - 1];
	return NULL;
}
