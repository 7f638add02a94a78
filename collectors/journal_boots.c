/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/journal_boots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/macro.h"

#define BOOTS_MAX 8192u

void journal_boots_done(struct journal_boots *b)
{
	free(b->list);
	*b = (struct journal_boots){ 0 };
}

struct journal_boot *journal_boots_find(const struct journal_boots *b, sd_id128_t boot)
{
	for (size_t i = 0; i < b->n; i++)
		if (sd_id128_equal(b->list[i].first.boot, boot))
			return &b->list[i];
	return NULL;
}

static int list_ids(sd_journal *j, sd_id128_t **ret, size_t *ret_n)
{
	_cleanup_(freep) sd_id128_t *ids = calloc(BOOTS_MAX, sizeof *ids);
	const void *data;
	size_t len, n = 0;
	char text[33];
	int r;

	if (!ids)
		return -ENOMEM;
	sd_journal_flush_matches(j);
	r = sd_journal_query_unique(j, "_BOOT_ID");
	while (r >= 0 && n < BOOTS_MAX && (r = sd_journal_enumerate_available_unique(j, &data, &len)) > 0) {
		if (len != 9 + 32)
			continue;
		memcpy(text, (const char *)data + 9, 32);
		text[32] = '\0';
		n += sd_id128_from_string(text, &ids[n]) >= 0;
	}
	*ret = TAKE_PTR(ids);
	*ret_n = n;
	return r;
}

/* First and last entry of a boot: 1, or 0 where nothing of it can be read. */
static int read_ends(sd_journal *j, sd_id128_t id, struct journal_boot *ret)
{
	int r;

	r = journal_match_boot(j, id);
	if (r >= 0)
		r = sd_journal_seek_tail(j);
	if (r >= 0)
		r = sd_journal_previous(j);
	if (r <= 0)
		return r;
	r = journal_place_read(j, &ret->last);
	if (r >= 0)
		r = sd_journal_seek_head(j);
	if (r >= 0)
		r = sd_journal_next(j);
	if (r <= 0)
		return r;
	r = journal_place_read(j, &ret->first);
	return r < 0 ? r : sd_id128_equal(ret->first.boot, id) && sd_id128_equal(ret->last.boot, id);
}

static int merge(struct journal_boots *b, const struct journal_boot *boot)
{
	struct journal_boot *known = journal_boots_find(b, boot->first.boot), *list;

	if (known) {
		if (boot->first.monotonic_us < known->first.monotonic_us)
			known->first = boot->first;
		if (boot->last.monotonic_us > known->last.monotonic_us)
			known->last = boot->last;
		return 0;
	}
	if (b->n == BOOTS_MAX)
		return -E2BIG;
	list = realloc(b->list, (b->n + 1) * sizeof *list);
	if (!list)
		return -ENOMEM;
	b->list = list;
	b->list[b->n++] = *boot;
	return 0;
}

int journal_boots_add(struct journal_boots *b, sd_journal *j)
{
	_cleanup_(freep) sd_id128_t *ids = NULL;
	size_t n = 0;
	int r;

	r = list_ids(j, &ids, &n);
	for (size_t i = 0; i < n; i++) {
		struct journal_boot boot = { 0 };
		int k = read_ends(j, ids[i], &boot);

		if (k > 0)
			k = merge(b, &boot);
		if (k == -ENOMEM || k == -E2BIG)
			return k;
	}
	/* what cannot be read of a damaged file is for the audit to say */
	return r == -ENOMEM ? r : 0;
}

static bool is_running(const struct journal_boot *b)
{
	sd_id128_t boot;

	return sd_id128_get_boot(&boot) >= 0 && sd_id128_equal(boot, b->first.boot);
}

/* Numbers tell, where both have them from one source; else the wall clock, as it was at the end of each boot: at
 * its beginning it may not have been set yet. */
static bool is_before(const struct journal_boot *a, const struct journal_boot *b)
{
	if (is_running(a) || is_running(b))
		return is_running(b);
	if (journal_same_numbering(&a->first, &b->first) && a->first.seqnum != b->first.seqnum)
		return a->first.seqnum < b->first.seqnum;
	return a->last.realtime_us < b->last.realtime_us;
}

/* Whether boot `b` was after the place. `at`: the place's own boot, or NULL where nothing of it is left. */
static bool is_after(const struct journal_boot *b, const struct journal_boot *at, const struct journal_place *place)
{
	if (b == at || b->done)
		return false;
	if (is_running(b))
		return true;
	if (at && journal_same_numbering(&b->first, &at->first))
		return b->first.seqnum > at->first.seqnum;
	/* numbers that a power cut took are used again: a lower one proves nothing */
	if (!at && journal_same_numbering(&b->first, place) && b->first.seqnum > place->seqnum)
		return true;
	return b->last.realtime_us > place->realtime_us;
}

struct journal_boot *journal_boots_after(const struct journal_boots *b, const struct journal_place *place)
{
	const struct journal_boot *at = journal_boots_find(b, place->boot);
	struct journal_boot *next = NULL;

	for (size_t i = 0; i < b->n; i++)
		if (is_after(&b->list[i], at, place) && (!next || is_before(&b->list[i], next)))
			next = &b->list[i];
	return next;
}

struct journal_boot *journal_boots_since(const struct journal_boots *b, uint64_t since_us)
{
	struct journal_boot *first = NULL;

	for (size_t i = 0; i < b->n; i++)
		if (!b->list[i].done && b->list[i].last.realtime_us >= since_us &&
		    (!first || is_before(&b->list[i], first)))
			first = &b->list[i];
	return first;
}

struct journal_boot *journal_boots_newest(const struct journal_boots *b)
{
	struct journal_boot *newest = NULL;

	for (size_t i = 0; i < b->n; i++)
		if (!newest || is_before(newest, &b->list[i]))
			newest = &b->list[i];
	return newest;
}

bool journal_boots_adjoin(const struct journal_boots *b, const struct journal_place *first)
{
	for (size_t i = 0; i < b->n; i++)
		if (journal_same_numbering(&b->list[i].last, first) && b->list[i].last.seqnum + 1 == first->seqnum)
			return true;
	return false;
}
