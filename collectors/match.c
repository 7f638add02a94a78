/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One template against one message.
 *
 * Whether the rest of a template fits from a place on depends on that token and that place alone, so a
 * place where it did not fit is never tried again: each field remembers from which starts it is known to
 * fail. Each field therefore passes over each byte once, and the whole is linear in the message whatever
 * the message holds. For templates of which that cannot be said (words between optional groups that can
 * stand for each other) the steps are counted, and one that would take more than a fixed number for each
 * byte does not fit.
 */
#include "collectors/match.h"

#define STEPS_PER_BYTE 64u
#define STEPS_FREE 4096u

static bool fits(struct attempt *a, const struct token *t, size_t at);

static inline bool follows(const struct attempt *a, const struct token *t, size_t at)
{
	if (at == a->len)
		return t->may_end;
	return t->follow[a->data[at] / 8] & (1u << a->data[at] % 8) &&
	       (t->second < 0 || (at + 1 < a->len && a->data[at + 1] == t->second));
}

/* The first place from `at` to `stop` where what follows the field can begin. */
static size_t next_end(struct attempt *a, const struct token *t, size_t at, size_t stop)
{
	size_t from = at;

	while (at <= stop) {
		if (t->first >= 0 && at < a->len) {
			const uint8_t *p = memchr(a->data + at, t->first, MIN(stop + 1, a->len) - at);

			at = p ? (size_t)(p - a->data) : MIN(stop + 1, a->len);
			if (at > stop)
				break;
		}
		if (follows(a, t, at)) {
			a->steps += at - from;
			return at;
		}
		at++;
	}
	a->steps += stop + 1 - from;
	return NO_POSITION;
}

/* The last such place. */
static size_t previous_end(struct attempt *a, const struct token *t, size_t at, size_t stop)
{
	size_t from = stop;

	for (;; stop--) {
		if (t->first >= 0 && stop < a->len) {
			while (stop > at && a->data[stop] != t->first)
				stop--;
		}
		if (follows(a, t, stop)) {
			a->steps += from - stop;
			return stop;
		}
		if (stop == at)
			break;
	}
	a->steps += from - at + 1;
	return NO_POSITION;
}

static bool value_valid(struct attempt *a, const struct token *t, size_t at, size_t end)
{
	return field_type_valid(t->type, bytes_of(a->data + at, end - at));
}

/* Tries the field's possible ends from `at` to `stop`, in the order that the template asks for. */
static bool some_end_fits(struct attempt *a, const struct token *t, size_t at, size_t stop)
{
	size_t low = at, high = stop;

	for (;;) {
		size_t end = t->last ? previous_end(a, t, low, high) : next_end(a, t, low, high);

		if (end == NO_POSITION)
			return false;
		if (value_valid(a, t, at, end)) {
			a->end[t->number] = end;
			if (fits(a, t + 1, end))
				return true;
		}
		if (t->last ? end == low : end == high)
			return false;
		if (t->last)
			high = end - 1;
		else
			low = end + 1;
	}
}

static bool field_fits(struct attempt *a, const struct token *t, size_t at)
{
	size_t *lo = &a->lo[t->number], *hi = &a->hi[t->number];
	size_t end, stop;
	bool fit;

	if (*lo != NO_POSITION && at >= *lo && at <= *hi)
		return false;
	if (t->type == TYPE_TEXT) {
		end = a->len;
	} else {
		/* where the bytes that are known to fail begin, their end is known */
		stop = *lo != NO_POSITION && at < *lo ? *lo : a->len;
		end = field_type_span(t->type, a->data, at, stop);
		a->steps += end - at;
		if (end == *lo)
			end = *hi;
	}
	if (t->type == TYPE_HOST && end == at)
		return false;
	a->begin[t->number] = at;
	if (t->one_end) {
		a->end[t->number] = end;
		fit = fits(a, t + 1, end);
	} else {
		fit = some_end_fits(a, t, at, *lo != NO_POSITION && *hi == end ? *lo : end);
	}
	/* a shorter value may be right where the longer one was not: nothing to remember for those */
	if (!fit && !field_type_is_bounded(t->type)) {
		*lo = at;
		*hi = end;
	}
	return fit;
}

static inline bool literal_fits(const struct attempt *a, const struct token *t, size_t at)
{
	return a->len - at >= t->literal.len && same_bytes(a->data + at, t->literal.data, t->literal.len);
}

/* A field with one end from every start, and nothing to remember; where that is, or NO_POSITION. */
static size_t only_end(struct attempt *a, const struct token *t, size_t at)
{
	size_t end = t->type == TYPE_TEXT ? a->len : field_type_span(t->type, a->data, at, a->len);

	a->begin[t->number] = at;
	a->end[t->number] = end;
	a->steps += t->type == TYPE_TEXT ? 0 : end - at;
	return value_valid(a, t, at, end) ? end : NO_POSITION;
}

static bool fits(struct attempt *a, const struct token *t, size_t at)
{
	for (;;) {
		if (++a->steps > a->steps_max)
			return false;
		switch (t->kind) {
		case TOKEN_LITERAL:
			if (!literal_fits(a, t, at))
				return false;
			at += t->literal.len;
			t++;
			break;
		case TOKEN_FIELD:
			if (!t->one_end || (t->type != TYPE_TEXT && !field_type_is_bounded(t->type)))
				return field_fits(a, t, at);
			at = only_end(a, t, at);
			if (at == NO_POSITION)
				return false;
			t++;
			break;
		case TOKEN_GROUP:
			if (t[1].kind != TOKEN_LITERAL || literal_fits(a, &t[1], at)) {
				a->groups |= 1u << t->number;
				if (fits(a, t + 1, at))
					return true;
				a->groups &= ~(1u << t->number);
			}
			t = a->tokens + t->skip;
			break;
		case TOKEN_GROUP_END:
			t++;
			break;
		default:
			return at == a->len;
		}
	}
}

bool attempt_fits(struct attempt *a, const struct template *t, const struct lead *lead, struct bytes message)
{
	a->data = message.data;
	a->len = message.len;
	a->tokens = t->tokens;
	a->groups = lead->groups;
	a->steps_max = a->steps + STEPS_FREE + STEPS_PER_BYTE * message.len;
	for (unsigned i = 0; i < t->n_fields; i++)
		a->lo[i] = NO_POSITION;
	return fits(a, t->tokens + lead->token, lead->text.len);
}
