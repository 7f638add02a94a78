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

/* Where to go on. */
struct resumption {
	const struct token *token;
	size_t at;
};

static inline bool follows(const struct attempt *a, const struct token *t, size_t at)
{
	if (at == a->len)
		return t->may_end;
	return (t->first >= 0 ? a->data[at] == t->first : t->follow[a->data[at] / 8] & (1u << a->data[at] % 8)) &&
	       (t->second < 0 || (at + 1 < a->len && a->data[at + 1] == t->second));
}

/* The first place from `at` to `stop` where what follows the field can begin. */
static size_t next_end(struct attempt *a, const struct token *t, size_t at, size_t stop)
{
	int probe = t->probe_second ? t->second : t->first;
	size_t from = at;

	while (at <= stop) {
		if (t->first >= 0 && at < a->len) {
			size_t begin = at + t->probe_second, end = MIN(stop + t->probe_second + 1, a->len);
			const uint8_t *p = begin < end ? memchr(a->data + begin, probe, end - begin) : NULL;

			at = p ? (size_t)(p - a->data) - t->probe_second : MIN(stop + 1, a->len);
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
	int probe = t->probe_second ? t->second : t->first;
	size_t from = stop;

	for (;; stop--) {
		if (t->first >= 0 && stop < a->len) {
			size_t begin = at + t->probe_second, end = MIN(stop + t->probe_second + 1, a->len);
			const uint8_t *p = begin < end ? memrchr(a->data + begin, probe, end - begin) : NULL;

			stop = p ? (size_t)(p - a->data) - t->probe_second : at;
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

/* The next of the ends that are left, in the order that the template asks for, or NO_POSITION. */
static size_t choose_end(struct attempt *a, struct choice *c)
{
	const struct token *t = c->token;

	while (c->low <= c->high) {
		size_t end = t->last ? previous_end(a, t, c->low, c->high) : next_end(a, t, c->low, c->high);

		if (end == NO_POSITION)
			break;
		if (t->last && end > c->low)
			c->high = end - 1;
		else
			c->low = end + 1;
		if (field_type_valid(t->type, bytes_of(a->data + c->at, end - c->at))) {
			a->end[t->number] = end;
			return end;
		}
	}
	return NO_POSITION;
}

/* Where the bytes of a field end; what was found out before need not be found out again. */
static size_t field_span(struct attempt *a, const struct token *t, size_t at)
{
	size_t lo = a->lo[t->number], end;

	if (t->type == TYPE_TEXT)
		return a->len;
	/* where the bytes that are known to fail begin, their end is known */
	end = field_type_span(t->type, a->data, at, lo != NO_POSITION && at < lo ? lo : a->len);
	a->steps += end - at;
	return end == lo ? a->hi[t->number] : end;
}

/* A field with one end from every start, and nothing to remember. */
static size_t only_end(struct attempt *a, const struct token *t, size_t at)
{
	size_t end = a->len;
	bool valid = true;

	if (t->type != TYPE_TEXT) {
		valid = field_type_take(t->type, a->data, at, a->len, &end);
		a->steps += end - at;
	}
	a->end[t->number] = end;
	return valid ? end : NO_POSITION;
}

/* The first end of a field that is worth trying, or NO_POSITION. Where there may be others it is a choice. */
static size_t field_end(struct attempt *a, const struct token *t, size_t at)
{
	size_t *lo = &a->lo[t->number], *hi = &a->hi[t->number];
	struct choice *c = &a->choices[a->n_choices];
	size_t end, high;

	a->begin[t->number] = at;
	if (t->only_end)
		return only_end(a, t, at);
	if (*lo != NO_POSITION && at >= *lo && at <= *hi)
		return NO_POSITION;
	end = field_span(a, t, at);
	if (t->type == TYPE_HOST && end == at)
		return NO_POSITION;
	high = *lo != NO_POSITION && *hi == end ? *lo : end;
	/* Nobody asks again before all ends have failed. Of bounded types a shorter value may be right where the longer
	 * one was not: nothing to remember for those. */
	if (!field_type_is_bounded(t->type)) {
		*lo = at;
		*hi = end;
	}
	if (t->one_end) {
		a->end[t->number] = end;
		return end;
	}
	*c = (struct choice){ t, at, at, high };
	end = choose_end(a, c);
	a->n_choices += end != NO_POSITION;
	return end;
}

static inline bool literal_fits(const struct attempt *a, const struct token *t, size_t at)
{
	return a->len - at >= t->len && bytes_same(a->data + at, t->text, t->len);
}

/* The last choice that can be made in another way, and where that leads; a NULL token where there is none. */
static struct resumption go_back(struct attempt *a)
{
	for (; a->n_choices > 0; a->n_choices--) {
		struct choice *c = &a->choices[a->n_choices - 1];
		size_t end;

		if (c->token->kind == TOKEN_GROUP) {
			a->groups &= ~(1u << c->token->number);
			a->n_choices--;
			return (struct resumption){ a->tokens + c->token->skip, c->at };
		}
		end = choose_end(a, c);
		if (end != NO_POSITION)
			return (struct resumption){ c->token + 1, end };
	}
	return (struct resumption){ NULL, 0 };
}

static bool fits(struct attempt *a, const struct token *t, size_t at)
{
	for (;;) {
		struct resumption back;
		size_t end;

		if (++a->steps > a->steps_max)
			return false;
		switch (t->kind) {
		case TOKEN_LITERAL:
			if (!literal_fits(a, t, at))
				break;
			at += t->len;
			t++;
			continue;
		case TOKEN_FIELD:
			end = field_end(a, t, at);
			if (end == NO_POSITION)
				break;
			at = end;
			t++;
			continue;
		case TOKEN_GROUP:
			if (t[1].kind != TOKEN_LITERAL || literal_fits(a, &t[1], at)) {
				a->groups |= 1u << t->number;
				a->choices[a->n_choices++] = (struct choice){ .token = t, .at = at };
				t++;
			} else {
				t = a->tokens + t->skip;
			}
			continue;
		case TOKEN_GROUP_END:
			t++;
			continue;
		default:
			if (at == a->len)
				return true;
		}
		back = go_back(a);
		if (!back.token)
			return false;
		t = back.token;
		at = back.at;
	}
}

bool attempt_fits(struct attempt *a, struct template *t, const struct lead *lead, struct bytes message)
{
	if (!t->tokens && template_read(a->arena, a->texts, t) < 0)
		return false;
	a->data = message.data;
	a->len = message.len;
	a->tokens = t->tokens;
	a->groups = lead->groups;
	a->n_choices = 0;
	a->steps_max = a->steps + STEPS_FREE + STEPS_PER_BYTE * message.len;
	for (unsigned i = 0; i < t->n_fields; i++)
		a->lo[i] = NO_POSITION;
	return fits(a, t->tokens + lead->token, lead->text.len);
}
